import { useSignal } from "@preact/signals";

import { ask } from "../../api/session";
import { graphql, type ServiceStatus } from "../../gql";
import { useAction } from "../../ui/action";
import { Card, Field, Form, text } from "../../ui/parts";
import { Select } from "../../ui/select";
import { STATUSES } from "./said";
import { Sure } from "./sure";

const SetServiceStatus = graphql(`
  mutation SetServiceStatus($account: ID!, $status: ServiceStatus!, $reason: String!) {
    setServiceStatus(account: $account, status: $status, reason: $reason) { id }
  }
`);
const EndSessionsOf = graphql(`
  mutation EndSessionsOf($account: ID!) {
    endSessionsOf(account: $account)
  }
`);

interface ActsProps {
  account: { id: string; status: ServiceStatus };
  changed: () => Promise<void>;
}

/** What operators may do to an account. */
export function Acts(props: ActsProps) {
  return (
    <Card title="What you may do">
      <SetStatus {...props} />
      <EndSessions {...props} />
    </Card>
  );
}

/** What each status takes from an account; nothing where it gives back. */
const EFFECTS: Record<ServiceStatus, string | null> = {
  ACTIVE: null,
  READ_ONLY: "Reading, export, payment and appeal go on; everything else is refused.",
  SUSPENDED:
    "Only its status, the reason, export, payment and appeal are left. Its live connections are closed at once.",
  CANCELLED:
    "It is closed at once, and erased for good 30 days later unless an operator makes it active before. Its holder " +
    "cannot restore it.",
};

const VERBS: Record<ServiceStatus, string> = {
  ACTIVE: "Make it active",
  READ_ONLY: "Make it read-only",
  SUSPENDED: "Suspend it",
  CANCELLED: "Close it",
};

interface Chosen {
  status: ServiceStatus;
  reason: string;
}

function SetStatus({ account, changed }: ActsProps) {
  const asked = useSignal<Chosen | null>(null);
  const done = useSignal<string | null>(null);
  const set = async ({ status, reason }: Chosen) => {
    await ask(SetServiceStatus, { account: account.id, status, reason });
    asked.value = null;
    done.value = `Set to ${STATUSES[status]}. What else restricts the account stays.`;
    await changed();
  };
  const choosing = useAction(async (_, form: FormData) => {
    done.value = null;
    const chosen = { status: text(form, "status") as ServiceStatus, reason: text(form, "reason") };
    if (EFFECTS[chosen.status] === null) return set(chosen);
    asked.value = chosen;
  });
  const sure = useAction(async () => {
    if (asked.value) await set(asked.value);
  });
  return (
    <details>
      <summary>Set what it may do</summary>
      <p>
        Active takes back what an operator decided, and leaves what its payments and its findings say. It holds from the
        next request on.
      </p>
      <Form action={choosing} verb="Set it">
        <Select
          label="It is to be"
          name="status"
          value={account.status}
          options={Object.entries(STATUSES).map(([name, called]) => [name as ServiceStatus, called] as const)}
        />
        <Field
          label="Why"
          name="reason"
          autocomplete="off"
          spellcheck
          hint="At most 280 characters, on one line and without an @. Its holder reads it."
        />
      </Form>
      <p role="status">{done.value}</p>
      {asked.value && (
        <Sure
          title={`${VERBS[asked.value.status]}?`}
          verb={VERBS[asked.value.status]}
          action={sure}
          close={() => (asked.value = null)}
          isGrave
        >
          <p>{EFFECTS[asked.value.status]}</p>
          <p>
            Its holder reads: “{asked.value.reason}”
          </p>
        </Sure>
      )}
    </details>
  );
}

function EndSessions({ account, changed }: ActsProps) {
  const isAsked = useSignal(false);
  const ended = useSignal(false);
  const action = useAction(async () => {
    await ask(EndSessionsOf, { account: account.id });
    isAsked.value = false;
    ended.value = true;
    await changed();
  });
  return (
    <details>
      <summary>End its sessions</summary>
      <p>As when its tokens have been seen where they should not be. How many sessions it has is its holder's alone.</p>
      <div class="row">
        <button type="button" class="grave" onClick={() => (isAsked.value = true)}>
          End them all…
        </button>
        <span role="status" class="quiet">
          {ended.value && "They have ended."}
        </span>
      </div>
      {isAsked.value && (
        <Sure
          title="End all its sessions?"
          verb="End them"
          action={action}
          close={() => (isAsked.value = false)}
          isGrave
        >
          <p>Every device of the account is signed out with its next request. Its holder signs in again as before.</p>
        </Sure>
      )}
    </details>
  );
}
