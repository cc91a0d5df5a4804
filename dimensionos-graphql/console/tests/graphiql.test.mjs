import assert from "node:assert/strict";
import { test } from "node:test";

import { open, sharedServer } from "./harness.mjs";

/** GraphiQL, once it knows the schema. */
async function graphiql(t, options) {
  const visit = await open(t, { path: "/graphiql", ...options });
  await visit.page.getByRole("button", { name: /^Execute query/ }).waitFor();
  await visit.page.locator(".graphiql-spinner").waitFor({ state: "hidden" });
  return visit;
}

const QUERY = "operation.graphql";
const HEADERS = "request-headers.json";

/** Writes over what stands in an editor, as pasting does: typing would close brackets that are closed. */
async function write({ page }, name, text) {
  await page.evaluate(
    ([name, text]) => {
      const models = globalThis.__MONACO.editor.getModels();
      models.find(({ uri }) => uri.path.endsWith(name)).setValue(text);
    },
    [name, text],
  );
}

/** Runs the operation of this name, once the page has noticed that it is there. */
async function run({ page }, name) {
  await page.getByRole("tab").filter({ hasText: name }).waitFor();
  await page.getByRole("button", { name: /^Execute query/ }).click();
}

/** The text of an editor. */
function text({ page }, name) {
  return page.evaluate((name) => {
    const models = globalThis.__MONACO.editor.getModels();
    return models.find(({ uri }) => uri.path.endsWith(name)).getValue();
  }, name);
}

/** The answer that is shown, once there is one that matches. */
async function answer({ page }, pattern) {
  const shown = await page.waitForFunction((source) => {
    const models = globalThis.__MONACO.editor.getModels();
    const value = models.find(({ uri }) => uri.path.endsWith("response.json")).getValue();
    return new RegExp(source).test(value) && value;
  }, pattern.source);
  return JSON.parse(await shown.jsonValue());
}

const LIVE = "subscription Live {\n  usage(intervalMs: 100) {\n    at\n    cpu {\n      coresUsed\n    }\n  }\n}\n";

test("what graphiql shows at first can be run", async (t) => {
  const visit = await graphiql(t);
  await run(visit, "Service");
  const { data } = await answer(visit, /"version"/);
  assert.deepEqual(data.tiers.map(({ tier }) => tier), ["FREE", "STARTER", "PRO", "ENTERPRISE"]);
});

test("the editor of graphiql works in threads of its own, from files of the server's", async (t) => {
  const { page, server } = await graphiql(t);
  const worker = page.workers().find((worker) => worker.url().includes("graphql.worker"));
  await (worker ?? page.waitForEvent("worker", (worker) => worker.url().includes("graphql.worker")));
  for (const worker of page.workers()) assert.match(worker.url(), new RegExp(`^${server.address}/assets/`));
});

test("graphiql knows the names of the schema while one writes", async (t) => {
  const visit = await graphiql(t);
  await write(visit, QUERY, "{ service { versio } }");
  await visit.page.locator(".squiggly-error").first().waitFor();
  await write(visit, QUERY, "{ service { version } }");
  await visit.page.locator(".squiggly-error").first().waitFor({ state: "detached" });
});

test("graphiql shows the documentation of the schema", async (t) => {
  const { page } = await graphiql(t);
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  const documentation = page.locator(".graphiql-doc-explorer");
  await documentation.getByRole("link", { name: "Subscription" }).click();
  await documentation.getByText("A slow reader gets the newest, never a backlog.", { exact: false }).waitFor();
});

test("operations can be put together in graphiql by clicking", async (t) => {
  const visit = await graphiql(t);
  await visit.page.getByRole("button", { name: "Show GraphiQL Explorer" }).click();
  const explorer = visit.page.locator(".graphiql-explorer-root, .docExplorerWrap").first();
  await explorer.getByText("storedData", { exact: true }).click();
  await visit.page.waitForFunction(() => {
    const models = globalThis.__MONACO.editor.getModels();
    return /storedData/.test(models.find(({ uri }) => uri.path.endsWith("operation.graphql")).getValue());
  });
});

test("graphiql watches as whom the headers say, until it is stopped", async (t) => {
  const server = await sharedServer();
  const ada = await server.register();
  const agent = await server.agent({ account: ada.id });
  const visit = await graphiql(t);
  await write(visit, HEADERS, JSON.stringify({ Authorization: `Bearer ${ada.token}` }));
  await write(visit, QUERY, LIVE);
  const opened = visit.page.waitForEvent("websocket");
  await run(visit, "Live");
  const socket = await opened;
  const first = await answer(visit, /"coresUsed": [0-9]/);
  const second = await answer(visit, new RegExp(`"at": "(?!${first.data.usage.at})`));
  assert(second.data.usage.at > first.data.usage.at);
  const closed = socket.waitForEvent("close");
  await visit.page.getByRole("button", { name: /^Stop query/ }).click();
  await closed;
  await visit.page.getByRole("button", { name: /^Execute query/ }).waitFor();
  await agent.stop();
});

test("graphiql shows why a subscription is refused", async (t) => {
  const visit = await graphiql(t);
  await write(visit, QUERY, LIVE);
  await run(visit, "Live");
  await answer(visit, /UNAUTHENTICATED/);
  await visit.page.getByRole("button", { name: /^Execute query/ }).waitFor();
});

/** Runs an operation that signs in, opens the page again, and looks for the secrets of it. */
async function signInAndReturn(t, { query, variables = () => undefined, returned }) {
  const server = await sharedServer();
  const ada = await server.register();
  const visit = await graphiql(t);
  await write(visit, HEADERS, JSON.stringify({ authorization: `Bearer ${ada.token}` }));
  await write(visit, "variables.json", JSON.stringify(variables(ada)) ?? "");
  await write(visit, QUERY, query(ada));
  await run(visit, "SignIn");
  const { data } = await answer(visit, /accessToken/);
  // By its name: what GraphiQL shows first speaks of signing in too.
  await visit.page.waitForFunction(() => {
    const isKept = (name) => /"operationName":"SignIn"/.test(localStorage[`graphiql:${name}`]);
    return isKept("tabState") && isKept("queries");
  });
  await visit.page.reload();
  await visit.page.waitForFunction(() => globalThis.__MONACO?.editor.getModels().length >= 4);
  assert.match(await text(visit, QUERY), returned);
  await visit.page.getByRole("button", { name: "Show History" }).click();
  await visit.page.locator(".graphiql-history-item").getByText("SignIn").waitFor();
  const kept = await visit.page.evaluate(() => JSON.stringify(localStorage));
  const shown = await Promise.all([QUERY, HEADERS, "variables.json", "response.json"].map((name) => text(visit, name)));
  for (const secret of [ada.password, ada.token, data.login.tokens.accessToken]) {
    assert(![kept, ...shown].some((text) => text.includes(secret)), secret);
  }
}

test("graphiql keeps what was asked, and no token or password of it", (t) =>
  signInAndReturn(t, {
    query: ({ email, password }) => `mutation SignIn {
      login(input: { identity: { email: "${email}" }, password: "${password}" }) { tokens { accessToken } }
    }`,
    returned: /mutation SignIn[^]*password: ""/,
  }));

test("graphiql keeps no password that was a variable, under whatever name", (t) =>
  signInAndReturn(t, {
    query: ({ email }) => `mutation SignIn($word: String!) {
      login(input: { identity: { email: "${email}" }, password: $word }) { tokens { accessToken } }
    }`,
    variables: ({ password }) => ({ word: password }),
    returned: /password: \$word/,
  }));

test("graphiql keeps no password that was in a whole input", (t) =>
  signInAndReturn(t, {
    query: () => "mutation SignIn($input: LoginInput!) { login(input: $input) { tokens { accessToken } } }",
    variables: ({ email, password }) => ({ input: { identity: { email }, password } }),
    returned: /input: \$input/,
  }));

test("graphiql is dark where the system is", async (t) => {
  const brightness = async (colorScheme) => {
    const { page } = await graphiql(t, { colorScheme });
    const colour = await page.locator(".graphiql-container").evaluate((element) => getComputedStyle(element).backgroundColor);
    return colour.match(/[\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  };
  assert((await brightness("light")) > 600);
  assert((await brightness("dark")) < 200);
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing in ${colorScheme} graphiql but what is the editor's own`, async (t) => {
    const visit = await graphiql(t, { colorScheme });
    await visit.page.locator(".view-line").first().waitFor();
    // How GraphiQL nests its tabs, and how faintly Monaco writes comments in the dark, cannot be set.
    await visit.axe({ exclude: [".view-lines"], disable: ["nested-interactive"] });
  });
}
