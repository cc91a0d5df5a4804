// graphql-ws's own client.
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { LOGIN, ME, REGISTER, TIERS, USAGE, bearer, inTime } from "../server.mjs";
import { newEmail, newMeter, password, register, socketEndpoint } from "../server.mjs";

const clients = [];
after(() => clients.forEach((client) => client.terminate()));

function connect(token, more = {}) {
  const client = createClient({
    url: socketEndpoint,
    webSocketImpl: WebSocket,
    connectionParams: token && bearer(token),
    retryAttempts: 0,
    // Those that are not lazy hear of their end here.
    onNonLazyError: () => {},
    ...more,
  });
  clients.push(client);
  return client;
}

/** What an operation that answers once gives. */
async function once(client, query, variables) {
  const answers = [];
  for await (const answer of client.iterate({ query, variables })) answers.push(answer);
  assert.equal(answers.length, 1);
  return answers[0];
}

const next = async (results) => (await inTime(results.next())).value.data.usage.ram.megabytesUsed;

test("a query, a registration and a login go over one socket", async () => {
  let sockets = 0;
  const client = connect(undefined, { lazy: false, on: { connected: () => (sockets += 1) } });
  assert.equal((await once(client, TIERS)).data.tiers.length, 4);
  const variables = { email: newEmail(), password };
  const registered = (await once(client, REGISTER, variables)).data.register;
  const { account, tokens } = (await once(client, LOGIN, variables)).data.login;
  assert.equal(account.id, registered.account.id);
  assert.equal((await once(connect(tokens.accessToken), ME)).data.me.id, account.id);
  assert.equal(sockets, 1);
});

test("usage is told as it changes, until the client has heard enough", async () => {
  const ada = await register();
  const meter = newMeter();
  const results = connect(ada.access).iterate({ query: USAGE });
  assert.equal(await next(results), null);
  for (const megabytes of [5, 7]) {
    await meter(ada.id, megabytes);
    assert.equal(await next(results), megabytes);
  }
  await results.return();
  assert.deepEqual(await results.next(), { done: true, value: undefined });
});

test("several subscriptions share a socket, and each ends alone", async () => {
  const ada = await register();
  const meter = newMeter();
  let sockets = 0;
  const client = connect(ada.access, { on: { connected: () => (sockets += 1) } });
  const [first, second] = [client.iterate({ query: USAGE }), client.iterate({ query: USAGE })];
  assert.deepEqual([await next(first), await next(second)], [null, null]);
  await first.return();
  assert.equal((await once(client, ME)).data.me.id, ada.id);
  await meter(ada.id, 3);
  assert.equal(await next(second), 3);
  await second.return();
  assert.equal(sockets, 1);
});

test("a connection that broke is made anew, and its subscriptions go on", async () => {
  const ada = await register();
  const meter = newMeter();
  const sockets = [];
  const on = { connected: (socket) => sockets.push(socket) };
  const client = connect(ada.access, { retryAttempts: 5, retryWait: async () => {}, on });
  const results = client.iterate({ query: USAGE });
  assert.equal(await next(results), null);
  sockets[0].terminate();
  assert.equal(await next(results), null);
  await meter(ada.id, 9);
  assert.equal(await next(results), 9);
  assert.equal(sockets.length, 2);
  await results.return();
});

test("what a document lacks is an error of the operation, and the socket stays", async () => {
  const client = connect(undefined, { lazy: false });
  const refused = await once(client, "{ nonsense }").catch((errors) => errors);
  assert.equal(refused[0].extensions.code, "INVALID_INPUT");
  assert.equal((await once(client, TIERS)).data.tiers.length, 4);
});

test("an account that has not signed in is told so", async () => {
  const answer = await once(connect(), ME);
  assert.equal(answer.errors[0].extensions.code, "UNAUTHENTICATED");
});

test("a token that does not hold is a close with 4403", async () => {
  const closed = await once(connect("nonsense"), ME).catch((event) => event);
  assert.deepEqual([closed.code, closed.reason], [4403, "TOKEN_INVALID"]);
});

test("the client's pings are answered", async () => {
  const answered = new Promise((resolve, reject) => {
    const on = { pong: (isReceived) => isReceived && resolve(true), error: reject };
    connect(undefined, { lazy: false, keepAlive: 20, on });
  });
  assert(await inTime(answered));
});
