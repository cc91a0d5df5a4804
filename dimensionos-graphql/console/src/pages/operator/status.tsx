import type { ServiceStatus } from "../../gql";
import { STATUSES } from "./said";

/** What an account may do, in a word. */
export function Status({ of: status }: { of: ServiceStatus }) {
  return (
    <span class="pill" data-status={status}>
      {STATUSES[status]}
    </span>
  );
}
