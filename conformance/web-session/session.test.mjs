// A web front end as the README has it: its refresh token in a cookie, and its example, in a browser's place.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import WebSocket from "ws";

import { LOGIN, ME, REGISTER, USAGE, address, endpoint, newEmail, newMeter, password } from "../server.mjs";
import { listen } from "../urql/client.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const example = here("../../examples/web/urql.ts");
const REFRESH = 'mutation { refresh(refreshToken: "") { tokens { accessToken refreshToken } } }';

/** What the cookie is called in development: the port is in it. */
const COOKIE = `dimensionos-refresh-${new URL(address).port}`;

/** What a browser does with cookies, and Node does not: it keeps them, and names the page that asks. */
class Browser {
  origin = address;
  cookies = new Map();
  seen = [];

  fetch = async (url, options) => {
    const headers = new Headers(options.headers);
    headers.set("origin", this.origin);
    const sent = options.credentials === "include" || options.credentials === "same-origin";
    if (sent && this.cookies.size > 0) {
      headers.set("cookie", [...this.cookies].map(([name, { value }]) => `${name}=${value}`).join("; "));
    }
    const answer = await nodeFetch(url, { ...options, headers });
    for (const set of answer.headers.getSetCookie()) {
      const [pair, ...attributes] = set.split("; ");
      const [name, value] = pair.split("=");
      if (attributes.includes("Max-Age=0")) this.cookies.delete(name);
      else this.cookies.set(name, { value, attributes });
    }
    // All that a script of the page can read.
    this.seen.push(await answer.clone().text(), ...[...answer.headers].filter(([name]) => name !== "set-cookie").flat());
    return answer;
  };

  refreshToken = () => this.cookies.get(COOKIE)?.value;
}

const nodeFetch = globalThis.fetch;
let connect;

before(async () => {
  const folder = here("../generated/web-session");
  mkdirSync(folder, { recursive: true });
  copyFileSync(example, `${folder}/urql.ts`);
  const compiler = spawnSync(here("../node_modules/.bin/tsc"), ["--project", here("tsconfig.json")], { encoding: "utf8" });
  assert.equal(compiler.status, 0, compiler.stdout + compiler.stderr);
  ({ connect } = await import(`${folder}/urql.js`));
  globalThis.WebSocket = WebSocket;
});
after(() => {
  globalThis.fetch = nodeFetch;
});

/** A page that has just been loaded in a browser: nothing is in its memory. */
function load(browser) {
  globalThis.fetch = browser.fetch;
  return connect(endpoint);
}

/** Registers somebody new in a page; gives the account's id. */
async function signUp(page, email = newEmail()) {
  const { data, error } = await page.client.mutation(REGISTER, { email, password }).toPromise();
  assert.equal(error, undefined);
  page.signedIn(data.register.tokens.accessToken);
  return data.register.account.id;
}

const me = async (page) => {
  const { data, error } = await page.client.query(ME, {}, { requestPolicy: "network-only" }).toPromise();
  return data?.me.id ?? error.graphQLErrors[0].extensions.code;
};

test("the README quotes the example as it is", () => {
  assert(readFileSync(here("../../README.md"), "utf8").includes(readFileSync(example, "utf8")));
});

test("a page that is loaded again is signed in by its cookie alone", async () => {
  const browser = new Browser();
  const id = await signUp(load(browser));
  const first = browser.refreshToken();
  const again = load(browser);
  assert.equal(await me(again), id);
  assert.notEqual(browser.refreshToken(), first);
  assert.equal(await me(again), id);
});

test("no script can read the refresh token", async () => {
  const browser = new Browser();
  const page = load(browser);
  const email = newEmail();
  await signUp(page, email);
  await page.client.mutation(LOGIN, { email, password }).toPromise();
  await page.client.mutation(REFRESH, {}).toPromise();
  const { attributes } = browser.cookies.get(COOKIE);
  assert(attributes.includes("HttpOnly") && attributes.includes("SameSite=Strict") && attributes.includes("Path=/"));
  assert(browser.refreshToken().startsWith("dimr_"));
  assert(browser.seen.some((text) => text.includes("accessToken")));
  assert(!browser.seen.some((text) => text.includes("dimr_")));
});

test("an access token that does not hold is replaced by the cookie", async () => {
  const browser = new Browser();
  const page = load(browser);
  const id = await signUp(page);
  page.signedIn("stale");
  assert.equal(await me(page), id);
});

test("a socket is opened with a token that the cookie gave", async () => {
  const browser = new Browser();
  const id = await signUp(load(browser));
  const again = load(browser);
  const usage = listen(again.client.subscription(USAGE, {}));
  assert.equal((await usage.next()).data.usage.ram.megabytesUsed, null);
  await newMeter()(id, 5);
  assert.equal((await usage.next()).data.usage.ram.megabytesUsed, 5);
  usage.unsubscribe();
});

test("signing out takes the cookie away, and a page that is loaded then is nobody's", async () => {
  const browser = new Browser();
  const page = load(browser);
  await signUp(page);
  assert.equal((await page.client.mutation("mutation { logout }", {}).toPromise()).data.logout, true);
  assert.equal(browser.refreshToken(), undefined);
  assert.equal(await me(load(browser)), "UNAUTHENTICATED");
});

test("a page of another origin gets nothing by the cookie", async () => {
  const browser = new Browser();
  const id = await signUp(load(browser));
  const kept = browser.refreshToken();
  browser.origin = "https://evil.example";
  const evil = load(browser);
  const { data, error } = await evil.client.mutation(REFRESH, {}).toPromise();
  assert.equal(data ?? null, null);
  assert.equal(error.graphQLErrors[0]?.extensions.code ?? error.response.status, "FORBIDDEN");
  assert.equal(browser.refreshToken(), kept);
  browser.origin = address;
  assert.equal(await me(load(browser)), id);
});
