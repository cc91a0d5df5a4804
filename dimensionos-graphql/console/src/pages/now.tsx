import { type Line, WINDOW_SECONDS } from "../api/series";
import { connection, metrics, type Metrics, series } from "../api/live";
import { bitsPerSecond, bytes, cores, count, figure, fromNow, gigabytes, memory, moment, NOT_MEASURED } from "../format";
import { Chart, type Curve } from "../ui/chart";
import { Meter } from "../ui/meter";
import { Card, Empty } from "../ui/parts";
import { happened, type Standing, standing } from "./account";

/** What the account uses now, against what it is allotted. */
export function Now() {
  const account = standing.value;
  if (!account || account.status === "SUSPENDED" || account.status === "CANCELLED") {
    return (
      <>
        <h1 tabIndex={-1}>Now</h1>
        <Empty>What the account uses is not shown while it is not in use. Your data can be had under Security.</Empty>
      </>
    );
  }
  return (
    <>
      <div class="row spread">
        <h1 tabIndex={-1}>Now</h1>
        <p class="quiet">{asOf()}</p>
      </div>
      <Meters account={account} metrics={metrics.value} />
      <Lines />
      {metrics.value && nobodyMeasures(metrics.value) && <HowToMeasure id={account.id} />}
      <Happened />
    </>
  );
}

function asOf(): string {
  const reading = metrics.value;
  if (reading && nobodyMeasures(reading)) return NOT_MEASURED;
  if (!reading) return connection.value === "live" ? NOT_MEASURED : "waiting for the first reading";
  return connection.value === "live" ? `measured ${moment(reading.at)}` : `last measured ${fromNow(reading.at)}`;
}

function nobodyMeasures({ cpu, ram, storage }: Metrics): boolean {
  return cpu.coresUsed === null && ram.megabytesUsed === null && storage.gigabytesUsed === null;
}

/** A figure as it is read, where there is one. */
function read(value: number | null | undefined, format: (value: number) => string): string | null {
  return value == null ? null : format(value);
}

function part(value: number | null | undefined, of: number): number | null {
  return value == null || of <= 0 ? null : (value / of) * 100;
}

const perSecond = (value: number) => `${bytes(value)}/s`;

function Meters({ account: { allocation }, metrics }: { account: Standing; metrics: Metrics | null }) {
  const { cpu, ram, storage, network, database, activity } = metrics ?? {};
  // Reading the version draws this again with each new point.
  void series.version.value;
  const [sent, received] = [series.newest("sentPerSecond"), series.newest("receivedPerSecond")];
  const bandwidth = allocation.bandwidthBitsPerSecond;
  const records = read(database?.recordCount, (value) => `${count(value)} records`);
  const month = (value: number | null | undefined) => read(value, (sum) => `${bytes(sum)} this month`);
  return (
    <div class="meters">
      <Meter
        name="Processor"
        used={read(cpu?.coresUsed, cores)}
        of={cores(allocation.cpuCores)}
        filled={cpu?.percent ?? null}
      />
      <Meter
        name="Memory"
        used={read(ram?.megabytesUsed, memory)}
        of={memory(allocation.ramMegabytes)}
        filled={ram?.percent ?? null}
      />
      <Meter
        name="Storage"
        used={read(storage?.gigabytesUsed, gigabytes)}
        of={gigabytes(allocation.storageGigabytes)}
        filled={storage?.percent ?? null}
        more={read(storage?.fileCount, (files) => `${count(files)} files`)}
      />
      <Meter
        name="Sent"
        used={read(sent, (value) => bitsPerSecond(value * 8)) ?? month(network?.bytesSent)}
        of={bitsPerSecond(bandwidth)}
        filled={part(sent, bandwidth / 8)}
        more={sent === null ? null : month(network?.bytesSent)}
      />
      <Meter
        name="Received"
        used={read(received, (value) => bitsPerSecond(value * 8)) ?? month(network?.bytesReceived)}
        of={bitsPerSecond(bandwidth)}
        filled={part(received, bandwidth / 8)}
        more={received === null ? null : month(network?.bytesReceived)}
      />
      <Meter name="Connections" used={read(network?.connections, count)} of={null} filled={null} />
      <Meter
        name="Database"
        used={read(database?.queriesPerSecond, (value) => `${figure(value)} queries/s`)}
        of={null}
        filled={null}
        more={records ?? (database ? `${database.engine.toLowerCase().replaceAll("_", " ")}` : null)}
      />
      <Meter
        name="API calls, last hour"
        used={read(activity?.apiCallsPerHour, count)}
        of={count(allocation.apiCallsPerHour)}
        filled={part(activity?.apiCallsPerHour, allocation.apiCallsPerHour)}
      />
      <Meter
        name="File operations, last hour"
        used={read(activity?.fileOperationsPerHour, count)}
        of={count(allocation.fileOperationsPerHour)}
        filled={part(activity?.fileOperationsPerHour, allocation.fileOperationsPerHour)}
      />
    </div>
  );
}

interface Live {
  title: string;
  lines: Line[];
  curves: Curve[];
  format: (value: number) => string;
  isBinary?: boolean;
}

const CHARTS: Live[] = [
  { title: "Processor", lines: ["cores"], curves: [{ name: "Processor", colour: "accent" }], format: cores },
  {
    title: "Memory",
    lines: ["megabytes"],
    curves: [{ name: "Memory", colour: "accent" }],
    format: memory,
    isBinary: true,
  },
  {
    title: "Network",
    lines: ["sentPerSecond", "receivedPerSecond"],
    curves: [
      { name: "Sent", colour: "accent" },
      { name: "Received", colour: "second" },
    ],
    format: perSecond,
  },
  {
    title: "Database queries",
    lines: ["queries"],
    curves: [{ name: "Queries", colour: "accent" }],
    format: (value) => `${figure(value)}/s`,
  },
];

/** The shortest stretch that is shown: the page has only just been opened. */
const SHORTEST_SECONDS = 2 * 60;

function Lines() {
  // Reading the version draws this again with each new point.
  void series.version.value;
  const [times] = series.columns([]);
  const newest = times.at(-1) ?? Date.now() / 1000;
  const first = Math.max(newest - WINDOW_SECONDS, Math.min(times[0] ?? newest, newest - SHORTEST_SECONDS));
  return (
    <div class="charts">
      {CHARTS.map((chart) => (
        <LiveChart key={chart.title} {...chart} between={[first, newest]} />
      ))}
    </div>
  );
}

function LiveChart({ title, lines, curves, format, isBinary = false, between }: Live & { between: [number, number] }) {
  const said = lines.map((line, index) => {
    const value = series.newest(line);
    return `${curves[index]?.name ?? ""} ${value === null ? NOT_MEASURED : format(value)}`;
  });
  const stretch = `last ${Math.ceil((between[1] - between[0]) / 60)} minutes`;
  return (
    <Card title={title} aside={<span class="quiet">{stretch}</span>}>
      <Chart
        summary={`${title}, ${stretch}. Now: ${said.join(", ")}.`}
        columns={series.columns(lines)}
        curves={curves}
        format={format}
        isBinary={isBinary}
        between={between}
      />
    </Card>
  );
}

function HowToMeasure({ id }: { id: string }) {
  return (
    <Card title="Nobody measures this account yet">
      <p>
        An agent does. Whoever runs the server makes a token for it (<code>agent create</code>), and it is started where
        the workload runs, with <code>--host</code> for a whole machine or <code>--pid</code> for one process:
      </p>
      <pre tabIndex={0}>
        {"dimensionos-graphql agent create --name NAME\n"}
        {`dimensionos-agent --server ${location.origin} --account ${id} --token TOKEN --pid PID`}
      </pre>
    </Card>
  );
}

function Happened() {
  return (
    <Card title="What happened" aside={<span class="quiet">while this page was open</span>}>
      {happened.value.length === 0 ? (
        <Empty>Nothing yet. Limits that are crossed, changes of status and findings show up here by themselves.</Empty>
      ) : (
        <ol class="events">
          {happened.value.map(({ key, at, said }) => (
            <li key={key}>
              <time dateTime={new Date(at).toISOString()}>{moment(at)}</time> {said}
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

