import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { open, serve } from "./harness.mjs";
import { asNewAccount, heading, signIn, to } from "./harness/console.mjs";

const tag = ({ page }) => page.locator(".facts code").first();

/** Another tab of the same browser, as a visit of its own. */
async function anotherTab(visit, path = "/") {
  const page = await visit.page.context().newPage();
  await page.goto(visit.server.address + path);
  return { page, server: visit.server };
}

test("a tab becomes whoever another tab signed in, whole, and never a mixture of both", async (t) => {
  const visit = await open(t);
  const second = await anotherTab(visit);
  const ada = await asNewAccount(visit);
  await to(visit, "Security");
  await tag(visit).getByText(ada.id).waitFor();
  const grace = await asNewAccount(second);
  await tag(visit).getByText(grace.id).waitFor();
  const [download] = await Promise.all([
    visit.page.waitForEvent("download"),
    visit.page.getByRole("button", { name: "Export as a file" }).click(),
  ]);
  assert.equal((await readFile(await download.path(), "utf8")).includes(ada.id), false);
});

test("an answer that comes after its holder has gone is shown to nobody, and its request is not made again", async (t) => {
  const visit = await open(t);
  const { page, server } = visit;
  const ada = await server.register();
  const operator = await server.operator();
  const set = `mutation ($account: ID!) { setServiceStatus(account: $account, status: READ_ONLY, reason: "a note to ada") { id } }`;
  await server.ask(set, { account: ada.id }, operator);
  const held = [];
  await page.route("**/graphql", async (route) => {
    if (held.length === 0 && route.request().postData()?.includes("query Standing")) {
      const answer = await route.fetch();
      await new Promise((release) => held.push(release));
      return route.fulfill({ response: answer }).catch(() => undefined);
    }
    return route.continue();
  });
  await signIn(visit, { who: ada.email });
  await page.getByRole("button", { name: "Sign out" }).click();
  const grace = await server.register();
  await signIn(visit, { who: grace.email });
  await heading(visit, "Now");
  held[0]();
  await page.waitForTimeout(500);
  await page.getByText("Active: 30 days of the trial left.").waitFor();
  assert.equal(await page.getByText("a note to ada").count(), 0);
});

test("recovery codes do not outlive their holder's session", async (t) => {
  const visit = await open(t);
  await asNewAccount(visit);
  await to(visit, "Security");
  await visit.page.getByRole("button", { name: "Make new ones" }).click();
  await visit.page.getByRole("heading", { name: "Keep this." }).waitFor();
  visit.page.on("dialog", (dialog) => dialog.accept());
  await visit.page.getByRole("button", { name: "Sign out" }).click();
  await visit.page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await visit.page.getByText("Keep this.").count(), 0);
});

test("codes that are not kept yet are not lost to a reload without a question", async (t) => {
  const visit = await open(t);
  await visit.page.getByRole("link", { name: "Sign up" }).click();
  await visit.page.getByLabel("Without any address").check();
  await visit.page.getByLabel("Password").fill("violet harbour kestrel 41");
  await visit.page.getByRole("button", { name: "Open the account" }).click();
  await visit.page.getByRole("heading", { name: "Keep this." }).waitFor();
  const asked = visit.page.waitForEvent("dialog");
  const reload = visit.page.reload().catch(() => undefined);
  const dialog = await asked;
  assert.equal(dialog.type(), "beforeunload");
  await dialog.accept();
  await reload;
});

test("a sign-out that the server did not do is said, and the session goes on", async (t) => {
  const visit = await open(t);
  await asNewAccount(visit);
  visit.expect(/503/);
  const refuse = (route) => {
    if (!route.request().postData()?.includes("mutation SignOut")) return route.continue();
    const error = { message: "internal error", extensions: { code: "INTERNAL", requestId: "req_1" } };
    return route.fulfill({ status: 503, contentType: "application/json", body: JSON.stringify({ errors: [error] }) });
  };
  await visit.page.route("**/graphql", refuse);
  await visit.page.getByRole("button", { name: "Sign out" }).click();
  await visit.page.getByText("INTERNAL").waitFor();
  await heading(visit, "Now");
  await visit.page.unroute("**/graphql", refuse);
  await visit.page.getByRole("button", { name: "Sign out" }).click();
  await visit.page.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("a server that is away while the page opens is asked again until it is there", async (t) => {
  const visit = await open(t);
  const { email } = await visit.server.register();
  await signIn(visit, { who: email });
  await heading(visit, "Now");
  visit.expect(/ERR_FAILED|ERR_CONNECTION|failed: .*graphql/);
  const away = (route) => route.abort("connectionrefused");
  await visit.page.route("**/graphql", away);
  await visit.page.reload();
  await visit.page.getByText("The server cannot be reached.").waitFor();
  await visit.page.unroute("**/graphql", away);
  await heading(visit, "Now");
});

test("a server's clock that is weeks ahead makes the page renew no more often", async (t) => {
  const server = await serve(t, { testClock: true });
  const visit = await open(t, { server });
  const { email } = await server.register();
  await server.advance(29 * 86_400);
  let renewals = 0;
  visit.page.on("request", (request) => (renewals += request.postData()?.includes("mutation Renew") ? 1 : 0));
  await signIn(visit, { who: email });
  await heading(visit, "Now");
  await visit.page.waitForTimeout(1_500);
  assert.equal(renewals, 0);
});

test("the way to the content leads to the content of the page that is shown", async (t) => {
  const visit = await open(t);
  await asNewAccount(visit);
  await to(visit, "History");
  await heading(visit, "History");
  await visit.page.getByRole("button", { name: "To the content" }).focus();
  await visit.page.keyboard.press("Enter");
  await heading(visit, "History");
  assert.equal(await visit.page.evaluate(() => document.activeElement?.tagName), "MAIN");
  assert.equal(await visit.page.title(), "History · DimensionOS");
});

for (const width of [320, 390, 768]) {
  test(`nothing is wider than a page of ${width} pixels`, async (t) => {
    const visit = await open(t, { viewport: { width, height: 800 } });
    await asNewAccount(visit);
    for (const name of ["Now", "History", "Payment", "Findings", "Security", "Your data"]) {
      await to(visit, name);
      await visit.page.waitForTimeout(300);
      const wide = await visit.page.evaluate(() => document.documentElement.scrollWidth);
      assert(wide <= width, `${name}: ${wide}`);
    }
  });
}
