// npm test -- /path/to/dimensionos-graphql [files of tests]: the pages as that server serves them, in a browser.
//
// Beside the server there has to be dimensionos-agent. The browser is Debian's chromium, or what CHROMIUM names.
import { spawn } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [server, ...named] = process.argv.slice(2).map((path) => resolve(path));
if (!server) {
  console.error("npm test -- /path/to/dimensionos-graphql");
  process.exit(2);
}
const agent = join(dirname(server), "dimensionos-agent");
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
for (const program of [server, agent, chromium]) {
  try {
    accessSync(program, constants.X_OK);
  } catch {
    console.error(`there is no program at ${program}`);
    process.exit(1);
  }
}

const all = readdirSync(here).filter((name) => name.endsWith(".test.mjs"));
const files = named.length > 0 ? named : all.map((name) => join(here, name));
// As a machine's own settings must not change what is tested.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("DIMENSIONOS_")));
const tests = spawn(process.execPath, ["--test", "--test-concurrency=1", ...files], {
  stdio: "inherit",
  env: { ...env, CONSOLE_TEST_SERVER: server, CONSOLE_TEST_AGENT: agent, CONSOLE_TEST_CHROMIUM: chromium },
});
tests.on("exit", (code) => process.exit(code ?? 1));
