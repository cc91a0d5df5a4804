// What was measured, in Markdown.
import { quantile } from "../time.mjs";

const line = (cells) => `| ${cells.join(" | ")} |`;
const head = (...names) => `${line(names)}\n${line(names.map(() => "---"))}`;
const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const µs = (ms, count) => (count ? number((ms * 1_000) / count) : "–");
const each = (value, count, digits = 0) => (count ? number(value / count, digits) : "–");
const quantiles = (times) => [0.5, 0.99].map((part) => number(quantile(times, part), 1)).join(" / ");

const MEASURES = [
  ["servers, µs a report", (seen) => µs(seen.servers, seen.reports)],
  ["a value, µs", (seen) => µs(seen.servers, seen.events)],
  ["PostgreSQL, µs a report", (seen) => µs(seen.postgres, seen.reports)],
  ["NATS, µs a report", (seen) => µs(seen.nats, seen.reports)],
  ["reports/s", (seen) => number((seen.reports * 1_000) / seen.at)],
  ["values/s", (seen) => number((seen.events * 1_000) / seen.at)],
  ["bytes to NATS a sample", (seen) => each(seen.inBytes, seen.samples)],
  ["from NATS", (seen) => each(seen.outBytes, seen.samples)],
  ["messages a report", (seen) => each(seen.messages, seen.reports, 2)],
  ["log, bytes a report", (seen) => each(seen.wal, seen.reports)],
  ["rows a report", (seen) => (seen.life ? each(seen.life.rows, seen.lifeReports, 1) : "–")],
  ["commits a report", (seen) => (seen.life ? each(seen.life.commits, seen.lifeReports, 2) : "–")],
  ["acknowledged, ms p50 / p99", (seen) => quantiles(seen.times)],
  ["counted after that, ms p50 / p99", ({ lag }) => (lag ? `${number(lag.p50, 1)} / ${number(lag.p99, 1)}` : "–")],
];

export const playedHead = () => head("report of", "servers", "repeat", ...MEASURES.map(([name]) => name));

export const played = (seen) =>
  line([seen.load.name, seen.variant.name, seen.repeat, ...MEASURES.map(([, measure]) => measure(seen))]);

const loads = (all) => [...new Set(all.map(({ load }) => load))];
const median = (values) => {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

function parts(all, load, name) {
  const repeats = all.filter((seen) => seen.load === load && seen.variant.name === name);
  const per = (what, by) => median(repeats.map((seen) => (seen[what] * 1_000) / seen[by]));
  return {
    report: per("servers", "reports"),
    value: repeats[0].events ? per("servers", "events") : undefined,
    postgres: per("postgres", "reports"),
    nats: per("nats", "reports"),
    spread: spread(repeats.map((seen) => seen.servers / seen.reports)),
  };
}

/** How far repeats lie apart: the most of them by the least. */
const spread = (values) => Math.max(...values) / Math.min(...values);

export function medians(all) {
  const names = [...new Set(all.map(({ variant }) => variant.name))];
  const lines = loads(all).flatMap((load) =>
    names.map((name) => {
      const { report, value, postgres, nats, spread: apart } = parts(all, load, name);
      const shown = [report, value ?? Number.NaN, postgres, nats].map((one) => (Number.isNaN(one) ? "–" : number(one)));
      return line([load.name, name, ...shown, number(apart, 2)]);
    }),
  );
  const columns = ["servers, µs a report", "a value", "PostgreSQL, µs a report", "NATS, µs a report"];
  return [head("medians: report of", "servers", ...columns, "most by least"), ...lines].join("\n");
}

/** Of medians, servers alone and with their engines. */
export function ratios(all, pairs) {
  const lines = loads(all).flatMap((load) =>
    pairs.map(([name, base]) => {
      const [one, other] = [parts(all, load, name), parts(all, load, base)];
      const whole = ({ report, postgres, nats }) => report + postgres + nats;
      const values = one.value ? number(one.value / other.value, 2) : "–";
      const each = number(one.report / other.report, 2);
      return line([load.name, name, base, each, values, number(whole(one) / whole(other), 2)]);
    }),
  );
  return [head("report of", "servers", "against", "a report", "a value", "with engines"), ...lines].join("\n");
}

export const idleHead = () =>
  head(
    "nobody reports",
    "ms of processor a second, all servers",
    "PostgreSQL",
    "NATS",
    "bytes/s to NATS",
    "from NATS",
    "messages/s",
    "log, bytes/s",
    "resident, MB",
  );

export function idle(seen) {
  const seconds = seen.at / 1_000;
  const spent = [seen.servers, seen.postgres, seen.nats].map((ms) => number(ms / seconds, 1));
  const bus = [seen.inBytes, seen.outBytes].map((bytes) => number(bytes / seconds));
  const memory = seen.memory.map((bytes) => number(bytes / 1e6)).join(", ");
  return line([
    seen.state.name,
    ...spent,
    ...bus,
    number(seen.messages / seconds, 1),
    number(seen.wal / seconds),
    memory,
  ]);
}

export const rowsHead = () =>
  head(
    "1,000 samples a report",
    "samples",
    "samples/s",
    "server, µs a sample",
    "PostgreSQL, µs a sample",
    "rows a sample",
    "of them in place",
    "log, bytes a sample",
    "samples a commit",
  );

export function rows(seen) {
  const { life, samples } = seen;
  const time = [seen.servers, seen.postgres].map((ms) => number((ms * 1_000) / samples, 1));
  const written = [each(life.rows, samples, 2), each(life.hot, life.rows, 2), each(seen.wal, samples)];
  return line([
    seen.name,
    number(samples),
    number((samples * 1_000) / seen.at),
    ...time,
    ...written,
    each(samples, life.commits),
  ]);
}

export function sizes(found) {
  const lines = found.map(({ table, heap, indexes, rows: count }) =>
    line([table, number(count), each(heap, count), each(indexes, count), number((heap + indexes) / 1e6)]),
  );
  return [head("table", "rows", "bytes a row", "of indexes a row", "MB"), ...lines].join("\n");
}
