// npm test -- /path/to/dimensionos-graphql tests/screenshots.mjs: the pictures that the README shows, into docs/.
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { open } from "./harness.mjs";
import { asNewAccount, heading, to } from "./harness/console.mjs";

const folder = fileURLToPath(new URL("../../../docs/", import.meta.url));
/** Long enough for lines to have a shape. */
const SECONDS = 100;

const REPORT = `mutation ($input: UsageReportInput!) { reportUsage(input: $input) { samples } }`;

/** What a small shop might use: waves of visitors, and a job now and then. */
function sample(account, second, at) {
  const wave = 0.5 + 0.35 * Math.sin(second / 9) + 0.1 * Math.sin(second / 2.3);
  const isBusy = Math.abs(second % 40) > 30;
  return {
    account,
    at: at.toISOString(),
    cpuMillicores: Math.round(900 * wave + (isBusy ? 1_900 : 0)),
    ramBytes: Math.round((9.5 + 2.5 * wave + (isBusy ? 3 : 0)) * 2 ** 30),
    storageBytes: 312_400_000_000 + second * 9_000_000,
    fileCount: 48_210 + second,
    connections: Math.round(90 * wave),
    recordCount: 1_204_332 + second * 7,
    bytesSent: Math.round(21_000_000 * wave),
    bytesReceived: Math.round(3_200_000 * wave),
    databaseQueries: Math.round(140 * wave),
    apiCalls: Math.round(2 * wave),
    fileOperations: Math.round(11 * wave),
  };
}

test("pictures", { timeout: 600_000 }, async (t) => {
  mkdirSync(folder, { recursive: true });
  const looks = {
    light: { colorScheme: "light", viewport: { width: 1280, height: 960 } },
    dark: { colorScheme: "dark", viewport: { width: 1280, height: 960 } },
    phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
  };
  const visits = {};
  for (const [name, look] of Object.entries(looks)) visits[name] = await open(t, look);
  const { server } = visits.light;
  const accounts = {};
  for (const name of Object.keys(looks)) accounts[name] = await asNewAccount(visits[name]);
  const ids = Object.values(accounts).map(({ id }) => id);
  for (const { id, token } of Object.values(accounts)) {
    const until = new Date(Date.now() + 200 * 86_400_000).toISOString();
    const attestation = await server.command("billing", "attest", "--account", id, "--tier", "STARTER", "--until", until);
    await server.ask(`mutation ($paid: String!) { reportPayment(attestation: $paid) { status } }`, { paid: attestation }, token);
  }
  const agent = await server.agentToken();
  let sequence = 0;
  const report = (samples) => server.ask(REPORT, { input: { sequence: (sequence += 1), samples } }, agent);
  for (const id of ids) {
    const minutes = Array.from({ length: 900 }, (_, minute) => minute + 3);
    await report(minutes.map((minute) => sample(id, -minute, new Date(Date.now() - minute * 60_000))));
  }
  for (const { page } of Object.values(visits)) await page.reload();
  for (let second = 0; second < SECONDS; second += 1) {
    await report(ids.map((id) => sample(id, second, new Date())));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  for (const [name, { page }] of Object.entries(visits)) {
    await page.screenshot({ path: `${folder}console-${name}.png` });
  }
  await to(visits.dark, "History");
  await heading(visits.dark, "History");
  await visits.dark.page.getByRole("img", { name: /readings/ }).waitFor();
  await visits.dark.page.waitForTimeout(500);
  await visits.dark.page.screenshot({ path: `${folder}console-history.png` });

  const { page } = await open(t, { path: "/graphiql", viewport: { width: 1280, height: 800 } });
  await page.getByRole("button", { name: /^Execute query/ }).click();
  await page.getByText('"version"').waitFor();
  await page.waitForTimeout(500);
  await page.screenshot({ path: `${folder}graphiql.png` });
});
