// What servers spend, and tell one another, while nobody reports: on their own, and while one of them follows accounts.
import { sleep } from "../time.mjs";
import { Watchers } from "./clients.mjs";
import { difference, resident, spent } from "./figures.mjs";

const FOLLOWED = 1_000;

const STATES = [
  { name: "one server without NATS", servers: 1 },
  { name: "one server", servers: 1, hasNats: true },
  { name: "one server, reports by a stream", servers: 1, hasNats: true, settings: { REPORTS: "stream" } },
  { name: "two servers", servers: 2, hasNats: true },
  { name: `two servers, one follows ${FOLLOWED} accounts`, servers: 2, hasNats: true, followed: FOLLOWED },
];

/** Calls `each` with what every state spent in so many seconds. */
export async function idle(place, { seconds }, each) {
  await place.serve(1);
  await place.register(FOLLOWED);
  await place.rest();
  for (const state of STATES) {
    await place.serve(state.servers, state);
    const watchers = await Watchers.open(place.replicas.at(-1), place.accounts.slice(0, state.followed ?? 0));
    // A round of telling what is followed takes ten seconds, and what begins has to settle.
    await sleep(12_000);
    const begin = await spent(place);
    await sleep(seconds * 1_000);
    const seen = difference(await spent(place), begin);
    const memory = place.replicas.map(({ pid }) => resident(pid));
    watchers.close();
    await place.rest();
    each({ state, memory, ...seen });
  }
}
