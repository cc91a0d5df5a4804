// graphql-transport-ws: messages that are none, and pings.
import assert from "node:assert/strict";
import { test } from "node:test";

import { TIERS, USAGE, register } from "../server.mjs";
import { Socket } from "./socket.mjs";

const operation = { query: TIERS };
const invalid = {
  "no text": "",
  "no JSON": "nonsense",
  "broken JSON": '{"type":"ping"',
  "a number": "5",
  null: "null",
  "a list": "[]",
  "a list of messages": '[{"type":"ping"}]',
  "no type": "{}",
  "a type that is no text": { type: 5 },
  "an unknown type": { type: "nonsense" },
  "a type of the older protocol": { type: "start", id: "1", payload: operation },
  "a type in capitals": { type: "PING" },
  "an acknowledgement": { type: "connection_ack" },
  "a result": { type: "next", id: "1", payload: { data: null } },
  "an error": { type: "error", id: "1", payload: [] },
  "a payload of connection_init that is a list": { type: "connection_init", payload: [] },
  "a payload of connection_init that is text": { type: "connection_init", payload: "text" },
  "a subscribe without an id": { type: "subscribe", payload: operation },
  "a subscribe whose id is null": { type: "subscribe", id: null, payload: operation },
  "a subscribe whose id is a number": { type: "subscribe", id: 5, payload: operation },
  "a subscribe whose id is empty": { type: "subscribe", id: "", payload: operation },
  "a subscribe without a payload": { type: "subscribe", id: "1" },
  "a subscribe whose payload is null": { type: "subscribe", id: "1", payload: null },
  "a subscribe whose payload is text": { type: "subscribe", id: "1", payload: TIERS },
  "a subscribe without a query": { type: "subscribe", id: "1", payload: {} },
  "a subscribe whose query is a number": { type: "subscribe", id: "1", payload: { query: 5 } },
  "an operation name that is a number": { type: "subscribe", id: "1", payload: { ...operation, operationName: 5 } },
  "variables that are a list": { type: "subscribe", id: "1", payload: { ...operation, variables: [] } },
  "variables that are text": { type: "subscribe", id: "1", payload: { ...operation, variables: "{}" } },
  "extensions that are a list": { type: "subscribe", id: "1", payload: { ...operation, extensions: [] } },
  "a complete without an id": { type: "complete" },
  "a complete whose id is a number": { type: "complete", id: 5 },
  "a complete whose id is empty": { type: "complete", id: "" },
  "a ping whose payload is text": { type: "ping", payload: "text" },
  "a ping whose payload is a list": { type: "ping", payload: [] },
  "a pong whose payload is text": { type: "pong", payload: "text" },
  "a binary message": Buffer.from(JSON.stringify({ type: "ping" })),
};

for (const [name, message] of Object.entries(invalid)) {
  test(`${name} closes the socket with 4400`, async () => {
    const isWritten = typeof message === "string" || Buffer.isBuffer(message);
    // Only one that has not been acknowledged may say connection_init.
    const socket = message.type === "connection_init" ? await Socket.open() : await Socket.of();
    socket.send(isWritten ? message : JSON.stringify(message));
    assert.equal((await socket.closing()).code, 4400);
  });
}

test("an invalid message closes the socket with 4400 before the acknowledgement too", async () => {
  const socket = await Socket.open();
  socket.send("nonsense");
  assert.equal((await socket.closing()).code, 4400);
});

test("an invalid message ends what is under way: nothing follows it", async () => {
  const ada = await register();
  const socket = await Socket.of(ada.access);
  socket.start("1", USAGE);
  assert.equal((await socket.hear()).type, "next");
  socket.send("nonsense");
  assert.equal((await socket.closing()).code, 4400);
});

test("a ping gets its payload back", async () => {
  const socket = await Socket.of();
  const payloads = [{}, { a: 1 }, { deep: { list: [null, "ü", 1.5, true] } }];
  for (const payload of payloads) {
    socket.say({ type: "ping", payload });
    assert.deepEqual(await socket.hear(), { type: "pong", payload });
  }
  socket.say({ type: "ping" });
  assert.deepEqual(await socket.hear(), { type: "pong" });
  await socket.close();
});

test("a pong that nobody asked for is let pass", async () => {
  const socket = await Socket.of();
  socket.say({ type: "pong" });
  socket.say({ type: "pong", payload: { a: 1 } });
  await socket.assertQuiet();
  await socket.close();
});

test("a ping of the WebSocket itself is answered", async () => {
  const socket = await Socket.of();
  assert.equal(await socket.ping("here"), "here");
  await socket.assertQuiet();
  await socket.close();
});
