// What happens to NATS, or to one replica's way there. Reports go on in all of it, and what others should be told is late
// by as long as it takes them to read it in the database.
import { during } from "./postgres.mjs";

const ALL = [0, 1, 2];
const OTHERS = [1, 2];
/** Without NATS replicas ask the database once a second what has become of accounts. */
const RECONCILED = { accepted: 3_000 };
/** Where replicas do not hear one another, what is live is read there too. */
const READ = 10_000;

/** @type {import("../play.mjs").Case[]} */
export const nats = [
  {
    name: "nats-cut",
    title: "one replica is cut off from NATS for {30} s",
    works: OTHERS,
    bounds: RECONCILED,
    fault: ({ world, hold }) => during(world.replicas[0].links.nats, "cut", () => hold(30)),
  },
  {
    name: "nats-hole",
    title: "one replica's way to NATS swallows everything for {30} s",
    works: OTHERS,
    bounds: RECONCILED,
    fault: ({ world, hold }) => during(world.replicas[0].links.nats, "hole", () => hold(30)),
  },
  {
    name: "nats-restarted",
    title: "NATS is killed (kill -9) and started {1} s later",
    works: ALL,
    stops: "nats",
    bounds: { ...RECONCILED, live: READ, stream: 4_000 },
    fault: ({ world, hold }) => world.without("nats", "kill", () => hold(1)),
  },
  {
    name: "nats-stopped",
    title: "NATS is stopped for {60} s",
    works: ALL,
    stops: "nats",
    bounds: { ...RECONCILED, live: READ, stream: 4_000 },
    fault: ({ world, hold }) => world.without("nats", "stop", () => hold(60)),
  },
].map((one) => ({ ...one, needsNats: true }));
