import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { comebacks } from "../api/live";
import { Refusal, words } from "../api/refusal";
import { ask } from "../api/session";
import { day, fromNow } from "../format";
import { graphql, type AppealGround, type FindingsQuery } from "../gql";
import { useAction } from "../ui/action";
import { Empty, Fact, Field, Form, Refused, text, Waiting } from "../ui/parts";
import { Reasons } from "../ui/reasons";
import { happened } from "./account";
import { CounterNotice } from "./counter";

const FindingsDocument = graphql(`
  query Findings($after: String) {
    me {
      id
      violations(first: 20, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id kind severity state loweredAt
          ...Reasons
          appeal { state ground filedAt decidedAt }
          complaint { state receivedAt restoreAt }
        }
      }
    }
  }
`);
const AppealDocument = graphql(`
  mutation Appeal($violation: ID!, $ground: AppealGround!, $statement: String) {
    appeal(violation: $violation, ground: $ground, sealedStatement: $statement) { id }
  }
`);
const Recipient = graphql(`
  query Recipient {
    service { appealRecipient }
  }
`);

type Finding = FindingsQuery["me"]["violations"]["nodes"][number];

/** What was found against the account, on what grounds, and how to contest it. */
export function Findings() {
  const found = useSignal<readonly Finding[] | null>(null);
  const after = useSignal<string | null>(null);
  const refusal = useSignal<Refusal | null>(null);
  const read = async (cursor: string | null) => {
    try {
      const { nodes, pageInfo } = (await ask(FindingsDocument, { after: cursor })).me.violations;
      found.value = cursor === null ? nodes : [...(found.value ?? []), ...nodes];
      after.value = pageInfo.hasNextPage ? (pageInfo.endCursor ?? null) : null;
      refusal.value = null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusal.value = error;
    }
  };
  const newest = happened.value[0]?.at;
  useEffect(() => void read(null), [newest, comebacks.value]);
  return (
    <>
      <h1 tabIndex={-1}>Findings</h1>
      <p class="lead">
        Abuse is found by figures alone; nobody looks at what you store or send. Each finding says what was measured,
        what would have kept it from being one, and what follows. You may contest it.
      </p>
      <Refused refusal={refusal.value} />
      {found.value === null && refusal.value === null && <Waiting lines={5} />}
      {found.value?.length === 0 && <Empty>Nothing was found against this account.</Empty>}
      {found.value?.map((finding) => (
        <OneFinding key={finding.id} finding={finding} changed={() => read(null)} />
      ))}
      {after.value !== null && (
        <button type="button" onClick={() => void read(after.value)}>
          Older ones
        </button>
      )}
    </>
  );
}

function OneFinding({ finding, changed }: { finding: Finding; changed: () => Promise<void> }) {
  const { appeal, complaint } = finding;
  return (
    <article class="card" aria-labelledby={finding.id}>
      <header>
        <h2 id={finding.id}>{words(finding.kind)}</h2>
        <span class="pill">{words(finding.state)}</span>
      </header>
      <Reasons of={finding}>
        {complaint && <Fact name="Complaint">{words(complaint.state)}, received {day(complaint.receivedAt)}</Fact>}
      </Reasons>
      {appeal ? (
        <p class="notice">
          {appeal.state === "PENDING"
            ? `Contested ${fromNow(appeal.filedAt)} (${words(appeal.ground)}). Somebody will decide it.`
            : `The appeal was ${words(appeal.state)}${appeal.decidedAt ? ` on ${day(appeal.decidedAt)}` : ""}.`}
        </p>
      ) : (
        finding.state === "OPEN" && <AppealForm id={finding.id} changed={changed} />
      )}
      {complaint?.state === "NOTICED" && <CounterNotice id={finding.id} changed={changed} />}
    </article>
  );
}

const GROUNDS: Record<AppealGround, string> = {
  LEGITIMATE_USE: "It is what the account is for",
  NOT_ME: "Somebody else did it",
  WRONG_MEASUREMENT: "The figures are wrong",
  UNFAIR_RULE: "The rule is wrong",
  OTHER: "Something else",
};

function AppealForm({ id, changed }: { id: string; changed: () => Promise<void> }) {
  const recipient = useSignal<string | null>(null);
  useEffect(() => {
    // Where it cannot be read an appeal is made without a statement.
    ask(Recipient, {}).then(
      ({ service }) => (recipient.value = service.appealRecipient ?? null),
      () => undefined,
    );
  }, []);
  const action = useAction(async (_, form: FormData) => {
    const written = text(form, "statement").trim();
    const statement = written && recipient.value ? await sealed(written, recipient.value) : null;
    await ask(AppealDocument, { violation: id, ground: text(form, "ground") as AppealGround, statement });
    await changed();
  });
  return (
    <details>
      <summary>Contest it</summary>
      <Form action={action} verb="Appeal">
        <fieldset class="choice">
          <legend>Why</legend>
          {Object.entries(GROUNDS).map(([ground, label], index) => (
            <label key={ground}>
              <input type="radio" name="ground" value={ground} defaultChecked={index === 0} />
              {label}
            </label>
          ))}
        </fieldset>
        {recipient.value === null ? (
          <p class="hint">This server's operators take no written statements: they have published no key to seal one to.</p>
        ) : (
          <Field
            label="What you want to say"
            name="statement"
            rows={5}
            required={false}
            spellcheck
            hint="Sealed here in the page: only the operators can read it, not the server. Dropped once they have decided."
          />
        )}
      </Form>
    </details>
  );
}

/** Seals a text to the operators' key, in the armour that travels as text. What does that is fetched when it is needed. */
async function sealed(statement: string, recipient: string): Promise<string> {
  const { armor, Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return armor.encode(await encrypter.encrypt(statement));
}
