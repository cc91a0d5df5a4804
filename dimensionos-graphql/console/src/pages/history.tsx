import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { comebacks } from "../api/live";
import { Refusal, words } from "../api/refusal";
import { ask } from "../api/session";
import { bitsPerSecond, bytes, cores, count, figure, memory, moment } from "../format";
import { graphql, type Resolution, type Resource, type UsageHistoryQuery } from "../gql";
import { Chart, type Columns } from "../ui/chart";
import { Card, Empty, Refused, Waiting } from "../ui/parts";
import { standing } from "./account";

const UsageHistory = graphql(`
  query UsageHistory($resource: Resource!, $from: DateTime!, $to: DateTime!, $resolution: Resolution!) {
    me {
      id
      usageHistory(resource: $resource, from: $from, to: $to, resolution: $resolution) { at total average peak }
    }
  }
`);

type Points = UsageHistoryQuery["me"]["usageHistory"];

/** A stretch of time, in seconds since 1970. */
interface Range {
  from: number;
  to: number;
}

const HOUR = 3600;
const DAY = 24 * HOUR;
/** How long the server keeps minutes and hours. */
const MINUTES_KEPT = 48 * HOUR;
const HOURS_KEPT = 90 * DAY;
/** The longest stretches that are drawn by the minute and by the hour: some points for each pixel of a wide screen. */
const BY_MINUTE = DAY;
const BY_HOUR = 31 * DAY;

const LENGTHS: Record<Resolution, number> = { MINUTE: 60, HOUR, DAY };
const PRESETS: [string, number][] = [
  ["Hour", HOUR],
  ["Day", DAY],
  ["Month", 30 * DAY],
  ["Year", 365 * DAY],
];

interface Shown {
  name: string;
  /** The figure of a bucket: what was added in it, or the mean of what was read. */
  value: (point: Points[number], seconds: number) => number | null;
  format: (value: number) => string;
}

const bucketSum = (point: Points[number]) => point.total;
const mean = (point: Points[number]) => point.average;

/** Each resource in the unit that people read it in. */
const RESOURCES: Partial<Record<Resource, Shown>> & Record<"CPU", Shown> = {
  CPU: { name: "Processor", value: mean, format: (thousandths) => cores(thousandths / 1000) },
  RAM: { name: "Memory", value: mean, format: (value) => memory(value / 1_048_576) },
  STORAGE: { name: "Storage", value: mean, format: bytes },
  FILES: { name: "Files", value: mean, format: count },
  BYTES_SENT: { name: "Sent", value: mean, format: (value) => bitsPerSecond(value * 8) },
  BYTES_RECEIVED: { name: "Received", value: mean, format: (value) => bitsPerSecond(value * 8) },
  CONNECTIONS: { name: "Connections", value: mean, format: figure },
  RECORDS: { name: "Database records", value: mean, format: count },
  DATABASE_QUERIES: { name: "Database queries", value: bucketSum, format: count },
  API_CALLS: { name: "API calls", value: bucketSum, format: count },
  FILE_OPERATIONS: { name: "File operations", value: bucketSum, format: count },
};

/** What was used, by minute, hour or day: the finest that the stretch allows. */
export function History() {
  const resource = useSignal<Resource>("CPU");
  const range = useSignal<Range>(until(DAY));
  const points = useSignal<Points | null>(null);
  const refusal = useSignal<Refusal | null>(null);
  const { from, to } = range.value;
  const resolution = finest(range.value);
  const shown = RESOURCES[resource.value] ?? RESOURCES.CPU;

  useEffect(() => {
    let isCurrent = true;
    const instants = { from: new Date(from * 1000).toISOString(), to: new Date(to * 1000).toISOString() };
    ask(UsageHistory, { resource: resource.value, ...instants, resolution })
      .then(({ me }) => {
        if (!isCurrent) return;
        points.value = me.usageHistory;
        refusal.value = null;
      })
      .catch((error: unknown) => {
        if (!(error instanceof Refusal)) throw error;
        if (isCurrent) refusal.value = error;
      });
    return () => {
      isCurrent = false;
    };
  }, [resource.value, from, to, resolution, comebacks.value]);

  if (standing.value?.status === "SUSPENDED") {
    return (
      <>
        <h1 tabIndex={-1}>History</h1>
        <Empty>While the account is suspended its figures are not shown. They are in the export of your data.</Empty>
      </>
    );
  }
  return (
    <>
      <h1 tabIndex={-1}>History</h1>
      <div class="row controls">
        <label>
          Of{" "}
          <select value={resource.value} onChange={(event) => (resource.value = event.currentTarget.value as Resource)}>
            {Object.entries(RESOURCES).map(([name, { name: label }]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <div class="presets" role="group" aria-label="How far back">
          {PRESETS.map(([name, seconds]) => (
            <button
              key={name}
              type="button"
              aria-pressed={Math.abs(to - from - seconds) < 1}
              onClick={() => (range.value = until(seconds))}
            >
              {name}
            </button>
          ))}
        </div>
      </div>
      <Card
        title={shown.name}
        aside={
          <span class="quiet">
            {moment(from * 1000)} to {moment(to * 1000)}, by the {words(resolution)}
          </span>
        }
      >
        <Refused refusal={refusal.value} />
        {points.value === null ? (
          refusal.value === null && <Waiting lines={7} />
        ) : (
          <>
            <Chart
              summary={summary(shown, points.value, resolution)}
              columns={columns(points.value, shown, resolution)}
              curves={[{ name: shown.name, colour: "accent" }]}
              format={shown.format}
              isBinary={resource.value === "RAM"}
              between={[from, to]}
              height={280}
              chosen={(chosenFrom, chosenTo) => (range.value = widened({ from: chosenFrom, to: chosenTo }))}
            />
            <p class="quiet">Drag over a part of it to look closer. A stretch without a line is one nobody measured.</p>
            {points.value.length > 0 && <Figures points={points.value} shown={shown} resolution={resolution} />}
          </>
        )}
      </Card>
    </>
  );
}

function until(seconds: number): Range {
  const now = Math.ceil(Date.now() / 60_000) * 60;
  return { from: now - seconds, to: now };
}

/** At least ten minutes: less has nothing in it to look at. */
function widened({ from, to }: Range): Range {
  const least = 10 * 60;
  const middle = (from + to) / 2;
  return to - from >= least ? { from, to } : { from: middle - least / 2, to: middle + least / 2 };
}

function finest({ from, to }: Range): Resolution {
  const age = Date.now() / 1000 - from;
  if (to - from <= BY_MINUTE && age <= MINUTES_KEPT) return "MINUTE";
  return to - from <= BY_HOUR && age <= HOURS_KEPT ? "HOUR" : "DAY";
}

/** Buckets in which nobody measured break the line. */
function columns(points: Points, shown: Shown, resolution: Resolution): Columns {
  const length = LENGTHS[resolution];
  const times: number[] = [];
  const values: (number | null)[] = [];
  for (const point of points) {
    const at = Date.parse(point.at) / 1000;
    const last = times.at(-1);
    if (last !== undefined && at - last > 1.5 * length) {
      times.push(last + length);
      values.push(null);
    }
    times.push(at);
    values.push(shown.value(point, length));
  }
  return [times, values];
}

function summary({ name, value, format }: Shown, points: Points, resolution: Resolution): string {
  const values = points.map((point) => value(point, LENGTHS[resolution])).filter((one) => one !== null);
  if (values.length === 0) return `${name}: not measured in this time.`;
  const highest = values.reduce((high, one) => Math.max(high, one), 0);
  return `${name}, ${values.length} readings by the ${words(resolution)}. Highest: ${format(highest)}.`;
}

/** Rows that are written out at most. */
const MAX_ROWS = 200;

/** The same as a table, for whoever reads figures rather than lines. */
function Figures({ points, shown, resolution }: { points: Points; shown: Shown; resolution: Resolution }) {
  const newest = points.slice(-MAX_ROWS).reverse();
  return (
    <details>
      <summary>As figures</summary>
      <div class="scrolled" tabIndex={0} role="group" aria-label="Figures">
        <table>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">{shown.name}</th>
            </tr>
          </thead>
          <tbody>
            {newest.map((point) => {
              const value = shown.value(point, LENGTHS[resolution]);
              return (
                <tr key={point.at}>
                  <td>{moment(point.at)}</td>
                  <td class="number">{value === null ? "not measured" : shown.format(value)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </details>
  );
}
