// Many takers for few units through all replicas at once, and nothing else.
import { Tally } from "../client.mjs";
import { Takers } from "../takers.mjs";

/** The case has its own way to be played: its row is of takers alone. */
export const takers = {
  name: "takers",
  title: "many takers for few units, through three replicas at once",
  async play(world, the, { isLong }) {
    const [asking, limit] = isLong ? [3_000, 1_000] : [600, 200];
    const tally = new Tally();
    const many = await Takers.create(world, limit, tally);
    const begin = performance.now();
    await many.rush(asking, asking);
    const took = performance.now() - begin;
    const faults = many.given > limit ? [`${many.given} given of ${limit}`] : [];
    return {
      title: the.title,
      note: `${asking} ask at once, ${(took / 1_000).toFixed(1)} s`,
      refused: tally.inWords(),
      faults,
      given: many.given,
      limit,
      reports: 0,
      lost: 0,
      doubled: 0,
      accepted: [],
      streams: [],
      recovery: 0,
      ownExits: 0,
    };
  },
};
