import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { Refusal } from "../../api/refusal";
import { ask } from "../../api/session";
import { identityIn, unseal, type Unsealed } from "../../api/unseal";
import { day, fromNow, moment } from "../../format";
import { type AppealGround, type FoundFragment, graphql } from "../../gql";
import { useAction } from "../../ui/action";
import { Card, Field, Form, text } from "../../ui/parts";
import { Found } from "./found";
import { Listed } from "./listed";
import { useList } from "./reading";
import { Sure } from "./sure";

const Appealed = graphql(`
  query Appealed($after: String) {
    violations(first: 20, after: $after, filter: { appealed: true }) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Found }
    }
  }
`);
const DecideAppeal = graphql(`
  mutation DecideAppeal($violation: ID!, $grant: Boolean!) {
    decideAppeal(violation: $violation, grant: $grant) { ...Found }
  }
`);

/** What was contested and nobody has decided. */
export function Appeals() {
  const list = useList(async (after) => (await ask(Appealed, { after })).violations);
  // Here and nowhere else: it is gone when another page is opened.
  const identity = useSignal<string | null>(null);
  return (
    <>
      <h1 tabIndex={-1}>Appeals</h1>
      <p class="lead">
        What somebody contests, and nobody has decided yet. Whoever imposed what is contested, or had another part in
        it, does not decide it.
      </p>
      <Key identity={identity.value} taken={(key) => (identity.value = key)} />
      <Listed list={list} class="cards" empty="No appeal waits to be decided.">
        {(found) => (
          <Found
            found={found}
            appeal={<Appeal found={found} identity={identity.value} decided={list.put} />}
            changed={list.put}
          />
        )}
      </Listed>
    </>
  );
}

function Key({ identity, taken }: { identity: string | null; taken: (key: string | null) => void }) {
  const action = useAction(async (_, form: FormData) => {
    const key = await identityIn(text(form, "identity"));
    if (!key) throw new Refusal("INVALID_INPUT", "an age identity is one word that begins with AGE-SECRET-KEY-");
    taken(key);
  });
  return (
    <Card title="The operators' key">
      {identity === null ? (
        <Form action={action} verb="Use it here" whose="operators" class="inline">
          <Field
            label="Age identity"
            name="identity"
            isSecret
            autocomplete="off"
            hint="Opens the sealed statements in this page. It is sent nowhere, and forgotten when you leave the page."
          />
        </Form>
      ) : (
        <div class="row">
          <span>Statements are opened with the key you gave.</span>
          <button type="button" onClick={() => taken(null)}>
            Forget it
          </button>
        </div>
      )}
    </Card>
  );
}

const GROUNDS: Record<AppealGround, string> = {
  LEGITIMATE_USE: "it is what the account is for",
  NOT_ME: "somebody else did it",
  WRONG_MEASUREMENT: "the figures are wrong",
  UNFAIR_RULE: "the rule is wrong",
  OTHER: "something else",
};

interface AppealProps {
  found: FoundFragment;
  identity: string | null;
  decided: (found: FoundFragment) => void;
}

function Appeal({ found, identity, decided }: AppealProps) {
  const { appeal } = found;
  if (!appeal) return <p class="notice">Something else follows from it now, which may be contested anew.</p>;
  if (appeal.state !== "PENDING") {
    return (
      <p class="notice" role="status">
        {appeal.state === "GRANTED"
          ? "Granted: it counts no more, and what followed has ended."
          : "Rejected: it stands."}
        {appeal.decidedAt && ` ${moment(appeal.decidedAt)}.`} The statement is dropped.
      </p>
    );
  }
  return (
    <div class="notice near">
      <p>
        <strong>Contested {fromNow(appeal.filedAt)}</strong>, {day(appeal.filedAt)}: {GROUNDS[appeal.ground]}.
      </p>
      <Statement sealed={appeal.sealedStatement} identity={identity} />
      <Decide found={found} decided={decided} />
    </div>
  );
}

function Statement({ sealed, identity }: { sealed: string | null; identity: string | null }) {
  const opened = useSignal<Unsealed | null>(null);
  useEffect(() => {
    opened.value = null;
    if (sealed === null || identity === null) return undefined;
    let isCurrent = true;
    void unseal(sealed, identity).then((result) => isCurrent && (opened.value = result));
    return () => {
      isCurrent = false;
    };
  }, [sealed, identity]);
  if (sealed === null) return <p class="quiet">It came without a statement.</p>;
  if (identity === null) return <p class="quiet">It came with a sealed statement. The operators' key opens it.</p>;
  if (opened.value === null) return <p class="quiet">Opening the statement…</p>;
  if ("closed" in opened.value) return <p role="status">{opened.value.closed}</p>;
  return <blockquote class="statement">{opened.value.text}</blockquote>;
}

function Decide({ found, decided }: { found: FoundFragment; decided: (found: FoundFragment) => void }) {
  const asked = useSignal<"grant" | "reject" | null>(null);
  const action = useAction(async () => {
    const answer = await ask(DecideAppeal, { violation: found.id, grant: asked.value === "grant" });
    asked.value = null;
    decided(answer.decideAppeal);
  });
  const isGrant = asked.value === "grant";
  return (
    <div class="row">
      <button type="button" onClick={() => (asked.value = "grant")}>
        Grant…
      </button>
      <button type="button" class="grave" onClick={() => (asked.value = "reject")}>
        Reject…
      </button>
      {asked.value && (
        <Sure
          title={isGrant ? "Grant the appeal?" : "Reject the appeal?"}
          verb={isGrant ? "Grant it" : "Reject it"}
          action={action}
          close={() => (asked.value = null)}
          isGrave={!isGrant}
        >
          <p>
            {isGrant
              ? "What was found is overruled: what followed ends at once, and it counts no more."
              : "What was found stands, and what follows goes on until its end."}{" "}
            The sealed statement is dropped. This cannot be taken back.
          </p>
          {action.refusal?.code === "FORBIDDEN" && (
            <p class="notice near">You had a part in what is contested. Another operator has to decide it.</p>
          )}
        </Sure>
      )}
    </div>
  );
}
