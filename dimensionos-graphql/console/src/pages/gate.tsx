import { signal } from "@preact/signals";

import { type Way, identityOf } from "../api/identity";
import { withProof } from "../api/proof";
import { Refusal } from "../api/refusal";
import { operatorSignedIn, session, signedIn } from "../api/session";
import type { Access } from "../api/token";
import { post } from "../api/transport";
import { graphql, type IdentityInput, type ProofInput } from "../gql";
import { go, route } from "../route";
import { useAction } from "../ui/action";
import { WORKING } from "../ui/dialog";
import { Card, Field, Form, Refused, text } from "../ui/parts";
import { Kept, kept } from "./kept";

const Login = graphql(`
  mutation Login($input: LoginInput!) {
    login(input: $input) { tokens { accessToken } }
  }
`);
const Register = graphql(`
  mutation Register($input: RegisterInput!) {
    register(input: $input) { tokens { accessToken } accountNumber recoveryCodes }
  }
`);
const Recover = graphql(`
  mutation Recover($input: RecoverInput!) {
    recover(input: $input) { tokens { accessToken } }
  }
`);
const WhoseToken = graphql(`
  query WhoseToken {
    jobs { name }
  }
`);

/** What is seen by whoever is not signed in. */
export function Gate({ isOperators }: { isOperators: boolean }) {
  const because = session.value.state === "out" ? session.value.because : undefined;
  if (kept.value?.whose === null) return <Kept />;
  return (
    <div class="gate">
      <div>
        <h1 tabIndex={-1}>Your account, without you in it</h1>
        <p class="lead">
          This service knows an account by a keyed tag, and what it uses by numbers. It stores no address, no name and
          nothing of what you do. <a href="#/stored">Every column it stores</a>
        </p>
      </div>
      <Refused refusal={because ?? null} />
      {isOperators ? <OperatorSignIn /> : <AccountForms />}
    </div>
  );
}

const FORMS = { "": SignIn, "sign-up": SignUp, recover: RecoverAccount };

function AccountForms() {
  const here = route.value in FORMS ? (route.value as keyof typeof FORMS) : "";
  const Shown = FORMS[here];
  const tab = (to: string, name: string) => (
    <a href={`#/${to}`} {...(to === here && { "aria-current": "page" as const })}>
      {name}
    </a>
  );
  return (
    <>
      <nav class="tabs" aria-label="Ways in">
        {tab("", "Sign in")}
        {tab("sign-up", "Sign up")}
        {tab("recover", "Recover")}
      </nav>
      <Shown />
      <p class="quiet">
        <a href="#/operator">For operators</a>
      </p>
    </>
  );
}

/** Goes in: to the page that was asked for, where it was one of the account's. */
function enter(tokens: Access): void {
  if (route.value in FORMS) go("");
  signedIn(tokens);
}

/** How somebody is known, which all three forms ask for; kept while one goes from form to form. */
const way = signal<Way>("email");

const WAYS: Record<Way, { label: string; hint: string }> = {
  email: { label: "An address", hint: "It is turned into a tag in the server's memory at once, and never stored." },
  digest: { label: "An address that stays here", hint: "Your browser sends its SHA-256 alone. It names the same account." },
  number: { label: "An account number", hint: "For an account that was opened without an address." },
};

function WhoFields({ ways }: { ways: Way[] }) {
  const chosen = ways.includes(way.value) ? way.value : "email";
  return (
    <>
      <fieldset class="choice">
        <legend>Known by</legend>
        {ways.map((one) => (
          <label key={one}>
            <input type="radio" name="way" value={one} checked={one === chosen} onChange={() => (way.value = one)} />
            {WAYS[one].label}
          </label>
        ))}
      </fieldset>
      <Field
        label={chosen === "number" ? "Account number" : "Address"}
        name="who"
        autocomplete="username"
        hint={WAYS[chosen].hint}
      />
    </>
  );
}

/** Who was typed into a form. */
async function who(form: FormData): Promise<IdentityInput> {
  const identity = await identityOf(text(form, "way") as Way, text(form, "who"));
  if (!identity) throw new Refusal("INVALID_INPUT", "that is no address", { field: "who" });
  return identity;
}

function SignIn() {
  const action = useAction(async (tell, form: FormData) => {
    const [identity, password] = [await who(form), text(form, "password")];
    const attempt = (proof: ProofInput | null) => post(Login, { input: { identity, password, proof } }, null);
    const { login } = await withProof(attempt, () => tell(WORKING));
    enter(login.tokens);
  });
  return (
    <Card title="Sign in">
      <Form action={action} verb="Sign in">
        <WhoFields ways={["email", "digest", "number"]} />
        <Field label="Password" name="password" isSecret autocomplete="current-password" />
      </Form>
    </Card>
  );
}

/** Whether the new account has an address at all. */
const isWithout = signal(false);

const PASSWORD_HINT = "At least 15 characters. A few unrelated words will do. It cannot be sent to you again.";

function SignUp() {
  const action = useAction(async (tell, form: FormData) => {
    const identity = isWithout.value ? null : await who(form);
    const password = text(form, "password");
    const attempt = (proof: ProofInput | null) => post(Register, { input: { identity, password, proof } }, null);
    const { register } = await withProof(attempt, () => tell(WORKING));
    const { accountNumber, recoveryCodes, tokens } = register;
    // Signed in only once what is shown this once has been taken down.
    kept.value = { accountNumber: accountNumber ?? null, recoveryCodes, whose: null, goOn: () => enter(tokens) };
  });
  return (
    <Card title="Sign up">
      <Form action={action} verb="Open the account" whose={isWithout.value ? "a new account" : undefined}>
        <label class="check">
          <input
            type="checkbox"
            checked={isWithout.value}
            onChange={(event) => (isWithout.value = event.currentTarget.checked)}
          />
          Without any address: you are given an account number instead
        </label>
        {!isWithout.value && <WhoFields ways={["email", "digest"]} />}
        <Field label="Password" name="password" isSecret autocomplete="new-password" hint={PASSWORD_HINT} />
        <p class="hint">30 days for free. With this you accept the terms of service that are in force.</p>
      </Form>
    </Card>
  );
}

function RecoverAccount() {
  const action = useAction(async (tell, form: FormData) => {
    const identity = await who(form);
    const [recoveryCode, newPassword] = [text(form, "code"), text(form, "password")];
    const attempt = (proof: ProofInput | null) =>
      post(Recover, { input: { identity, recoveryCode, newPassword, proof } }, null);
    const { recover } = await withProof(attempt, () => tell(WORKING));
    signedIn(recover.tokens);
    go("security");
  });
  return (
    <Card title="Recover an account">
      <p>One of your ten recovery codes opens the account once and sets another password. Every session ends.</p>
      <Form action={action} verb="Recover">
        <WhoFields ways={["email", "digest", "number"]} />
        <Field label="Recovery code" name="code" autocomplete="off" />
        <Field label="New password" name="password" isSecret autocomplete="new-password" hint={PASSWORD_HINT} />
      </Form>
    </Card>
  );
}

function OperatorSignIn() {
  const action = useAction(async (_, form: FormData) => {
    const token = text(form, "token").trim();
    try {
      await post(WhoseToken, {}, token);
    } catch (error) {
      const isOther = error instanceof Refusal && /^(TOKEN_|UNAUTHENTICATED|FORBIDDEN)/.test(error.code);
      throw isOther ? new Refusal("INVALID_INPUT", "it is no token of an operator of this server") : error;
    }
    operatorSignedIn(token);
  });
  const command = "dimensionos-graphql operator create --name NAME";
  return (
    <>
      <Card title="For operators">
        <Form action={action} verb="Open" whose="operator">
          <Field
            label="Operator token"
            name="token"
            isSecret
            autocomplete="off"
            hint={
              <>
                Printed once by <code>{command}</code>. It is kept in this page's memory alone, and gone when the page
                is closed.
              </>
            }
          />
        </Form>
      </Card>
      <p class="quiet">
        <a href="#/">For account holders</a>
      </p>
    </>
  );
}
