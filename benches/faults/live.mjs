// Whoever watches an account on each replica, while it is reported to one of them.
import { ask, follow } from "./client.mjs";
import { sleep, until } from "./time.mjs";

const REPORT = "mutation($input: UsageReportInput!) { reportUsage(input: $input) { sequence } }";
const WATCH = "subscription { usage(intervalMs: 100) { storage { fileCount } } }";
const PATIENCE = 1_000;

export class Live {
  #isReported = false;
  #isOver = new AbortController();
  #end = 0;
  #reporter;
  #tasks = [];
  /** The n-th reading is n files: when the attempt that was acknowledged was sent, and to which replica. */
  #readings = [];
  /** By replica: what came, and when. */
  #arrivals;
  #hasBegun;

  /** @param {number} home the replica that is reported to, as long as it takes reports; then others, in turns */
  constructor(world, tally, home) {
    Object.assign(this, { world, tally, home, watched: world.watched[home] });
    this.#arrivals = world.replicas.map(() => []);
    this.#hasBegun = world.replicas.map(() => false);
  }

  start() {
    this.#tasks = this.world.replicas.map((replica) => this.#watch(replica));
    this.#reporter = this.#report();
  }

  /** Once the newest reading has had its time to arrive. */
  async stop() {
    this.#isReported = true;
    await this.#reporter;
    const newest = this.#readings.at(-1)?.sent ?? 0;
    // Without NATS there is nothing to wait for.
    if (this.world.nats) await until(() => this.hasArrivedEverywhere(newest), 15_000);
    this.#end = performance.now();
    this.#isOver.abort();
    await Promise.all(this.#tasks);
  }

  /** Whether a reading that was sent after that instant has arrived everywhere. */
  hasArrivedEverywhere(since) {
    const first = this.#readings.find(({ sent }) => sent >= since);
    return first !== undefined && this.#arrivals.every((arrivals) => (arrivals.at(-1)?.files ?? 0) >= first.files);
  }

  /**
   * Milliseconds from when a reading was sent until it, or a newer one, was there; one list a replica. A reading that
   * never came took until the end.
   * @param {boolean} [fromOthers] only of readings that another replica took
   */
  delays(fromOthers = false) {
    const end = this.#end;
    return this.#arrivals.map((arrivals, index) => {
      let next = 0;
      const ofOthers = this.#readings.filter(({ replica }) => !fromOthers || replica !== index);
      return ofOthers.map(({ files, sent }) => {
        while (next < arrivals.length && arrivals[next].files < files) next += 1;
        return Math.max(0, (arrivals[next]?.at ?? end) - sent);
      });
    });
  }

  async #watch(replica) {
    const { token } = this.watched;
    const arrivals = this.#arrivals[replica.index];
    const onData = (data) => {
      this.#hasBegun[replica.index] = true;
      const files = data.usage.storage.fileCount ?? 0;
      // An older value after a newer one is not an arrival.
      if (files > (arrivals.at(-1)?.files ?? 0)) arrivals.push({ files, at: performance.now() });
    };
    while (!this.#isOver.signal.aborted) {
      const code = await follow(replica, token, WATCH, onData, this.#isOver.signal);
      if (this.#isOver.signal.aborted) return;
      this.tally.note("watch", code);
      await sleep(200);
    }
  }

  async #report() {
    const { watched, home } = this;
    const { replicas } = this.world;
    // What is told before anybody can hear it is not late.
    await until(() => this.#hasBegun.every(Boolean), 5_000);
    while (!this.#isReported) {
      watched.files += 1;
      const files = watched.files;
      const samples = [{ account: watched.id, fileCount: files }];
      const input = { source: `live-${home}`, sequence: files, samples };
      for (let tries = 0; ; tries += 1) {
        const replica = replicas[(home + tries) % replicas.length];
        const sent = performance.now();
        const { code } = await ask(replica, this.world.agent, REPORT, { input }, PATIENCE);
        if (!code) {
          this.#readings.push({ files, sent, replica: replica.index });
          break;
        }
        this.tally.note("report", code);
        if (this.#isReported) return;
        await sleep(20);
      }
      await sleep(120);
    }
  }
}
