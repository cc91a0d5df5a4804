// What happens to PostgreSQL, or to one replica's way there.

const OTHERS = [1, 2];
/** Nobody acknowledges without the database; the rest is its own start, and the log that it goes through. */
const WITHOUT_IT = { together: 20_000 };

/** @type {import("../play.mjs").Case[]} */
export const postgres = [
  {
    name: "postgres-cut",
    title: "one replica is cut off from PostgreSQL for {30} s",
    works: OTHERS,
    fault: ({ world, hold }) => during(world.replicas[0].links.postgres, "cut", () => hold(30)),
  },
  {
    name: "postgres-hole",
    title: "one replica's way to PostgreSQL swallows everything for {30} s",
    works: OTHERS,
    fault: ({ world, hold }) => during(world.replicas[0].links.postgres, "hole", () => hold(30)),
  },
  {
    name: "postgres-restarted",
    title: "PostgreSQL is stopped (fast) and started {2} s later",
    works: [],
    bounds: WITHOUT_IT,
    fault: ({ world, hold }) => world.without("postgres", "stop", () => hold(2)),
  },
  {
    name: "postgres-killed",
    title: "PostgreSQL is killed (kill -9) and started {1} s later",
    works: [],
    bounds: WITHOUT_IT,
    fault: ({ world, hold }) => world.without("postgres", "kill", () => hold(1)),
  },
];

/** A link is so for as long, and passes again whatever happens meanwhile. */
export async function during(link, mode, meanwhile) {
  await link.set(mode);
  try {
    await meanwhile();
  } finally {
    await link.set("pass");
  }
}
