import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { comebacks } from "../api/live";
import { Refusal } from "../api/refusal";
import { withProof } from "../api/proof";
import { ask, signedIn, signedOut, signOut } from "../api/session";
import { fromNow, moment } from "../format";
import { graphql, type SessionsQuery } from "../gql";
import { useAction } from "../ui/action";
import { checkPassword, confirmed, Dialog, WORKING } from "../ui/dialog";
import { Button, Card, Empty, Fact, Facts, Field, Form, Refused, text, Waiting } from "../ui/parts";
import { standing } from "./account";
import { kept } from "./kept";

const Sessions = graphql(`
  query Sessions {
    me {
      id
      recoveryCodesLeft
      sessions { id createdAt expiresAt authenticatedAt current }
    }
  }
`);
const EndSession = graphql(`
  mutation EndSession($session: ID!) {
    endSession(session: $session)
  }
`);
const ChangePassword = graphql(`
  mutation ChangePassword($current: String!, $new: String!, $proof: ProofInput) {
    changePassword(current: $current, new: $new, proof: $proof) { tokens { accessToken } }
  }
`);
const RenewRecoveryCodes = graphql(`
  mutation RenewRecoveryCodes {
    renewRecoveryCodes { recoveryCodes }
  }
`);
const Export = graphql(`
  query Export {
    me { id export }
  }
`);
const EraseAccount = graphql(`
  mutation EraseAccount($password: String!, $proof: ProofInput) {
    eraseAccount(password: $password, proof: $proof)
  }
`);

/** How the account is opened, where it is open now, and how to leave with everything or with nothing. */
export function Security() {
  const account = standing.value;
  if (!account) return null;
  return (
    <>
      <h1 tabIndex={-1}>Security</h1>
      <Card title="What you are here">
        <Facts>
          <Fact name="Account">
            <code>{account.id}</code>
          </Fact>
          <Fact name="Tag of what you sign in with">
            <code class="long">{account.anonymousId}</code>
          </Fact>
        </Facts>
      </Card>
      {account.status === "SUSPENDED" ? (
        <Empty>While the account is suspended its sessions and codes cannot be seen or changed.</Empty>
      ) : (
        <>
          <SessionList />
          <Password />
        </>
      )}
      <YourData />
    </>
  );
}

function SessionList() {
  const me = useSignal<SessionsQuery["me"] | null>(null);
  const refusal = useSignal<Refusal | null>(null);
  const read = async () => {
    try {
      me.value = (await ask(Sessions, {})).me;
      refusal.value = null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusal.value = error;
    }
  };
  useEffect(() => void read(), [comebacks.value]);
  const ending = useAction(async (_, session: string) => {
    await ask(EndSession, { session });
    await read();
  });
  const everywhere = useAction(() => signOut(true));
  const renewing = useAction(async () => {
    const { renewRecoveryCodes } = await confirmed(() => ask(RenewRecoveryCodes, {}));
    const { recoveryCodes } = renewRecoveryCodes;
    kept.value = { accountNumber: null, recoveryCodes, whose: standing.value?.id ?? null, goOn: () => undefined };
  });
  return (
    <>
      <Card title="Signed in" aside={<Button action={everywhere}>Sign out everywhere</Button>}>
        <Refused refusal={refusal.value ?? ending.refusal ?? everywhere.refusal} />
        {me.value === null ? (
          refusal.value === null && <Waiting />
        ) : (
          <ul class="list">
            {me.value.sessions.map((one) => (
              <li key={one.id} class="row spread">
                <span>
                  Since {moment(one.createdAt)}
                  <span class="quiet">, password checked {fromNow(one.authenticatedAt)}</span>
                </span>
                {one.current ? (
                  <span class="pill">this one</span>
                ) : (
                  <button
                    type="button"
                    disabled={ending.isBusy}
                    aria-label={`End the session of ${moment(one.createdAt)}`}
                    onClick={() => void ending.run(one.id)}
                  >
                    End
                  </button>
                )}
              </li>
            ))}
          </ul>
        )}
      </Card>
      <Card title="Recovery codes" aside={<Button action={renewing}>Make new ones</Button>}>
        <p>
          {me.value === null ? "\u00a0" : `${me.value.recoveryCodesLeft} of ten are left.`} Each opens the account once
          when the password is lost. New ones replace all of them.
        </p>
        <Refused refusal={renewing.refusal} />
      </Card>
    </>
  );
}

function Password() {
  const action = useAction(async (tell, form: FormData) => {
    const [current, next] = [text(form, "current"), text(form, "new")];
    const change = () =>
      withProof((proof) => ask(ChangePassword, { current, new: next, proof }), () => tell(WORKING));
    const { changePassword } = await confirmed(change);
    signedIn(changePassword.tokens);
    return "Changed.";
  });
  return (
    <details class="card">
      <summary>Change the password</summary>
      <p>Every other session ends.</p>
      <Form action={action} verb="Change it" whose={standing.value?.id}>
        <Field label="Present password" name="current" isSecret autocomplete="current-password" />
        <Field label="New password" name="new" isSecret autocomplete="new-password" hint="At least 15 characters." />
      </Form>
    </details>
  );
}

function YourData() {
  const isErasing = useSignal(false);
  const exporting = useAction(async () => {
    const { me } = await ask(Export, {});
    save(me.export, `dimensionos-${me.id}.json`);
  });
  return (
    <Card title="Your data">
      <p>
        The export is everything the server knows about the account, as one JSON document. What each of its figures is
        for stands under <a href="#/stored">Your data</a>.
      </p>
      <div class="row">
        <Button action={exporting}>Export as a file</Button>
        <button type="button" class="grave" onClick={() => (isErasing.value = true)}>
          Erase the account…
        </button>
      </div>
      <Refused refusal={exporting.refusal} />
      {isErasing.value && <Erasure close={() => (isErasing.value = false)} />}
    </Card>
  );
}

/** Gives a text as a file to whoever reads the page. */
function save(content: string, name: string): void {
  const address = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function Erasure({ close }: { close: () => void }) {
  const action = useAction(async (tell, form: FormData) => {
    const password = text(form, "password");
    await checkPassword(password, tell);
    await withProof((proof) => ask(EraseAccount, { password, proof }), () => tell(WORKING));
    signedOut();
  });
  return (
    <Dialog title="Erase the account" close={close}>
      <p>This cannot be taken back. At once:</p>
      <ul>
        <li>every session ends, here and everywhere;</li>
        <li>the account, its usage, its findings and its payments are removed from the database;</li>
        <li>what was paid for and not used is lost;</li>
        <li>a keyed mark stays for a year, good for nothing but refusing a second trial.</li>
      </ul>
      <Form action={action} verb="Erase for good" isGrave whose={standing.value?.id}>
        <Field label="Password" name="password" isSecret autocomplete="current-password" />
      </Form>
    </Dialog>
  );
}

