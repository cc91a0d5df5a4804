import { useSignal } from "@preact/signals";

import { Refusal } from "../../api/refusal";
import { ask } from "../../api/session";
import { bitsPerSecond, cents, cores, count, day, gigabytes, memory } from "../../format";
import { type AccountOfQuery, graphql, type Resource } from "../../gql";
import { useAction } from "../../ui/action";
import { DayField, dayFromNow, instantOf, NumberField } from "../../ui/inputs";
import { Card, Empty, Fact, Facts, Form, text } from "../../ui/parts";
import { Select } from "../../ui/select";
import { RESOURCES } from "./resources";

const SetLimit = graphql(`
  mutation SetLimit($account: ID!, $resource: Resource!, $limit: UInt53!, $until: DateTime!) {
    setLimit(account: $account, resource: $resource, limit: $limit, until: $until) { id }
  }
`);

type Account = NonNullable<AccountOfQuery["account"]>;

interface AllottedProps {
  account: Account;
  changed: () => Promise<void>;
}

/** What the account may use: by its tier, and by limits of its own. */
export function Allotted({ account, changed }: AllottedProps) {
  const { allocation, limitOverrides } = account;
  return (
    <Card title="What it may use" aside={<span class="quiet">as it counts at present</span>}>
      <Facts>
        <Fact name="Processor">{cores(allocation.cpuCores)}</Fact>
        <Fact name="Memory">{memory(allocation.ramMegabytes)}</Fact>
        <Fact name="Storage">{gigabytes(allocation.storageGigabytes)}</Fact>
        <Fact name="Bandwidth">{bitsPerSecond(allocation.bandwidthBitsPerSecond)}</Fact>
        <Fact name="API calls an hour">{count(allocation.apiCallsPerHour)}</Fact>
        <Fact name="File operations an hour">{count(allocation.fileOperationsPerHour)}</Fact>
        <Fact name="Price">{cents(allocation.priceCentsPerMonth)}</Fact>
      </Facts>
      <h3>Limits of its own</h3>
      {limitOverrides.length === 0 ? (
        <Empty>None: it goes by its tier.</Empty>
      ) : (
        <ul class="list">
          {limitOverrides.map(({ resource, limit, until }) => (
            <li key={resource} class="row spread">
              <span>
                {RESOURCES[resource].name}: {RESOURCES[resource].level(limit)}
              </span>
              <span class="quiet">until {day(until)}</span>
            </li>
          ))}
        </ul>
      )}
      <OwnLimit id={account.id} changed={changed} />
    </Card>
  );
}

function OwnLimit({ id, changed }: { id: string; changed: () => Promise<void> }) {
  const resource = useSignal<Resource>("STORAGE");
  const { name, level, unit, each } = RESOURCES[resource.value];
  const done = useSignal<string | null>(null);
  const action = useAction(async (_, form: FormData) => {
    done.value = null;
    const limit = Math.round(Number(text(form, "limit")) * each);
    if (!Number.isSafeInteger(limit)) throw new Refusal("INVALID_INPUT", "the limit is too large to count");
    await ask(SetLimit, { account: id, resource: resource.value, limit, until: instantOf(text(form, "until")) });
    done.value = `Set: ${name}, ${level(limit)}.`;
    await changed();
  });
  return (
    <details>
      <summary>Set a limit of its own</summary>
      <p>In the place of its tier's, higher or lower, until a day; then it ends by itself.</p>
      <Form action={action} verb="Set it">
        <Select
          label="Of what"
          name="resource"
          value={resource.value}
          chosen={(chosen) => (resource.value = chosen)}
          options={Object.entries(RESOURCES).map(([name, { name: called }]) => [name as Resource, called] as const)}
        />
        <NumberField label={`Limit, in ${unit}`} name="limit" />
        <DayField label="Until" name="until" start={dayFromNow(30)} min={dayFromNow(1)} />
      </Form>
      <p role="status">{done.value}</p>
    </details>
  );
}
