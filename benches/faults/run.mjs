#!/usr/bin/env node
// Failure by failure: what three replicas on one PostgreSQL and one NATS refuse, delay and lose, and how they recover.
//
//     node benches/faults/run.mjs PATH/TO/dimensionos-graphql [case…] [options]
//
// Prints a table in Markdown, a row a case. Exit code 1 where anything acknowledged was lost or doubled, a limit was
// passed, or a bound; 2 for wrong usage. README.md beside this file says what the columns mean.
import { existsSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { nats } from "./cases/nats.mjs";
import { postgres } from "./cases/postgres.mjs";
import { replicas } from "./cases/replicas.mjs";
import { takers } from "./cases/takers.mjs";
import { play } from "./play.mjs";
import { head, row, times } from "./table.mjs";
import { World } from "./world.mjs";

const OPTIONS = {
  long: { type: "boolean", default: false },
  "without-nats": { type: "boolean", default: false },
  other: { type: "string" },
  hold: { type: "string" },
  set: { type: "string", multiple: true, default: [] },
  postgres: { type: "string", multiple: true, default: [] },
  keep: { type: "boolean", default: false },
};
const last = ["takers", "judged"];
const every = [...replicas, ...postgres, ...nats, takers];
const ordered = [
  ...every.filter(({ name }) => !last.includes(name)),
  ...every.filter(({ name }) => last.includes(name)),
];

function wrong(text) {
  console.error(`${text}\n
usage: node run.mjs PATH/TO/dimensionos-graphql [case…] [options]
  cases          ${ordered.map(({ name }) => name).join(" ")} (default: all of them)
  --long         the judged run for five minutes, 3,000 takers for 1,000 units
  --without-nats leave NATS out: replicas tell one another nothing (with --allow-stale, where the server has it)
  --other PATH   a version of the server with which \`rolling\` begins
  --hold SECONDS how long a fault lasts, in place of what its case says
  --set N=VALUE  a setting of every replica, such as REPORTS=stream
  --postgres N=V a setting of PostgreSQL beside those it comes with
  --keep         leave databases and logs in their folder`);
  process.exit(2);
}

function understood() {
  let parsed;
  try {
    parsed = parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (fault) {
    wrong(fault.message);
  }
  const [binary, ...names] = parsed.positionals;
  const { values } = parsed;
  for (const path of [binary, values.other]) if (path && !existsSync(path)) wrong(`there is no ${path}`);
  if (!binary) wrong("which server?");
  const unknown = names.find((name) => !ordered.some((the) => the.name === name));
  if (unknown) wrong(`there is no case ${unknown}`);
  const hasNats = !values["without-nats"];
  const isAsked = (the) => (names.length === 0 || names.includes(the.name)) && (hasNats || !the.needsNats);
  // What begins with another version comes first.
  const cases = ordered.filter(isAsked);
  if (values.other) cases.sort((one, two) => (two.name === "rolling") - (one.name === "rolling"));
  const settings = Object.fromEntries(
    values.set.map((text) => [`DIMENSIONOS_${text.split("=")[0]}`, text.slice(text.indexOf("=") + 1)]),
  );
  return { binary: resolve(binary), values, hasNats, cases, settings };
}

/** Replicas that tell one another nothing are refused unless somebody says so, by versions that know of it. */
function flags(binary, hasNats) {
  if (hasNats) return [];
  return execFileSync(binary, ["serve", "--help"], { encoding: "utf8" }).includes("--allow-stale")
    ? ["--allow-stale"]
    : [];
}

async function main() {
  const { binary, values, hasNats, cases, settings } = understood();
  const other = cases.some(({ name }) => name === "rolling") && values.other ? resolve(values.other) : undefined;
  const world = new World({
    binary,
    other,
    hasNats,
    flags: flags(binary, hasNats),
    settings,
    postgres: values.postgres,
  });
  process.once("exit", () => world.remove({ keeps: values.keep }));
  const stop = () => world.close().finally(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, stop);
  try {
    process.exitCode = (await run(world, cases, values)) ? 0 : 1;
  } finally {
    await world.close();
    // Whoever still waits for an answer waits in vain.
    process.nextTick(() => process.exit());
  }
}

/** Plays them one by one; gives whether all went as it should. */
async function run(world, cases, values) {
  await world.start();
  console.log(head());
  const details = [];
  let isGood = true;
  for (const the of cases) {
    const seen = await (the.play ?? play)(world, the, {
      isLong: values.long,
      hold: values.hold && Number(values.hold),
    });
    isGood &&= seen.faults.length === 0;
    console.log(row(seen));
    if (the.name === "baseline") details.push(times(seen));
    if (seen.isBroken) await world.repair();
  }
  for (const text of details) console.log(`\nWhere nothing happens:\n\n${text}`);
  const { ledger } = world;
  console.log(
    `\n${ledger.acknowledged.toLocaleString("en")} reports acknowledged; ${ledger.repeats} of them when sent again.`,
  );
  return isGood;
}

main().catch((fault) => {
  console.error(fault.stack);
  process.exitCode = 1;
});
