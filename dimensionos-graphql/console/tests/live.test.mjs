import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";

import { open, serve } from "./harness.mjs";
import { asNewAccount, heading, signIn, to } from "./harness/console.mjs";

/** A process that computes for as long as the test lasts. */
function burn(t) {
  const burner = spawn(process.execPath, ["-e", "for (;;);"]);
  t.after(() => burner.kill("SIGKILL"));
  return burner;
}

const chart = ({ page }, name) => page.getByRole("img", { name: new RegExp(`^${name}, last \\d+ minutes`) });
const connection = ({ page }, state) => page.getByLabel("Live connection").getByText(state, { exact: true });

test("the live chart moves while a process burns under the agent", async (t) => {
  const visit = await open(t);
  const { id } = await asNewAccount(visit);
  const processor = visit.page.getByRole("meter", { name: "Processor" });
  assert.equal(await processor.getAttribute("aria-valuetext"), "not measured");
  await visit.page.getByText("Nobody measures this account yet").waitFor();

  await visit.server.agent({ account: id, pid: burn(t).pid });
  await visit.page.waitForFunction(() => {
    const figure = document.querySelector('[role="meter"][aria-label="Processor"]')?.getAttribute("aria-valuetext");
    return Number.parseFloat(figure ?? "0") > 0.2;
  });
  const drawn = () => chart(visit, "Processor").locator("canvas").evaluate((canvas) => canvas.toDataURL());
  const first = await drawn();
  await visit.page.waitForTimeout(2_500);
  assert.notEqual(await drawn(), first);
  assert.match(await chart(visit, "Processor").getAttribute("aria-label"), /Now: Processor 0\.[2-9]|Now: Processor 1/);
  // Nobody counts what the workload asks of a database.
  assert.match(await visit.page.locator(".meter", { hasText: "Database" }).textContent(), /not measured/);
  await visit.axe();
});

test("a suspension and its end show without a reload, with the reason and what to do", async (t) => {
  const visit = await open(t);
  const { id } = await asNewAccount(visit);
  await connection(visit, "live").waitFor();
  const operator = await visit.server.operator();
  const set = `mutation ($account: ID!, $status: ServiceStatus!) {
    setServiceStatus(account: $account, status: $status, reason: "looked odd") { id }
  }`;
  await visit.server.ask(set, { account: id, status: "SUSPENDED" }, operator);
  const { page } = visit;
  await page.getByText("An operator has made the account suspended.").waitFor();
  await page.getByText("looked odd").waitFor();
  await page.getByRole("link", { name: "Read what was found, and appeal" }).waitFor();
  await connection(visit, "not live").waitFor();
  await visit.axe();
  await visit.server.ask(set, { account: id, status: "ACTIVE" }, operator);
  await page.getByText("Active: 30 days of the trial left.").waitFor();
  await connection(visit, "live").waitFor();
});

test("a server that is killed and comes back is followed again, and the gap is no line", async (t) => {
  const server = await serve(t, { demo: true });
  const visit = await open(t, { server });
  await signIn(visit, { way: "An account number", who: server.demo.number, password: server.demo.password });
  await connection(visit, "live").waitFor();
  visit.expect(/ERR_CONNECTION_REFUSED|failed: .*graphql|WebSocket connection/);
  await server.restart(1_500);
  await connection(visit, "live").waitFor();
  await visit.page.getByRole("meter", { name: "Processor" }).waitFor();
  await heading(visit, "Now");
});

test("who is offline is told so, and comes back by itself", async (t) => {
  const visit = await open(t);
  await asNewAccount(visit);
  await connection(visit, "live").waitFor();
  visit.expect(/ERR_INTERNET_DISCONNECTED|failed: .*graphql|WebSocket/);
  await visit.page.context().setOffline(true);
  await visit.page.evaluate(() => dispatchEvent(new Event("offline")));
  await visit.page.getByRole("button", { name: "Sign out" }).click();
  await visit.page.getByText("The server cannot be reached.").waitFor();
  await visit.page.context().setOffline(false);
  await connection(visit, "live").waitFor();
});

test("history is drawn by the finest that its stretch allows, and a dragged stretch is looked at closer", async (t) => {
  const visit = await open(t);
  const { id } = await asNewAccount(visit);
  const token = await visit.server.agentToken();
  const samples = Array.from({ length: 900 }, (_, minute) => ({
    account: id,
    at: new Date(Date.now() - minute * 60_000).toISOString(),
    cpuMillicores: 200 + (minute % 60) * 10,
  }));
  const report = `mutation ($input: UsageReportInput!) { reportUsage(input: $input) { samples } }`;
  await visit.server.ask(report, { input: { sequence: 1, samples } }, token);

  await to(visit, "History");
  await heading(visit, "History");
  const shown = visit.page.getByRole("img");
  await visit.page.getByRole("img", { name: /readings by the minute/ }).waitFor();
  await visit.page.getByRole("button", { name: "Month" }).click();
  await visit.page.getByRole("img", { name: /readings by the hour/ }).waitFor();
  await visit.axe();
  const box = await shown.boundingBox();
  await visit.page.mouse.move(box.x + box.width * 0.955, box.y + 100);
  await visit.page.mouse.down();
  await visit.page.mouse.move(box.x + box.width * 0.975, box.y + 100, { steps: 5 });
  await visit.page.mouse.up();
  await visit.page.getByRole("img", { name: /readings by the minute/ }).waitFor();
  await visit.page.getByText("As figures").click();
  assert(await visit.page.getByRole("row").count() > 60);
});
