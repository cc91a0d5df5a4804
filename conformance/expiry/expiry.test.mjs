// What clients are told when their hour is over. These tests move the server's clock, and come after all others.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { Socket } from "../socket/socket.mjs";
import { connect, listen } from "../urql/client.mjs";
import { ME, USAGE, address, ask, bearer, endpoint, granted, inTime, register, socketEndpoint } from "../server.mjs";

async function anHourLater() {
  const response = await fetch(`${address}/development/clock`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ advanceSeconds: 3_660 }),
  });
  assert.equal(response.status, 200);
}

test("a request is refused, and a new pair goes on", async () => {
  const ada = await register();
  await anHourLater();
  assert.equal((await ask(ME, {}, ada.access)).errors[0].extensions.code, "TOKEN_EXPIRED");
  const tokens = { access: ada.access, refresh: ada.refresh };
  const { data } = await connect(tokens).query(ME, {}).toPromise();
  assert.equal(data.me.id, ada.id);
  assert.equal(tokens.refreshes, 1);
});

test("an open socket is closed, and a new one with the old token is too", async () => {
  const ada = await register();
  const socket = await Socket.of(ada.access);
  socket.start("1", USAGE);
  assert.equal((await socket.hear()).type, "next");
  await anHourLater();
  assert.equal((await socket.closing()).reason, "TOKEN_EXPIRED");
  const late = await Socket.open();
  late.init(ada.access);
  assert.equal((await late.closing()).reason, "TOKEN_EXPIRED");
});

test("a client that brings a new token at each connection goes on listening", async () => {
  const ada = await register();
  const refresh = "mutation ($token: String!) { refresh(refreshToken: $token) { tokens { accessToken } } }";
  let connections = 0;
  const client = createClient({
    url: socketEndpoint,
    webSocketImpl: WebSocket,
    async connectionParams() {
      connections += 1;
      if (connections === 1) return bearer(ada.access);
      return bearer((await granted(refresh, { token: ada.refresh })).refresh.tokens.accessToken);
    },
    retryWait: async () => {},
  });
  const usage = client.iterate({ query: USAGE });
  assert.equal((await inTime(usage.next())).value.data.usage.ram.megabytesUsed, null);
  await anHourLater();
  const goingOn = inTime(usage.next()).catch(({ code, reason }) => assert.fail(`closed with ${code}: ${reason}`));
  assert.equal((await goingOn).value.data.usage.ram.megabytesUsed, null);
  assert.equal(connections, 2);
  await usage.return();
});

test("a stream of events ends with the refusal", async () => {
  const ada = await register();
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream", ...bearer(ada.access) },
    body: JSON.stringify({ query: USAGE }),
  });
  await anHourLater();
  const text = await inTime(response.text());
  assert.match(text, /event: next\ndata: .*"code":"TOKEN_EXPIRED".*\n\nevent: complete\n(data:\s*\n)?\n$/);
});

test("a subscription of urql is told, and its next one goes on after a refresh", async () => {
  const ada = await register();
  const tokens = { access: ada.access, refresh: ada.refresh };
  const client = connect(tokens);
  const usage = listen(client.subscription(USAGE, {}));
  assert.equal((await usage.next()).error, undefined);
  await anHourLater();
  assert((await usage.next()).error);
  assert.equal((await client.query(ME, {}).toPromise()).data.me.id, ada.id);
  const { data } = await listen(client.subscription(USAGE, {})).next();
  assert.equal(data.usage.ram.megabytesUsed, null);
});
