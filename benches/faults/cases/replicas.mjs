// What happens to a replica's own process.
import { sleep, until, inWords } from "../time.mjs";
import { connections } from "../connections.mjs";

const OTHERS = [1, 2];

/** @type {import("../play.mjs").Case[]} */
export const replicas = [
  {
    name: "baseline",
    title: "nothing",
    works: [0, 1, 2],
    pause: 100,
    fault: ({ hold, isLong }) => hold(isLong ? 120 : 20),
  },
  {
    name: "links",
    title: "what connects the replicas",
    works: [0, 1, 2],
    fault: async ({ world }) => {
      const { own, between, elsewhere } = connections(world);
      if (between.length) throw new Error(`replicas are connected with one another: ${between.join(", ")}`);
      if (elsewhere.length) throw new Error(`replicas are connected with somebody else: ${elsewhere.join(", ")}`);
      return `nothing but the two engines (${own} connections to them, 0 between replicas)`;
    },
  },
  {
    name: "killed",
    title: "a replica is killed (kill -9) and started again {5} s later",
    works: OTHERS,
    fault: async ({ world, hold }) => {
      await world.replicas[0].kill();
      await hold(5);
      await world.replicas[0].start();
    },
  },
  {
    name: "paused",
    title: "a replica stands still for {30} s (SIGSTOP, SIGCONT)",
    works: OTHERS,
    fault: async ({ world, hold }) => {
      world.replicas[0].pause();
      await hold(30);
      world.replicas[0].goOn();
    },
  },
  {
    name: "jobs",
    title: "the replica that does the jobs is killed",
    // Which one it is is only known then.
    works: [],
    fault: async ({ world }) => {
      let holder;
      await until(async () => (holder = await world.holder()), 40_000);
      if (!holder) throw new Error("no replica does the jobs");
      await holder.kill();
      const others = world.replicas.filter((replica) => replica !== holder);
      const after = await until(async () => (await world.holder(others)) !== undefined, 60_000, 100);
      await holder.start();
      if (after === null || after > 30_000) throw new Error("nobody went on with the jobs within 30 s");
      return `another went on with them after ${inWords(after)}`;
    },
  },
  {
    name: "rolling",
    title: "every replica is replaced, one after the other, under way",
    // Two of them at any moment, and others each time.
    works: [],
    fault: async ({ world, hold }) => {
      const { binary, other } = world.options;
      let codes = 0;
      for (const replica of world.replicas) {
        codes += (await replica.stop()) === 0 ? 1 : 0;
        replica.binary = binary;
        await replica.start();
        await hold(4);
      }
      if (codes !== world.replicas.length) throw new Error("a replica that was told to stop did not end with 0");
      return other ? "two versions beside each other for a while" : "the same version";
    },
  },
  {
    name: "judged",
    title: "a random replica is killed (kill -9) each second",
    works: [],
    stops: "nats",
    bounds: { recovery: 30_000 },
    fault: async ({ world, isLong }) => {
      const seconds = isLong ? 300 : 30;
      const without = isLong ? 60 : 6;
      const begin = performance.now();
      const left = (second) => sleep(Math.max(0, begin + second * 1_000 - performance.now()));
      const nats =
        world.nats &&
        left((seconds - without) / 2).then(() => world.without("nats", "stop", () => sleep(without * 1_000)));
      let kills = 0;
      const restarts = new Set();
      for (let second = 1; second <= seconds; second += 1) {
        await left(second);
        const running = world.replicas.filter((replica) => replica.isRunning && !restarts.has(replica));
        const replica = running[Math.floor(Math.random() * running.length)];
        if (!replica) continue;
        await replica.kill();
        kills += 1;
        restarts.add(replica);
        replica
          .start()
          .catch((fault) => console.error(fault.message))
          .finally(() => restarts.delete(replica));
      }
      await nats;
      await until(() => restarts.size === 0, 60_000);
      return `${kills} kills in ${seconds} s${world.nats ? `, ${without} s without NATS` : ""}`;
    },
  },
];
