import { words } from "../../api/refusal";
import { figure, span } from "../../format";

/** One step of a ladder, as policies write it. */
interface Step {
  strikes: number;
  sanction: string;
  hours: number;
}

/** A policy, as far as it is shown. */
interface Written {
  half_life_days: number;
  warn: Step[];
  restrict: Step[];
  rules?: Record<string, Step[]>;
}

/** Policies count strikes in thousandths, since an earlier one counts for less with time. */
const STRIKE = 1000;
const HOUR = 3600;

/** What follows from what, in rising order; with what differs from another policy marked. */
export function Ladders({ name, policy, beside }: { name: string; policy: string; beside?: string | undefined }) {
  const read = JSON.parse(policy) as Written;
  const own = ladders(read);
  const others = beside === undefined ? own : ladders(JSON.parse(beside) as Written);
  // Also those that only the other has: here their rules go by the general ones.
  const names = [...new Set([...own.keys(), ...others.keys()])];
  return (
    <>
      <p>
        Whoever did something before meets more. What went before counts for half after {read.half_life_days} days of
        good conduct.
      </p>
      <div class="scrolled whole" tabIndex={0} role="group" aria-label={`What follows, ${name}`}>
        <table>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">What follows</th>
            </tr>
          </thead>
          <tbody>
            {names.map((from) => (
              <tr key={from}>
                <th scope="row">
                  {from} {said(own.get(from)) !== said(others.get(from)) && <span class="pill near">differs</span>}
                </th>
                <td>{said(own.get(from))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** The general ladders first, then those that rules have of their own. */
function ladders({ warn, restrict, rules }: Written): Map<string, Step[]> {
  const own = Object.entries(rules ?? {}).map(([name, steps]): [string, Step[]] => [name, steps]);
  return new Map([["any warning", warn], ["any restriction", restrict], ...own]);
}

function said(steps: Step[] | undefined): string {
  return steps ? steps.map(step).join("; ") : "as any other";
}

function step({ strikes, sanction, hours }: Step): string {
  const before = strikes === 0 ? "at first" : `after ${figure(strikes / STRIKE)} before`;
  return `${before}: ${words(sanction)}${sanction === "NONE" ? "" : ` for ${span(hours * HOUR)}`}`;
}
