// Takers of one limited quota through all replicas at once: by `consume`, and by `reserveQuota` that is committed; and
// takers under keys, each of whose uses counts once.
import { ask, data } from "./client.mjs";
import { agrees } from "./ledger.mjs";
import { sleep, until } from "./time.mjs";

const CONSUME = `mutation($a: ID!, $r: Resource!, $k: String) {
  consume(account: $a, resource: $r, amount: 1, key: $k) { allowed reason }
}`;
const RESERVE = `mutation($a: ID!) {
  reserveQuota(account: $a, resource: FILE_OPERATIONS, amount: 1, seconds: 3600) { id decision { allowed reason } }
}`;
const COMMIT = "mutation($a: ID!, $r: ID!) { commitReservation(account: $a, reservation: $r, amount: 1) }";
const LIMIT = `mutation($a: ID!, $r: Resource!, $l: UInt53!) {
  setLimit(account: $a, resource: $r, limit: $l, until: "2999-01-01T00:00:00Z") { id }
}`;
const LIMITS = "query($a: ID!) { account(id: $a) { limitOverrides { limit } } }";

export class Takers {
  /** Units that somebody was told they may use. */
  given = 0;
  #isOver = false;
  #tasks = [];
  #keys = [];

  constructor(world, account, limit, tally) {
    Object.assign(this, { world, account, limit, tally });
  }

  /** With an account of its own, whose limits every replica has. */
  static async create(world, limit, tally) {
    const { id } = await world.register();
    const replica = world.replicas[0];
    await data(replica, world.operator, LIMIT, { a: id, r: "FILE_OPERATIONS", l: limit });
    await data(replica, world.operator, LIMIT, { a: id, r: "DATABASE_QUERIES", l: 1_000_000 });
    for (const other of world.replicas) {
      const hasBoth = async () =>
        (await data(other, world.operator, LIMITS, { a: id })).account.limitOverrides.length === 2;
      if ((await until(hasBoth, 20_000)) === null) throw new Error(`replica ${other.name} does not see a limit`);
    }
    return new Takers(world, id, limit, tally);
  }

  /** Takers who take their time. */
  start() {
    for (let number = 0; number < 2; number += 1) {
      this.#tasks.push(
        this.#repeat(() => this.#consume(), 400),
        this.#repeat(() => this.#reserve(), 400),
      );
      const key = { number, acknowledged: 0 };
      this.#keys.push(key);
      this.#tasks.push(this.#repeat(() => this.#consumeOnce(key), 100));
    }
  }

  async stop() {
    this.#isOver = true;
    await Promise.all(this.#tasks);
  }

  /** Many at once for what is left: that many ask, each once, some of them by reservation. */
  async rush(asking, atOnce = 60) {
    let left = asking;
    const one = async () => {
      while (left > 0) {
        left -= 1;
        await (left % 5 === 0 ? this.#reserve() : this.#consume());
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
  }

  /** What was used under keys, repeated until it is answered, held against what the service says. */
  async compare() {
    for (const key of this.#keys) {
      const before = key.acknowledged;
      const isDone = async () => {
        await this.#consumeOnce(key);
        return key.acknowledged > before;
      };
      if ((await until(isDone, 60_000)) === null) throw new Error("nobody answers a use under a key");
    }
    const sum = this.#keys.reduce((total, key) => total + key.acknowledged, 0);
    return agrees(this.world, this.world.anyReplica(), this.account, { DATABASE_QUERIES: sum });
  }

  async #repeat(take, pause) {
    while (!this.#isOver) {
      await take();
      await sleep(pause * (0.5 + Math.random()));
    }
  }

  /** Without a key: one whose answer was lost is not asked for again. */
  async #consume() {
    const answer = await this.#ask("consume", CONSUME, { a: this.account, r: "FILE_OPERATIONS" });
    if (this.#isAllowed("consume", answer.data?.consume)) this.given += 1;
  }

  async #consumeOnce(key) {
    const k = `taker ${key.number} use ${key.acknowledged + 1}`;
    const answer = await this.#ask("consume", CONSUME, { a: this.account, r: "DATABASE_QUERIES", k });
    if (this.#isAllowed("consume", answer.data?.consume)) key.acknowledged += 1;
  }

  async #reserve() {
    const answer = await this.#ask("reserve", RESERVE, { a: this.account });
    const reservation = answer.data?.reserveQuota;
    if (!this.#isAllowed("reserve", reservation?.decision)) return;
    this.given += 1;
    const variables = { a: this.account, r: reservation.id };
    // Told until it is answered.
    const isTold = async () => [undefined, "NOT_FOUND"].includes((await this.#ask("commit", COMMIT, variables)).code);
    await until(isTold, 120_000, 200);
  }

  async #ask(kind, query, variables) {
    const answer = await ask(this.world.anyReplica(), this.world.agent, query, variables);
    // NOT_FOUND is the answer to a commit whose first answer was lost.
    this.tally.note(kind, kind === "commit" && answer.code === "NOT_FOUND" ? undefined : answer.code);
    return answer;
  }

  /** A refusal by the limit is what the limit is for; any other is told. */
  #isAllowed(kind, decision) {
    if (decision && !decision.allowed && decision.reason !== "QUOTA_EXCEEDED") this.tally.note(kind, decision.reason);
    return decision?.allowed === true;
  }
}
