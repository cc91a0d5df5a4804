import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";

import { words } from "../../api/refusal";
import { ask } from "../../api/session";
import { fromNow } from "../../format";
import { type FoundFragment, graphql, type Sanction } from "../../gql";
import { useAction } from "../../ui/action";
import { DayField, dayFromNow, instantOf } from "../../ui/inputs";
import { Form, text } from "../../ui/parts";
import { Reasons } from "../../ui/reasons";
import { Select } from "../../ui/select";
import { Complaint } from "./complaint";
import { title } from "./said";
import { Sure } from "./sure";

graphql(`
  fragment Found on Violation {
    id
    accountId
    kind
    severity
    state
    loweredAt
    ...Reasons
    appeal { state ground filedAt decidedAt sealedStatement }
    complaint { state receivedAt noticeDigest missing counteredAt restoreAt restoreBy }
  }
`);
const ImposeSanction = graphql(`
  mutation ImposeSanction($violation: ID!, $sanction: Sanction!, $until: DateTime!) {
    imposeSanction(violation: $violation, sanction: $sanction, until: $until) { ...Found }
  }
`);

interface FoundProps {
  found: FoundFragment;
  /** Whether the page is of one account already. */
  isOwn?: boolean;
  /** What stands in the place of how an appeal stands. */
  appeal?: ComponentChildren;
  changed: (found: FoundFragment) => void;
}

/** What was found against an account, for which reasons, and what operators may do about it. */
export function Found({ found, isOwn, appeal, changed }: FoundProps) {
  return (
    <article class="card finding" aria-labelledby={found.id}>
      <header>
        <h2 id={found.id}>{title(found.kind)}</h2>
        <span class="row">
          <span class="quiet">{words(found.severity)}</span>
          <span class="pill">{words(found.state)}</span>
        </span>
      </header>
      {!isOwn && <Whose id={found.accountId} />}
      <Reasons of={found} />
      {found.complaint && <Complaint found={found} complaint={found.complaint} changed={changed} />}
      {appeal ?? <Appealed of={found} />}
      {found.state !== "OVERRULED" && <Impose found={found} changed={changed} />}
    </article>
  );
}

/** Leads to the account. */
export function Whose({ id }: { id: string }) {
  return (
    <p>
      Account{" "}
      <a href={`#/operator/account/${id}`}>
        <code>{id}</code>
      </a>
    </p>
  );
}

function Appealed({ of: { appeal } }: { of: FoundFragment }) {
  if (!appeal) return null;
  const { state, ground } = appeal;
  return (
    <p class="notice">
      {state === "PENDING" ? (
        <>
          Contested {fromNow(appeal.filedAt)} ({words(ground)}). It is decided under{" "}
          <a href="#/operator/appeals">Appeals</a>.
        </>
      ) : (
        `The appeal was ${words(state)}.`
      )}
    </p>
  );
}

const SANCTIONS: Record<Sanction, { name: string; effect: string }> = {
  NONE: { name: "nothing", effect: "Nothing follows from it any more." },
  WARN: { name: "a warning", effect: "The account is warned, and may do all it could." },
  THROTTLE: { name: "a tenth by the hour", effect: "The account gets a tenth of what its tier grants by the hour." },
  READ_ONLY: { name: "read-only", effect: "The account can only be read." },
  SUSPEND: { name: "suspension", effect: "The account is suspended, and its live connections are closed." },
};

interface Imposed {
  sanction: Sanction;
  until: string;
}

function Impose({ found, changed }: { found: FoundFragment; changed: (found: FoundFragment) => void }) {
  const asked = useSignal<Imposed | null>(null);
  const choosing = useAction(async (_, form: FormData) => {
    asked.value = { sanction: text(form, "sanction") as Sanction, until: text(form, "until") };
  });
  const imposing = useAction(async () => {
    if (!asked.value) return;
    const { sanction, until } = asked.value;
    const variables = { violation: found.id, sanction, until: instantOf(until) };
    changed((await ask(ImposeSanction, variables)).imposeSanction);
    asked.value = null;
  });
  return (
    <details>
      <summary>Put something else in the place of what follows</summary>
      <Form action={choosing} verb="Impose…">
        <Select
          label="What follows"
          name="sanction"
          value={found.sanction}
          options={Object.entries(SANCTIONS).map(([name, { name: called }]) => [name as Sanction, called] as const)}
        />
        <DayField label="Until" name="until" start={dayFromNow(7)} min={dayFromNow(1)} max={dayFromNow(364)} />
      </Form>
      {asked.value && (
        <Sure title="Impose this?" verb="Impose it" action={imposing} close={() => (asked.value = null)} isGrave>
          <p>
            {SANCTIONS[asked.value.sanction].effect} This holds from the next request on, until {asked.value.until}. Its
            holder is told, may appeal, and you will not be the one who decides that appeal.
          </p>
        </Sure>
      )}
    </details>
  );
}
