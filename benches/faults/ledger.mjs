// The sources' own ledger, outside of every replica: what was acknowledged, held against what the service says was used.
import { ask } from "./client.mjs";
import { until } from "./time.mjs";

const REPORT = "mutation($input: UsageReportInput!) { reportUsage(input: $input) { sequence duplicate } }";
const USED = "query($id: ID!) { account(id: $id) { usage(period: MONTH) { resources { resource total } } } }";
/** How long a replica may take until it shows all that was acknowledged, by itself or by another. */
const SHOWN_WITHIN = 30_000;

/** Who reports one report after the other: the n-th is one query and n bytes, so the sums tell which is missing. */
export class Source {
  /** The highest sequence that was acknowledged. */
  acknowledged = 0;
  /** Reports that had been counted when their answer came: an earlier answer was lost, or two were under way. */
  repeats = 0;

  constructor(name, account) {
    Object.assign(this, { name, account });
  }

  /** Sends the next report, which is the last one again as long as nobody acknowledged it; gives a refusal's code. */
  async report(replica, token, deadline) {
    const sequence = this.acknowledged + 1;
    const samples = [{ account: this.account, databaseQueries: 1, bytesSent: sequence }];
    const input = { source: this.name, sequence, samples };
    const { data, code } = await ask(replica, token, REPORT, { input }, deadline);
    if (code) return code;
    if (data.reportUsage.sequence !== sequence) return "ANOTHER_SEQUENCE";
    this.acknowledged = sequence;
    if (data.reportUsage.duplicate) this.repeats += 1;
    return undefined;
  }
}

export class Ledger {
  /** @type {Source[]} */
  sources = [];
  #month = new Date().getUTCMonth();

  add(name, account) {
    const source = new Source(name, account);
    this.sources.push(source);
    return source;
  }

  get acknowledged() {
    return this.sources.reduce((sum, source) => sum + source.acknowledged, 0);
  }

  get repeats() {
    return this.sources.reduce((sum, source) => sum + source.repeats, 0);
  }

  /** Sends each source's last report until it is acknowledged: counted before or not, from now on it counts once. */
  async settle(world) {
    const settled = this.sources.map(async (source) => {
      const isDone = async () => (await source.report(world.anyReplica(), world.agent, 5_000)) === undefined;
      if ((await until(isDone, 120_000)) === null) throw new Error(`${source.name}: nobody acknowledges its report`);
    });
    await Promise.all(settled);
  }

  /** What each replica says was used, held against what was acknowledged, until it agrees or its time is over. */
  async compare(world) {
    if (new Date().getUTCMonth() !== this.#month) throw new Error("another month began: run this again");
    const accounts = new Map();
    for (const { account, acknowledged } of this.sources) {
      const sums = accounts.get(account) ?? { DATABASE_QUERIES: 0, BYTES_SENT: 0 };
      sums.DATABASE_QUERIES += acknowledged;
      sums.BYTES_SENT += (acknowledged * (acknowledged + 1)) / 2;
      accounts.set(account, sums);
    }
    const found = { lost: 0, doubled: 0, shownAfter: 0 };
    const held = [...accounts].flatMap(([account, sums]) =>
      world.replicas.map(async (replica) => {
        const one = await agrees(world, replica, account, sums);
        found.lost = Math.max(found.lost, one.lost);
        found.doubled = Math.max(found.doubled, one.doubled);
        found.shownAfter = Math.max(found.shownAfter, one.after);
      }),
    );
    await Promise.all(held);
    return found;
  }
}

/** What an operator reads of an account's usage; undefined where it is refused. */
export async function totals(world, replica, account) {
  const { data } = await ask(replica, world.operator, USED, { id: account });
  const resources = data?.account?.usage.resources;
  return resources && Object.fromEntries(resources.map(({ resource, total }) => [resource, total ?? 0]));
}

/** Until one replica's totals of an account are these; what was more or less at the end counts as doubled or lost. */
export async function agrees(world, replica, account, expected) {
  let difference = [];
  const after = await until(
    async () => {
      const shown = await totals(world, replica, account);
      difference = Object.entries(expected).map(([resource, sum]) => (shown ? shown[resource] - sum : -sum));
      return difference.every((by) => by === 0);
    },
    SHOWN_WITHIN,
    200,
  );
  if (after !== null) return { lost: 0, doubled: 0, after };
  // Bytes alone may differ where as many reports were lost as doubled; then each is at least one.
  const [queries, bytes = 0] = difference;
  const isSwapped = queries === 0 && bytes !== 0;
  return {
    lost: isSwapped ? 1 : Math.max(0, -queries),
    doubled: isSwapped ? 1 : Math.max(0, queries),
    after: SHOWN_WITHIN,
  };
}
