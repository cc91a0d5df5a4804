#!/usr/bin/env node
// The cost of growing: what a report and a value cost with NATS, and with a second server, beside a server alone; what
// travels between servers; and what usage of many accounts costs PostgreSQL.
//
//     node benches/faults/cost.mjs PATH/TO/dimensionos-graphql [compare] [idle] [rows] [options]
//
// Prints Markdown. README.md beside this file says how it is measured; SCALING.md, what follows from it.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { PAIRS, compare } from "./cost/compare.mjs";
import { idle } from "./cost/idle.mjs";
import { Place } from "./cost/place.mjs";
import { rows, sizes } from "./cost/rows.mjs";
import * as table from "./cost/tables.mjs";

const PARTS = ["compare", "idle", "rows"];
const OPTIONS = {
  repeats: { type: "string", default: "4" },
  seconds: { type: "string", default: "6" },
  accounts: { type: "string", default: "20000" },
  minutes: { type: "string", default: "10" },
  postgres: { type: "string", multiple: true, default: [] },
};

function wrong(text) {
  console.error(`${text}\n
usage: node cost.mjs PATH/TO/dimensionos-graphql [part…] [options]
  parts          ${PARTS.join(" ")} (default: all of them)
  --repeats N    how often every variant is played (default: 4)
  --seconds N    how long each is measured (default: 6)
  --accounts N   accounts of \`rows\` (default: 20000)
  --minutes N    minutes of each of them (default: 10)
  --postgres N=V a setting of PostgreSQL beside those it comes with`);
  process.exit(2);
}

function understood() {
  let parsed;
  try {
    parsed = parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (fault) {
    wrong(fault.message);
  }
  const [binary, ...parts] = parsed.positionals;
  if (!binary || !existsSync(binary)) wrong("which server?");
  const unknown = parts.find((part) => !PARTS.includes(part));
  if (unknown) wrong(`there is no part ${unknown}`);
  const { postgres, ...numbers } = parsed.values;
  const options = Object.fromEntries(Object.entries(numbers).map(([name, text]) => [name, Number(text)]));
  if (!Object.values(options).every((value) => value >= 1)) wrong("a number is 1 or more");
  return { binary: resolve(binary), parts: parts.length ? parts : PARTS, postgres, options };
}

async function run(part, place, options) {
  if (part === "compare") {
    console.log(table.playedHead());
    const played = await compare(place, options, (seen) => console.log(table.played(seen)));
    console.log(`\n${table.medians(played)}\n\n${table.ratios(played, PAIRS)}\n`);
  } else if (part === "idle") {
    console.log(table.idleHead());
    await idle(place, options, (seen) => console.log(table.idle(seen)));
    console.log();
  } else {
    console.log(table.rowsHead());
    await rows(place, options, (seen) => console.log(table.rows(seen)));
    console.log(`\n${table.sizes(await sizes(place))}\n`);
  }
}

async function main() {
  const { binary, parts, postgres, options } = understood();
  for (const part of parts) {
    const place = new Place(binary, postgres);
    const remove = () => place.remove();
    process.once("exit", remove);
    const stop = () => place.close().finally(() => process.exit(130));
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, stop);
    try {
      await place.open();
      await run(part, place, options);
    } finally {
      await place.close();
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(signal, stop);
      process.off("exit", remove);
      remove();
    }
  }
}

main()
  .catch((fault) => {
    console.error(fault.stack);
    process.exitCode = 1;
  })
  // Connections that are kept for the next report hold nobody up.
  .finally(() => process.exit());
