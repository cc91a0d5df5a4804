import { Refusal } from "../api/refusal";
import { ask, signedOut } from "../api/session";
import { withProof } from "../api/proof";
import { day, fromNow, moment } from "../format";
import { graphql } from "../gql";
import { useAction } from "../ui/action";
import { confirmed } from "../ui/dialog";
import { Button, Field, Form, Refused, text } from "../ui/parts";
import { readStanding, type Standing, standing } from "./account";

const AcceptTerms = graphql(`
  mutation AcceptTerms($version: String!) {
    acceptTerms(version: $version) { id }
  }
`);
const Restore = graphql(`
  mutation Restore {
    restoreAccount { id }
  }
`);
const EraseClosed = graphql(`
  mutation EraseClosed($password: String!, $proof: ProofInput) {
    eraseAccount(password: $password, proof: $proof)
  }
`);

/** What the account may do, why, since when, and the one thing to do about it. */
export function StandingBanner({ closed }: { closed: Refusal | null }) {
  const account = standing.value;
  if (closed || account?.status === "CANCELLED") return <Closed />;
  if (!account) return null;
  if (account.terms.due) return <TermsDue version={account.terms.current.version} />;
  const { headline, todo, level } = inWords(account);
  return (
    <section class={`banner ${level}`} aria-label="Status" role="status">
      <p>
        <strong>{headline}</strong>{" "}
        {account.status !== "ACTIVE" && <span>Since {moment(account.statusSince)}. </span>}
        {account.statusNote && <span>The operator wrote: “{account.statusNote}” </span>}
        {todo}
      </p>
    </section>
  );
}

interface InWords {
  headline: string;
  todo?: preact.ComponentChildren;
  level: "fine" | "near" | "bad";
}

const PAY = (
  <a href="#/payment">
    Pay with an attestation or a voucher
  </a>
);
const APPEAL = <a href="#/findings">Read what was found, and appeal</a>;

function inWords(account: Standing): InWords {
  const level = account.status === "ACTIVE" ? "near" : "bad";
  const may = account.status === "SUSPENDED" ? "suspended" : "read-only";
  switch (account.statusReason) {
    case "TRIAL_EXPIRED":
      return { level, headline: `The trial has ended: the account is ${may}.`, todo: PAY };
    case "PAYMENT_OVERDUE":
      return { level, headline: `What was paid for has run out: the account is ${may}.`, todo: PAY };
    case "TOS_VIOLATION":
      return { level, headline: `The account is ${may} because of a breach of the terms.`, todo: APPEAL };
    case "OPERATOR":
      return { level, headline: `An operator has made the account ${may}.`, todo: APPEAL };
    default:
      return active(account);
  }
}

function active({ trial, payment, nextStep, tier }: Standing): InWords {
  if (payment.status === "OVERDUE") {
    return { level: "near", headline: `${tier} is no longer paid for.`, todo: <>{ahead(nextStep)} {PAY}</> };
  }
  if (trial && !trial.expired) {
    const days = `${trial.daysLeft} ${trial.daysLeft === 1 ? "day" : "days"}`;
    const level = trial.daysLeft <= 7 ? "near" : "fine";
    return { level, headline: `Active: ${days} of the trial left.`, todo: <>Until {day(trial.endsAt)}.</> };
  }
  const until = payment.paidUntil && <>Paid until {day(payment.paidUntil)}.</>;
  return { level: "fine", headline: `Active on ${tier}.`, todo: until };
}

function ahead(step: Standing["nextStep"]) {
  return step && <span>Next, {fromNow(step.at)}: {step.step.toLowerCase().replace("_", "-")}.</span>;
}

function TermsDue({ version }: { version: string }) {
  const action = useAction(async () => {
    await ask(AcceptTerms, { version });
    await readStanding();
  });
  return (
    <section class="banner near" aria-label="Status">
      <p>
        <strong>The terms of service have changed.</strong> Until version {version} is accepted, only your status, your
        data, erasure and signing out are open.
      </p>
      <Button action={action} class="main">
        Accept version {version}
      </Button>
      <Refused refusal={action.refusal} />
    </section>
  );
}

function Closed() {
  const restoring = useAction(async () => {
    await confirmed(() => ask(Restore, {}));
    await readStanding();
  });
  const erasing = useAction(async (_, form: FormData) => {
    const password = text(form, "password");
    const erase = () => withProof((proof) => ask(EraseClosed, { password, proof }), () => undefined);
    await confirmed(erase);
    signedOut();
  });
  return (
    <section class="banner bad" aria-label="Status">
      <p>
        <strong>The account is closed.</strong> It can be restored until it is erased, 30 days after it was closed.
      </p>
      <div class="row">
        <Button action={restoring} class="main">
          Restore it
        </Button>
      </div>
      <Refused refusal={restoring.refusal} />
      <details>
        <summary>Erase it now</summary>
        <Form action={erasing} verb="Erase for good" isGrave whose="the closed account">
          <Field label="Password" name="password" isSecret autocomplete="current-password" />
        </Form>
      </details>
    </section>
  );
}
