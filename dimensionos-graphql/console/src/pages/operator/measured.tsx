import { ask } from "../../api/session";
import { bytes, cores, count, day, figure, gigabytes, memory, moment, NOT_MEASURED, percent } from "../../format";
import { graphql, type MeasuredQuery } from "../../gql";
import { Meter } from "../../ui/meter";
import { Card, Refused, Waiting } from "../../ui/parts";
import { useReading } from "./reading";
import { RESOURCES } from "./resources";

const MeasuredDocument = graphql(`
  query Measured($id: ID!) {
    account(id: $id) {
      id
      metrics {
        at
        cpu { coresAllocated coresUsed percent }
        ram { megabytesAllocated megabytesUsed percent }
        storage { gigabytesAllocated gigabytesUsed percent fileCount }
        network { bytesSent bytesReceived connections }
        database { tableCount recordCount queriesPerSecond }
        activity { apiCallsPerHour fileOperationsPerHour }
      }
      usage(period: MONTH) { from resources { resource total average peak limit percent } }
    }
  }
`);

type Measured = NonNullable<MeasuredQuery["account"]>;

/** Operators follow no account live: they look, so often. */
const LOOK_AGAIN_MS = 10_000;

/** What it uses now, and what it used this month: numbers alone. */
export function Measured({ id }: { id: string }) {
  const { value, refusal } = useReading(async () => (await ask(MeasuredDocument, { id })).account, "", LOOK_AGAIN_MS);
  return (
    <>
      <Card
        title="What it uses now"
        aside={<span class="quiet">{value ? `measured ${moment(value.metrics.at)}` : "\u00a0"}</span>}
      >
        <Refused refusal={refusal} />
        {value ? <Meters {...value.metrics} /> : refusal === null && <Waiting lines={8} />}
      </Card>
      <Card title="This month" aside={<span class="quiet">{value ? `since ${day(value.usage.from)}` : "\u00a0"}</span>}>
        {value ? <Month {...value.usage} /> : refusal === null && <Waiting lines={10} />}
      </Card>
    </>
  );
}

/** A figure as it is read, where there is one. */
function read(value: number | null, format: (value: number) => string): string | null {
  return value === null ? null : format(value);
}

function Meters({ cpu, ram, storage, network, database, activity }: Measured["metrics"]) {
  const plain = { of: null, filled: null };
  return (
    <div class="meters">
      <Meter
        name="Processor"
        used={read(cpu.coresUsed, cores)}
        of={cores(cpu.coresAllocated)}
        filled={cpu.percent}
      />
      <Meter
        name="Memory"
        used={read(ram.megabytesUsed, memory)}
        of={memory(ram.megabytesAllocated)}
        filled={ram.percent}
      />
      <Meter
        name="Storage"
        used={read(storage.gigabytesUsed, gigabytes)}
        of={gigabytes(storage.gigabytesAllocated)}
        filled={storage.percent}
        more={read(storage.fileCount, (files) => `${count(files)} files`)}
      />
      <Meter name="Sent this month" used={read(network.bytesSent, bytes)} {...plain} />
      <Meter name="Received this month" used={read(network.bytesReceived, bytes)} {...plain} />
      <Meter name="Connections" used={read(network.connections, count)} {...plain} />
      <Meter
        name="Database"
        used={read(database.queriesPerSecond, (value) => `${figure(value)} queries/s`)}
        {...plain}
        more={read(database.recordCount, (records) => `${count(records)} records`)}
      />
      <Meter name="API calls, last hour" used={count(activity.apiCallsPerHour)} {...plain} />
      <Meter name="File operations, last hour" used={count(activity.fileOperationsPerHour)} {...plain} />
    </div>
  );
}

function Month({ resources }: Measured["usage"]) {
  return (
    <div class="scrolled whole" tabIndex={0} role="group" aria-label="Use this month">
      <table>
        <thead>
          <tr>
            <th scope="col">Of</th>
            <th scope="col">In all</th>
            <th scope="col">Mean</th>
            <th scope="col">Highest</th>
            <th scope="col">Limit</th>
            <th scope="col">Of the limit</th>
          </tr>
        </thead>
        <tbody>
          {resources.map(({ resource, total, average, peak, limit, percent: part }) => {
            const { name, level, sum } = RESOURCES[resource];
            const cell = (value: number | null) => (value === null ? NOT_MEASURED : level(value));
            return (
              <tr key={resource}>
                <th scope="row">{name}</th>
                <td class="number">{total === null || !sum ? "" : sum(total)}</td>
                <td class="number">{cell(average)}</td>
                <td class="number">{cell(peak)}</td>
                <td class="number">{limit === null ? "none" : level(limit)}</td>
                <td class="number">{part === null ? "" : percent(part)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
