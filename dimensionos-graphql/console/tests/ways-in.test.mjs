import assert from "node:assert/strict";
import { test } from "node:test";

import { open, PASSWORD } from "./harness.mjs";
import { bodies, heading, keepCodes, signIn, signUp } from "./harness/console.mjs";

test("an account is opened with an address, and its holder is shown the recovery codes once", async (t) => {
  const visit = await open(t);
  await signUp(visit, { who: "ada@example.org" });
  const codes = await visit.page.getByRole("listitem").allTextContents();
  assert.equal(codes.length, 10);
  await visit.axe();
  await keepCodes(visit);
  await heading(visit, "Now");
  await visit.page.getByText("Active: 30 days of the trial left.").waitFor();
  await visit.page.getByLabel("Live connection").getByText("live", { exact: true }).waitFor();
  assert.equal(await visit.page.getByText(codes[0]).count(), 0);
});

test("an address that stays in the page names the same account and is in no request", async (t) => {
  const visit = await open(t);
  const asked = bodies(visit);
  await signUp(visit, { way: "An address that stays here", who: " Grace@BÜCHER.example " });
  await keepCodes(visit);
  await heading(visit, "Now");
  assert(asked.some((body) => body.includes("emailDigest")));
  assert.deepEqual(asked.filter((body) => /grace|bücher|bcher/i.test(body)), []);

  await visit.page.getByRole("button", { name: "Sign out" }).click();
  await signIn(visit, { who: "grace@xn--bcher-kva.example" });
  await heading(visit, "Now");
});

test("an account without any address signs in with its number", async (t) => {
  const visit = await open(t);
  await signUp(visit, { isWithout: true });
  const number = await visit.page.locator(".secret").textContent();
  await keepCodes(visit);
  await heading(visit, "Now");
  await visit.page.getByRole("button", { name: "Sign out" }).click();
  await signIn(visit, { way: "An account number", who: number });
  await heading(visit, "Now");
});

test("a recovery code opens the account, sets another password, and is used up", async (t) => {
  const visit = await open(t, { path: "/#/recover" });
  const { email, recoveryCodes } = await visit.server.register();
  const { page } = visit;
  await page.getByLabel("Address", { exact: true }).fill(email);
  await page.getByLabel("Recovery code").fill(recoveryCodes[0]);
  await page.getByLabel("New password").fill("copper lantern meadow 58");
  await page.getByRole("button", { name: "Recover" }).click();
  await heading(visit, "Security");
  await page.getByText("9 of ten are left.").waitFor();
});

test("what is refused is said in words, with its code, and nothing typed is lost", async (t) => {
  const visit = await open(t);
  const { page } = visit;
  await signIn(visit, { who: "nobody@example.org" });
  await page.getByText("That does not open an account.").waitFor();
  assert.equal(await page.getByText("INVALID_CREDENTIALS").count(), 1);
  assert.equal(await page.getByLabel("Address", { exact: true }).inputValue(), "nobody@example.org");

  await page.getByRole("link", { name: "Sign up" }).click();
  await page.getByLabel("Address", { exact: true }).fill("short@example.org");
  await page.getByLabel("Password").fill("password");
  await page.getByRole("button", { name: "Open the account" }).click();
  await page.getByText("WEAK_PASSWORD").waitFor();
});

test("a reload stays signed in, no script can read what it stays by, and signing out ends every tab", async (t) => {
  const visit = await open(t);
  const { email } = await visit.server.register();
  await signIn(visit, { who: email });
  await heading(visit, "Now");
  await visit.page.reload();
  await heading(visit, "Now");

  const kept = await visit.page.evaluate(() => [document.cookie, JSON.stringify({ ...localStorage, ...sessionStorage })]);
  assert.deepEqual(kept, ["", '{"dimensionos-signed-in":"yes"}']);
  const [cookie] = await visit.page.context().cookies();
  assert(cookie.httpOnly && cookie.sameSite === "Strict");

  const second = await visit.page.context().newPage();
  await second.goto(visit.server.address);
  await second.getByRole("heading", { name: "Now" }).waitFor();
  await visit.page.getByRole("button", { name: "Sign out" }).click();
  await second.getByRole("heading", { name: "Sign in" }).waitFor();
  await visit.page.reload();
  await visit.page.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("after too many wrong guesses the owner gets in by a little work of the browser's", async (t) => {
  const visit = await open(t);
  const { email } = await visit.server.register();
  const login = `mutation ($input: LoginInput!) { login(input: $input) { account { id } } }`;
  for (let guess = 0; guess < 60; guess += 1) {
    const input = { identity: { email }, password: `a wrong guess of ${guess}` };
    await visit.server.ask(login, { input }).catch(() => undefined);
  }
  await signIn(visit, { who: email, password: PASSWORD });
  await heading(visit, "Now");
});

test("what the server stores is told to everybody", async (t) => {
  const visit = await open(t);
  await visit.page.getByRole("link", { name: "What this server stores" }).click();
  await heading(visit, "What this server stores");
  await visit.page.getByRole("group", { name: "accounts", exact: true }).waitFor();
  await visit.axe();
});
