// Sources that report all the time, and clients that ask, through all replicas at once.
import { PATIENCE, ask } from "./client.mjs";
import { sleep } from "./time.mjs";

const ME = "{ me { status tier } }";
const JOBS = "{ jobs { name } }";
/** How long a source waits for its answer before it sends its report again, to another replica. */
const ROAMING_PATIENCE = 2_000;
/** One report in so many is given up after a few milliseconds, and so is under way twice. */
const GIVEN_UP = 25;

class Pulse {
  #last = performance.now();
  /** When the report was begun that was acknowledged last. */
  begun = 0;
  /** Milliseconds without an acknowledged report at most. */
  longest = 0;

  beat(begun) {
    this.end();
    this.begun = Math.max(this.begun, begun);
  }

  end() {
    const now = performance.now();
    this.longest = Math.max(this.longest, now - this.#last);
    this.#last = now;
  }
}

export class Load {
  #isOver = false;
  #tasks = [];
  /** By replica. */
  pulse;
  /** The same of all of them together. */
  together;

  constructor(world, tally) {
    Object.assign(this, { world, tally });
    this.pulse = world.replicas.map(() => new Pulse());
    this.together = new Pulse();
  }

  start() {
    const { roaming, pinned } = this.world.sources;
    this.#tasks = roaming.map((source) => this.#roam(source));
    this.#tasks.push(...pinned.map(({ source, replica }) => this.#stay(source, replica)));
    this.#tasks.push(...this.world.replicas.flatMap((replica) => [this.#askMe(replica), this.#askJobs(replica)]));
  }

  async stop() {
    this.#isOver = true;
    await Promise.all(this.#tasks);
    for (const pulse of [...this.pulse, this.together]) pulse.end();
  }

  async #report(source, replica, patience) {
    const begun = performance.now();
    const code = await source.report(replica, this.world.agent, patience);
    if (!code) for (const pulse of [this.pulse[replica.index], this.together]) pulse.beat(begun);
    return code;
  }

  /** Another replica each time, at any moment. */
  async #roam(source) {
    while (!this.#isOver) {
      const isGivenUp = Math.floor(Math.random() * GIVEN_UP) === 0;
      const code = await this.#report(
        source,
        this.world.anyReplica(),
        isGivenUp ? 1 + Math.random() * 5 : ROAMING_PATIENCE,
      );
      if (!(isGivenUp && code === "no answer")) this.tally.note("report", code);
      await sleep(10 + Math.random() * 30);
    }
  }

  /** One replica alone, which shows whether this one works. */
  async #stay(source, replica) {
    while (!this.#isOver) {
      this.tally.note("report", await this.#report(source, replica, PATIENCE));
      await sleep(40);
    }
  }

  async #askMe(replica) {
    while (!this.#isOver) {
      this.tally.note("me", (await ask(replica, this.world.watched[0].token, ME)).code);
      await sleep(150);
    }
  }

  /** What needs the database. */
  async #askJobs(replica) {
    while (!this.#isOver) {
      this.tally.note("jobs", (await ask(replica, this.world.operator, JOBS)).code);
      await sleep(150);
    }
  }
}
