// One load on several arrangements of servers, in turns, so that what the machine does besides befalls all of them.
import { quantile, sleep, until } from "../time.mjs";
import { Sources, Watchers } from "./clients.mjs";
import { difference, logged, spent } from "./figures.mjs";
import { uuidOf } from "./place.mjs";

const ACCOUNTS = 200;
/** Reports a second, far below what a server can take: the same work in all variants, which differ in what it costs. */
const LOADS = [
  { name: "1 sample", samples: 1, perSecond: 600 },
  { name: "100 samples of 100 accounts", samples: 100, perSecond: 16 },
];
const PROBES = 30;

/**
 * @typedef {object} Variant
 * @property {string} name
 * @property {number} servers
 * @property {boolean} hasNats
 * @property {boolean} isWatched every account, on the last server
 * @property {boolean} [isMoving] reports go to any server by chance, and not to the first
 * @property {boolean} [isLogged] reports are acknowledged by a stream
 */
/** @type {Variant[]} */
export const VARIANTS = [
  { name: "alone", servers: 1 },
  { name: "nats", servers: 1, hasNats: true },
  { name: "stream", servers: 1, hasNats: true, isLogged: true },
  { name: "alone, watched", servers: 1, isWatched: true },
  { name: "two, watched on B", servers: 2, hasNats: true, isWatched: true },
  { name: "two, moving, watched on B", servers: 2, hasNats: true, isWatched: true, isMoving: true },
];
/** What is held against what. */
export const PAIRS = [
  ["nats", "alone"],
  ["stream", "alone"],
  ["two, watched on B", "alone, watched"],
  ["two, moving, watched on B", "alone, watched"],
];

/** Plays all variants so often, under each load; calls `each` with every one that was played. */
export async function compare(place, { repeats, seconds }, each) {
  await place.serve(1);
  // One of them is reported by nobody else, to see when a report of it is counted.
  await place.register(ACCOUNTS + 1);
  await place.rest();
  const sources = { all: new Sources(place, "all", 16), one: new Sources(place, "one", 1) };
  const played = [];
  for (const load of LOADS) {
    for (let repeat = 1; repeat <= repeats; repeat += 1) {
      for (const variant of VARIANTS) {
        const seen = { load, repeat, variant, ...(await play(place, sources, load, variant, seconds)) };
        played.push(seen);
        each(seen);
      }
    }
  }
  return played;
}

async function play(place, sources, load, variant, seconds) {
  const written = await place.sql.written();
  await place.serve(variant.servers, {
    hasNats: variant.hasNats,
    settings: variant.isLogged ? { REPORTS: "stream" } : {},
  });
  const { replicas } = place;
  const accounts = place.accounts.slice(0, ACCOUNTS);
  const watchers = variant.isWatched ? await Watchers.open(replicas.at(-1), accounts) : undefined;
  const replica = () => replicas[variant.isMoving ? Math.floor(Math.random() * replicas.length) : 0];
  const begin = () => sources.all.begin(load.perSecond, (number) => samplesOf(accounts, load.samples, number), replica);
  const run = begin();
  // Others believe only after some seconds that they are told all of what is followed.
  await sleep(variant.hasNats ? 5_000 : 2_000);
  const counts = () => ({ reports: run.reports, samples: run.samples, events: watchers?.events ?? 0 });
  const before = { ...(await spent(place)), ...counts() };
  run.times.length = 0;
  await sleep(seconds * 1_000);
  const times = Float64Array.from(run.times);
  await run.stop();
  if (variant.isLogged && (await until(async () => (await logged(place.nats)) === 0, 30_000)) === null) {
    throw new Error("reports stay in the stream");
  }
  const seen = difference({ ...(await spent(place)), ...counts() }, before);
  watchers?.close();
  const lag = variant.isLogged ? await countedAfter(place, sources.one, begin()) : undefined;
  await place.rest();
  // Where more was reported to see how late it is counted, rows are not counted.
  const life = lag ? undefined : difference(await place.sql.written(), written);
  return { ...seen, times, lag, life, lifeReports: run.reports };
}

/** The n-th report: of one account, or of so many that follow one another. */
function samplesOf(accounts, count, number) {
  const one = (_, place) => {
    const { id: account } = accounts[(number * count + place) % accounts.length];
    return sample(account, number);
  };
  return Array.from({ length: count }, one);
}

/** Eight figures, as an agent has them; the files change each time, so that whoever watches is told. */
export function sample(account, number) {
  const amount = 1_000 + ((number * 7_919) % 1_000);
  return {
    account,
    cpuMillicores: amount,
    ramBytes: 400_000_000 + amount * 4_096,
    storageBytes: 2_000_000_000 + number * 512,
    fileCount: number,
    cpuMicroseconds: amount,
    bytesSent: amount * 37,
    bytesReceived: amount * 11,
    databaseQueries: 3,
  };
}

/** How long it takes from a report's acknowledgement until PostgreSQL has it, beside the load. */
async function countedAfter(place, source, beside) {
  const { id } = place.accounts[ACCOUNTS];
  const read = `SELECT coalesce(max(version), 0) FROM usage_readings WHERE account_id = '${uuidOf(id)}'`;
  const lags = [];
  for (let probe = 0; probe < PROBES; probe += 1) {
    const [before] = await place.sql.numbers(read);
    await source.once(place.replicas[0], [sample(id, probe)]);
    const lag = await until(async () => (await place.sql.numbers(read))[0] > before, 10_000, 1);
    if (lag === null) throw new Error("a logged report is not counted");
    lags.push(lag);
    await sleep(20 + Math.random() * 50);
  }
  await beside.stop();
  return { p50: quantile(lags, 0.5), p99: quantile(lags, 0.99) };
}
