// What usage of many accounts costs PostgreSQL: rows, log and processor time a sample, and bytes a row.
import { sleep } from "../time.mjs";
import { Sources } from "./clients.mjs";
import { sample } from "./compare.mjs";
import { difference, spent } from "./figures.mjs";

const SAMPLES = 1_000;
const AT_ONCE = 8;
/** Between two sets of an account's minute, as it is reported every ten seconds. */
const STEP = 10_000;
const PER_MINUTE = 60_000 / STEP;
const NAMES = ["", "minute", "hour", "day"];

/** Loads so many accounts with so many minutes, and calls `each` with what every kind of load spent. */
export async function rows(place, { accounts: count, minutes }, each) {
  await place.serve(1);
  await place.register(1);
  const accounts = await place.copyAccounts(count);
  const sources = new Sources(place, "rows", AT_ONCE);
  const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  const at = (minute, step) => new Date(hour - 6 * 3_600_000 + minute * 60_000 + step * STEP).toISOString();
  const one = (minute, step) => accounts.map((account) => ({ ...sample(account, minute), at: at(minute, step) }));
  const six = (minute) =>
    accounts.flatMap((account) =>
      Array.from({ length: PER_MINUTE }, (_, step) => ({ ...sample(account, minute), at: at(minute, step) })),
    );
  const minutesFrom = (first, last) => Array.from({ length: last - first }, (_, place) => first + place);
  const kinds = [
    { name: "accounts are new to the server", rounds: [one(0, 0)] },
    { name: "each sample a minute of its own", rounds: minutesFrom(1, minutes).map((minute) => () => one(minute, 0)) },
    {
      name: "another sample of a minute that is there",
      rounds: minutesFrom(1, PER_MINUTE).map((step) => () => one(minutes - 1, step)),
    },
    {
      name: "six samples of a minute in one report",
      rounds: minutesFrom(minutes, minutes + 2).map((minute) => () => six(minute)),
    },
  ];
  for (const { name, rounds } of kinds) {
    const written = await settled(place);
    const begin = await spent(place);
    let samples = 0;
    for (const round of rounds) {
      const all = typeof round === "function" ? round() : round;
      samples += all.length;
      await sources.all(place.replicas[0], all, SAMPLES);
    }
    const seen = difference(await spent(place), begin);
    each({ name, samples, ...seen, life: difference(await settled(place), written) });
  }
  await place.rest();
}

/** Counts of rows, once every connection has told of its own, which they do while they rest. */
async function settled(place) {
  await sleep(11_500);
  return place.sql.written();
}

/** The table as it is after that, and then divided, each kind of row in tables of its own. */
export async function sizes(place) {
  await place.sql.rows("VACUUM usage_rollups");
  const one = async (table) => {
    const read = `SELECT pg_relation_size('${table}'), pg_indexes_size('${table}'), (SELECT count(*) FROM ${table})`;
    const [heap, indexes, rows] = await place.sql.numbers(read);
    return { table, heap, indexes, rows };
  };
  const found = [await one("usage_rollups"), await one("usage_readings"), await one("detector_states")];
  place.last.print(["db", "partition"]);
  const leaves = await place.sql.rows("SELECT relid::regclass FROM pg_partition_tree('usage_rollups') WHERE isleaf");
  for (const leaf of leaves) {
    const part = await one(leaf);
    if (part.rows === 0) continue;
    const [resolution] = await place.sql.numbers(`SELECT resolution FROM ${leaf} LIMIT 1`);
    found.push({ ...part, table: `${NAMES[resolution]}, in a partition of its own` });
  }
  return found;
}
