import { useSignal } from "@preact/signals";

import { words } from "../../api/refusal";
import { ask } from "../../api/session";
import { count } from "../../format";
import { graphql, type ReplayQuery } from "../../gql";
import { useAction } from "../../ui/action";
import { DayField, dayFromNow, instantOf } from "../../ui/inputs";
import { Card, Empty, Fact, Facts, Form, Refused, text, Waiting } from "../../ui/parts";
import { useReading } from "./reading";

const ReplayDocument = graphql(`
  query Replay($from: DateTime!) {
    replayDecisions(from: $from) { checked differing unknown }
  }
`);
const TransparencyDocument = graphql(`
  query Transparency($month: DateTime!) {
    transparencyReport(month: $month) { group name count }
  }
`);

/** Decides again what was decided. */
export function Replay() {
  const came = useSignal<ReplayQuery["replayDecisions"] | null>(null);
  const action = useAction(async (_, form: FormData) => {
    came.value = null;
    came.value = (await ask(ReplayDocument, { from: instantOf(text(form, "from")) })).replayDecisions;
  });
  return (
    <Card title="Decide again">
      <p>Every decision is made again from its stored figures, by the policy of its day. Nothing is changed by it.</p>
      <Form action={action} verb="Decide again" class="inline">
        <DayField label="All since" name="from" start={dayFromNow(-30)} max={dayFromNow(0)} />
      </Form>
      <div role="status">
        {came.value && (
          <Facts>
            <Fact name="Decided again">{count(came.value.checked)}</Fact>
            <Fact name="Came out otherwise">{count(came.value.differing)}</Fact>
            <Fact name="By a policy that is not stored">{count(came.value.unknown)}</Fact>
          </Facts>
        )}
      </div>
    </Card>
  );
}

const MONTH = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });

/** The last month that is over, as everybody may read it. */
export function Transparency() {
  const now = new Date();
  const month = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString();
  const { value, refusal } = useReading(
    async () => (await ask(TransparencyDocument, { month })).transparencyReport,
    month,
  );
  return (
    <Card title="Transparency report" aside={<span class="quiet">{MONTH.format(new Date(month))}</span>}>
      <p class="quiet">Anybody may read it. Groups of fewer than ten have no number, so that nobody can be told.</p>
      <Refused refusal={refusal} />
      {value === null && refusal === null && <Waiting lines={4} />}
      {value?.length === 0 && <Empty>Nothing was found or decided in that month.</Empty>}
      {value && value.length > 0 && (
        <div class="scrolled whole" tabIndex={0} role="group" aria-label="Transparency report">
          <table>
            <thead>
              <tr>
                <th scope="col">By</th>
                <th scope="col">Which</th>
                <th scope="col">How many</th>
              </tr>
            </thead>
            <tbody>
              {value.map(({ group, name, count: how }) => (
                <tr key={`${group} ${name}`}>
                  <td>{words(group)}</td>
                  <th scope="row">{words(name)}</th>
                  <td class="number">{how === null ? "fewer than ten" : count(how)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}
