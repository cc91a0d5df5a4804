// One case: load on everything, then the fault, then its end, and what was seen of it.
import { Tally } from "./client.mjs";
import { Live } from "./live.mjs";
import { Load } from "./load.mjs";
import { Standing } from "./standing.mjs";
import { Takers } from "./takers.mjs";
import { quantile, sleep, until } from "./time.mjs";

/**
 * @typedef {object} Case
 * @property {string} name on the command line
 * @property {string} title in the table; `{30}` is how many seconds it lasts, unless `--hold` says otherwise
 * @property {number[]} works the replicas that have to go on meanwhile as if nothing were
 * @property {(run: Run) => Promise<string | void>} fault does it, and undoes it; gives what is worth telling
 * @property {boolean} [needsNats]
 * @property {"nats"} [stops] what is away for all: where reports are acknowledged by it, they wait for it
 * @property {number} [pause] milliseconds between one suspension and the next
 * @property {Partial<Bounds>} [bounds] other than `BOUNDS`
 *
 * @typedef {object} Bounds milliseconds; what a run may not pass
 * @property {number} gap without an acknowledged report, on each of the replicas that have to go on
 * @property {number} together without a report that any replica acknowledged
 * @property {number} live until a reading is with whoever watches, on each of those replicas
 * @property {number} accepted from the answer to a suspension to the last operation that any replica accepted
 * @property {number} stream until a suspended account's stream has ended, on each of the replicas that have to go on
 * @property {number} recovery after the fault's end until every replica has a report acknowledged, and tells of readings
 *
 * @typedef {object} Run
 * @property {import("./world.mjs").World} world
 * @property {(seconds: number) => Promise<void>} hold as long as the case lasts, or as `--hold` says
 * @property {boolean} isLong
 */

/** @type {Bounds} */
export const BOUNDS = { gap: 3_000, together: 3_000, live: 3_000, accepted: 1_000, stream: 2_000, recovery: 15_000 };
/** Before the fault, and after its end, everything goes its way for so long. */
const CALM = 2_500;

/**
 * @param {import("./world.mjs").World} world
 * @param {Case} the
 */
export async function play(world, the, options) {
  const tally = new Tally();
  const limit = 400;
  const takers = await Takers.create(world, limit, tally);
  const load = new Load(world, tally);
  // Told by the replica that most faults befall, and by one that they leave alone.
  const [touched, live] = [new Live(world, tally, 0), new Live(world, tally, 1)];
  const works = () => the.works.map((index) => world.replicas[index]);
  const standing = new Standing(world, works, the.pause);
  const exits = world.replicas.reduce((sum, replica) => sum + replica.ownExits, 0);
  const before = world.ledger.acknowledged;
  const everything = [load, live, touched, takers, standing];
  everything.forEach((part) => part.start());
  await sleep(CALM);
  const hold = (seconds) => sleep((options.hold ?? seconds) * 1_000);
  let note;
  const failures = [];
  try {
    note = await the.fault({ world, hold, isLong: options.isLong });
  } catch (fault) {
    failures.push(fault.message);
  }
  const healed = performance.now();
  const hasRecovered = () =>
    load.pulse.every(({ begun }) => begun >= healed) &&
    (!world.nats || [live, touched].every((one) => one.hasArrivedEverywhere(healed)));
  const recovery = await until(hasRecovered, 90_000, 20);
  await sleep(CALM);
  await Promise.all(everything.map((part) => part.stop()));
  await takers.rush(limit);
  await world.ledger.settle(world);
  const [ledger, keyed] = await Promise.all([world.ledger.compare(world), takers.compare()]);
  const delays = live.delays();
  const of = (lists) => the.works.flatMap((index) => lists[index]);
  return judge(the, world, failures, {
    title: the.title.replace(/\{(\d+)\}/g, (_, seconds) => options.hold ?? seconds),
    refused: tally.inWords(),
    reports: world.ledger.acknowledged - before,
    gapTogether: load.together.longest,
    gapOfWorking: longest(the.works.map((index) => load.pulse[index].longest)),
    gap: longest(load.pulse.map((pulse) => pulse.longest)),
    liveOfWorking: longest(of(delays)),
    live: longest([...delays.flat(), ...touched.delays().flat()]),
    across: [...live.delays(true), ...touched.delays(true)].flat(),
    accepted: standing.accepted.flat(),
    streams: standing.streams.flat(),
    streamOfWorking: longest(of(standing.streams)),
    elsewhere: standing.elsewhere,
    lost: ledger.lost + keyed.lost,
    doubled: ledger.doubled + keyed.doubled,
    shownAfter: Math.max(ledger.shownAfter, keyed.after),
    given: takers.given,
    limit,
    recovery,
    ownExits: world.replicas.reduce((sum, replica) => sum + replica.ownExits, 0) - exits,
    note,
    isBroken: recovery === null || failures.length > 0,
  });
}

/** Which bounds were passed. Live values and suspensions of others are promised with NATS alone. */
function judge(the, world, failures, seen) {
  const bounds = { ...BOUNDS, ...the.bounds };
  const faults = [...failures];
  const hold = (name, value, bound) => {
    if (value > bound) faults.push(`${name} ${Math.round(value)} ms, bound ${bound}`);
  };
  if (seen.lost > 0) faults.push(`lost ${seen.lost}`);
  if (seen.doubled > 0) faults.push(`doubled ${seen.doubled}`);
  if (seen.given > seen.limit) faults.push(`${seen.given} given of ${seen.limit}`);
  if (seen.recovery === null) faults.push("did not recover");
  else hold("recovery", seen.recovery, bounds.recovery);
  const isReportable = the.stops !== "nats" || world.options.settings.DIMENSIONOS_REPORTS !== "stream";
  if (isReportable) {
    hold("no report where all goes on", seen.gapOfWorking, bounds.gap);
    hold("no report anywhere", seen.gapTogether, bounds.together);
  }
  if (world.nats) {
    hold("live", seen.liveOfWorking, bounds.live);
    hold("accepted", longest(seen.accepted), bounds.accepted);
    hold("stream", seen.streamOfWorking, bounds.stream);
  }
  return { faults, ...seen };
}

/** Undefined of none. */
export const longest = (values) =>
  values.length ? values.reduce((most, value) => Math.max(most, value), 0) : undefined;
export const quantiles = (values) => ({
  p50: quantile(values, 0.5),
  p99: quantile(values, 0.99),
  longest: longest(values),
});
