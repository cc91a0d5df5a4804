import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { generateIdentity, identityToRecipient } from "age-encryption";

import { open, PASSWORD, serve } from "./harness.mjs";
import { asNewAccount, asOperator, bodies, heading, keepCodes, signIn, to } from "./harness/console.mjs";

const NOTICE = "ab".repeat(32);

/** Complains about an account, so that something is held against it. */
async function complain(server, account) {
  const file = `mutation ($input: CopyrightComplaintInput!) { fileCopyrightComplaint(input: $input) { id } }`;
  await server.ask(file, { input: { account, noticeDigest: NOTICE } }, await server.operator());
}

test("a finding is read and contested, and only the operators' key opens what was said", async (t) => {
  const identity = await generateIdentity();
  const server = await serve(t, { settings: { APPEAL_RECIPIENT: await identityToRecipient(identity) } });
  const visit = await open(t, { server });
  const { id } = await asNewAccount(visit);
  await complain(server, id);
  await to(visit, "Findings");
  const { page } = visit;
  await page.getByRole("heading", { name: "copyright" }).waitFor();
  await page.getByText("What would have kept it away:").waitFor();
  await visit.axe();

  const asked = bodies(visit);
  await page.getByText("Contest it", { exact: true }).click();
  await page.getByLabel("It is what the account is for").check();
  await page.getByLabel("What you want to say").fill("The work is mine.");
  await page.getByRole("button", { name: "Appeal" }).click();
  await page.getByText("Somebody will decide it.").waitFor();
  assert(asked.some((body) => body.includes("BEGIN AGE ENCRYPTED FILE")));
  assert.deepEqual(asked.filter((body) => body.includes("The work is mine")), []);

  const desk = await open(t, { server });
  await asOperator(desk);
  await to(desk, "Appeals");
  await desk.page.getByLabel(/age identity/i).fill(identity);
  await desk.page.getByRole("button", { name: "Use it here" }).click();
  await desk.page.getByText("The work is mine.").waitFor();
  await desk.axe();
});

test("an attestation pays for a tier, and counts once", async (t) => {
  const visit = await open(t);
  const { id } = await asNewAccount(visit);
  const until = new Date(Date.now() + 40 * 86_400_000).toISOString();
  const paid = ["--account", id, "--tier", "STARTER", "--until", until];
  const attestation = await visit.server.command("billing", "attest", ...paid);
  await to(visit, "Payment");
  const { page } = visit;
  const pay = async () => {
    await page.getByLabel("Attestation or voucher").fill(attestation);
    await page.getByRole("button", { name: "Use it" }).click();
  };
  await pay();
  await page.getByText("Taken. Paid until").waitFor();
  await page.getByText("Active on STARTER.").waitFor();
  await visit.axe();
  await pay();
  await page.getByText("ATTESTATION_SPENT").waitFor();
});

test("a trial that is over says what to do", async (t) => {
  const server = await serve(t, { testClock: true });
  const visit = await open(t, { server });
  const { email } = await asNewAccount(visit);
  await server.advance(31 * 86_400);
  await visit.page.reload();
  await signIn(visit, { who: email });
  await visit.page.getByText("The trial has ended: the account is read-only.").waitFor();
  await visit.page.getByRole("link", { name: "Pay with an attestation or a voucher" }).click();
  await heading(visit, "Payment");
  await visit.page.getByText(/the account is suspended in /).waitFor();
});

test("sessions are listed and ended, and new recovery codes replace the old ones", async (t) => {
  const visit = await open(t);
  const { page } = visit;
  const { email } = await asNewAccount(visit);
  await to(visit, "Security");
  await page.getByText("this one").waitFor();
  await page.getByRole("button", { name: /^End the session/ }).click();
  await page.getByRole("button", { name: /^End the session/ }).waitFor({ state: "hidden" });
  await visit.axe();
  await page.getByRole("button", { name: "Make new ones" }).click();
  await page.getByRole("heading", { name: "Keep this." }).waitFor();
  await keepCodes(visit);
  await page.getByText("10 of ten are left.").waitFor();
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await signIn(visit, { who: email });
  await heading(visit, "Security");
});

test("everything known is exported as a file, and erasure says first what it does", async (t) => {
  const visit = await open(t);
  const { page } = visit;
  const { id, email } = await asNewAccount(visit);
  await to(visit, "Security");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Export as a file" }).click(),
  ]);
  assert.equal(download.suggestedFilename(), `dimensionos-${id}.json`);
  const exported = JSON.parse(await readFile(await download.path(), "utf8"));
  assert.equal(JSON.stringify(exported).includes(id), true);

  await page.getByRole("button", { name: "Erase the account…" }).click();
  await page.getByText("This cannot be taken back.").waitFor();
  await visit.axe();
  await page.getByLabel("Password", { exact: true }).fill("not the password 99");
  await page.getByRole("button", { name: "Erase for good" }).click();
  await page.getByText("INVALID_CREDENTIALS").waitFor();
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Erase for good" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(visit, { who: email });
  await page.getByText("INVALID_CREDENTIALS").waitFor();
});
