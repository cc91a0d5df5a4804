// An operator suspends an account on one replica, again and again: how long the others go on accepting what it asks,
// and when their streams of it end.
import { ask, follow } from "./client.mjs";
import { sleep, until } from "./time.mjs";

const SET = `mutation($a: ID!, $s: ServiceStatus!) {
  setServiceStatus(account: $a, status: $s, reason: "a fault is tried") { status }
}`;
const ASK = "{ me { metrics { at } } }";
const WATCH = "subscription { usage(intervalMs: 1000) { at } }";
/** Past that nobody waits for a refusal any longer. */
const MOST = 10_000;

export class Standing {
  #isOver = false;
  #task;
  /** By replica: milliseconds from the operator's answer to the last operation that was accepted. */
  accepted;
  /** By replica: milliseconds from the operator's answer until its stream of the account had ended. */
  streams;
  /** The same of the replicas that did not suspend it themselves. */
  elsewhere = { accepted: [], streams: [] };

  /** @param {() => import("./replica.mjs").Replica[]} acting by whom suspensions are asked for at that moment */
  constructor(world, acting, pause = 1_000) {
    Object.assign(this, { world, acting, pause });
    this.accepted = world.replicas.map(() => []);
    this.streams = world.replicas.map(() => []);
  }

  start() {
    this.#task = this.#run();
  }

  async stop() {
    this.#isOver = true;
    await this.#task;
  }

  async #run() {
    while (!this.#isOver) {
      await this.#round();
      await sleep(this.pause);
    }
    await this.#set("ACTIVE");
  }

  /** Gives the replica that did it; undefined where none does. */
  async #set(status) {
    const { id } = this.world.judged;
    let replica;
    const isSet = async () => {
      const acting = this.acting();
      replica = acting[Math.floor(Math.random() * acting.length)] ?? this.world.anyReplica();
      return !(await ask(replica, this.world.operator, SET, { a: id, s: status }, 2_000)).code;
    };
    return (await until(isSet, 60_000)) === null ? undefined : replica;
  }

  async #round() {
    const { replicas, judged } = this.world;
    // Every replica that can has accepted it before, and streams it.
    if (!(await this.#set("ACTIVE"))) return;
    await Promise.all(
      replicas.map((replica) => until(async () => !(await ask(replica, judged.token, ASK, {}, 500)).code, 5_000)),
    );
    const watching = new AbortController();
    const streams = replicas.map((replica) => this.#stream(replica, watching.signal));
    await sleep(300);
    const acting = this.#isOver ? undefined : await this.#set("SUSPENDED");
    if (!acting) return watching.abort();
    const told = performance.now();
    await Promise.all(replicas.map((replica) => this.#askOn(replica, told, acting)));
    await Promise.race([
      Promise.all(streams.map(({ end }) => end)),
      sleep(Math.max(0, told + 3_000 - performance.now())),
    ]);
    for (const [index, stream] of streams.entries()) {
      // Nobody can see what a replica does that is paused, and who was cut off was not told.
      if (!stream.hasBegun || stream.isCutOff || stream.endedAt < told || replicas[index].isPaused) continue;
      const since = Math.max(told, replicas[index].awakeSince);
      const took = Math.max(0, (stream.endedAt ?? performance.now()) - since);
      this.streams[index].push(took);
      if (replicas[index] !== acting) this.elsewhere.streams.push(took);
    }
    watching.abort();
  }

  #stream(replica, signal) {
    const stream = { hasBegun: false, isCutOff: false, endedAt: undefined, end: undefined };
    const onData = () => (stream.hasBegun = true);
    stream.end = follow(replica, this.world.judged.token, WATCH, onData, signal).then((code) => {
      stream.isCutOff = ["cut off", "no answer", "no connection"].includes(code);
      stream.endedAt = performance.now();
    });
    return stream;
  }

  async #askOn(replica, told, acting) {
    let last = 0;
    while (performance.now() < told + MOST) {
      const { code } = await ask(replica, this.world.judged.token, ASK, {}, 1_000);
      if (code === "SERVICE_SUSPENDED") break;
      const since = Math.max(told, replica.awakeSince);
      if (!code) last = Math.max(last, performance.now() - since);
      if (code && !replica.isPaused && performance.now() > told + 3_000) break;
      await sleep(code ? 50 : 2);
    }
    this.accepted[replica.index].push(last);
    if (replica !== acting) this.elsewhere.accepted.push(last);
  }
}
