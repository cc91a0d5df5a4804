import { useSignal } from "@preact/signals";

import { digestOfFile } from "../../api/paper";
import { ask } from "../../api/session";
import { day, fromNow, moment } from "../../format";
import { type ComplaintState, type FoundFragment, graphql, type Operation } from "../../gql";
import { useAction } from "../../ui/action";
import { FileField } from "../../ui/inputs";
import { Copy, Fact, Facts } from "../../ui/parts";
import { NOTICE_ELEMENTS } from "./filing";
import { Sure } from "./sure";

const CompleteComplaint = graphql(`
  mutation CompleteComplaint($violation: ID!) {
    done: completeCopyrightComplaint(violation: $violation) { ...Found }
  }
`);
const ReleaseComplaint = graphql(`
  mutation ReleaseComplaint($violation: ID!) {
    done: releaseCopyrightComplaint(violation: $violation) { ...Found }
  }
`);
const ReportCourtAction = graphql(`
  mutation ReportCourtAction($violation: ID!) {
    done: reportCourtAction(violation: $violation) { ...Found }
  }
`);
const WithdrawComplaint = graphql(`
  mutation WithdrawComplaint($violation: ID!) {
    done: withdrawCopyrightComplaint(violation: $violation) { ...Found }
  }
`);

const STATES: Record<ComplaintState, string> = {
  INCOMPLETE: "Incomplete: it has no effect until what it lacks has come.",
  HELD: "Held: whoever complains has been wrong too often, and a person has to look first.",
  NOTICED: "The notice is complete and counts. The account's holder may serve a counter-notice.",
  COUNTERED: "Countered: what follows ends at its date, unless the complainant goes to court before.",
  RESTORED: "Restored: nobody went to court, and what followed has ended.",
  IN_COURT: "In court: what follows stays.",
  WITHDRAWN: "Withdrawn: what followed has ended.",
};

interface Step {
  verb: string;
  document: Operation<{ readonly done: FoundFragment }, { readonly violation: string }>;
  /** What will happen. */
  effect: string;
}

const COMPLETE: Step = {
  verb: "What it lacked has come",
  document: CompleteComplaint,
  effect: "The notice counts from now on, and what follows from it falls on the account at once.",
};
const RELEASE: Step = {
  verb: "Let it count",
  document: ReleaseComplaint,
  effect: "You have looked at it. It counts from now on, and what follows from it falls on the account at once.",
};
const COURT: Step = {
  verb: "They went to court",
  document: ReportCourtAction,
  effect: "What follows from the complaint stays, and does not end at its date.",
};
const WITHDRAW: Step = {
  verb: "They took it back",
  document: WithdrawComplaint,
  effect: "What follows from the complaint ends at once, and it is counted as one that came to nothing.",
};

const NEXT: Record<ComplaintState, readonly Step[]> = {
  INCOMPLETE: [COMPLETE, WITHDRAW],
  HELD: [RELEASE, WITHDRAW],
  NOTICED: [WITHDRAW],
  COUNTERED: [COURT, WITHDRAW],
  IN_COURT: [WITHDRAW],
  RESTORED: [],
  WITHDRAWN: [],
};

interface ComplaintProps {
  found: FoundFragment;
  complaint: NonNullable<FoundFragment["complaint"]>;
  changed: (found: FoundFragment) => void;
}

/** A complaint's dates, and what operators may report of it next. */
export function Complaint({ found, complaint, changed }: ComplaintProps) {
  const asked = useSignal<Step | null>(null);
  const action = useAction(async () => {
    if (!asked.value) return;
    const { done } = await ask(asked.value.document, { violation: found.id });
    asked.value = null;
    changed(done);
  });
  const { state, missing, counteredAt, restoreAt, restoreBy } = complaint;
  // What went to court, or came to nothing, has no date to end at any more.
  const isRunning = state === "COUNTERED";
  const steps = NEXT[state];
  return (
    <div class={steps.length > 0 ? "notice near" : "notice"}>
      <p role="status">{STATES[state]}</p>
      <Facts>
        <Fact name="Received">{moment(complaint.receivedAt)}</Fact>
        {missing.length > 0 && (
          <Fact name="It lacks">{missing.map((element) => NOTICE_ELEMENTS[element]).join("; ")}</Fact>
        )}
        {counteredAt && <Fact name="Countered">{moment(counteredAt)}</Fact>}
        {isRunning && restoreAt && (
          <Fact name="Ends, without a court">
            {day(restoreAt)}, {fromNow(restoreAt)}
          </Fact>
        )}
        {isRunning && restoreBy && <Fact name="Has to have ended by">{day(restoreBy)}</Fact>}
      </Facts>
      <Paper digest={complaint.noticeDigest} isOpen={state === "NOTICED"} />
      {steps.length > 0 && (
        <div class="row">
          {steps.map((step) => (
            <button key={step.verb} type="button" onClick={() => (asked.value = step)}>
              {step.verb}…
            </button>
          ))}
        </div>
      )}
      {asked.value && (
        <Sure title={`${asked.value.verb}?`} verb={asked.value.verb} action={action} close={() => (asked.value = null)}>
          <p>{asked.value.effect}</p>
        </Sure>
      )}
    </div>
  );
}

/** Which paper the notice is, and the digest of any other, such as a counter-notice. */
function Paper({ digest, isOpen }: { digest: string; isOpen: boolean }) {
  const made = useSignal<string | null>(null);
  const chosen = async (file: File | null) => void (made.value = file && (await digestOfFile(file)));
  return (
    <details>
      <summary>Papers</summary>
      <p>
        SHA-256 of the notice: <code class="long">{digest}</code>
      </p>
      {isOpen && (
        <p>
          A counter-notice is the holder's to serve (<code>fileCounterNotice</code>), with the SHA-256 of the paper they
          hand to you.
        </p>
      )}
      <FileField
        label="Which paper is this?"
        name="paper"
        hint="Its SHA-256 is made here in the page; the file goes nowhere."
        chosen={(file) => void chosen(file)}
      />
      <div role="status">
        {made.value && (
          <>
            <p>{made.value === digest ? "It is this complaint's notice." : "It is another paper than the notice."}</p>
            <p class="row">
              <code class="long">{made.value}</code> <Copy what={made.value} />
            </p>
          </>
        )}
      </div>
    </details>
  );
}
