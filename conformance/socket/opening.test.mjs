// graphql-transport-ws: what opens a connection, and what refuses it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ME, TIERS, ask, granted, register } from "../server.mjs";
import { PROTOCOL, Socket, handshake } from "./socket.mjs";

test("the protocol is chosen wherever it stands among others", async () => {
  for (const offered of [PROTOCOL, `graphql-ws, ${PROTOCOL}`, `${PROTOCOL}, graphql-ws`, `a,${PROTOCOL},b`]) {
    assert.deepEqual(await handshake(offered), { chosen: PROTOCOL }, offered);
  }
  const socket = await Socket.open(["graphql-ws", PROTOCOL]);
  assert.equal(socket.protocol, PROTOCOL);
  await socket.close();
});

test("without the protocol the socket is closed with 4406", async () => {
  for (const offered of [undefined, "graphql-ws", "GRAPHQL-TRANSPORT-WS", `${PROTOCOL}x`]) {
    assert.deepEqual(await handshake(offered), { chosen: undefined, code: 4406 }, offered);
  }
  assert.equal((await (await Socket.open([])).closing()).reason, "Subprotocol not acceptable");
});

test("an anonymous connection is acknowledged, with and without a payload", async () => {
  for (const more of [{}, { payload: null }, { payload: {} }, { payload: { anything: [1] } }]) {
    const socket = await Socket.open();
    socket.say({ type: "connection_init", ...more });
    assert.deepEqual(await socket.hear(), { type: "connection_ack" });
    await socket.close();
  }
});

test("a token that holds opens the connection for its account", async () => {
  const ada = await register();
  const socket = await Socket.of(ada.access);
  socket.start("1", ME);
  assert.equal((await socket.hear()).payload.data.me.id, ada.id);
  await socket.close();
});

test("a token that does not hold closes the socket with 4403", async () => {
  const gone = await register();
  await granted("mutation { logout }", {}, gone.access);
  assert.equal((await ask(ME, {}, gone.access)).errors[0].extensions.code, "TOKEN_INVALID");
  for (const authorization of ["Bearer nonsense", "Bearer ", "nonsense", "", `Bearer ${gone.access}`, gone.access, 5]) {
    const socket = await Socket.open();
    socket.say({ type: "connection_init", payload: { authorization } });
    assert.equal((await socket.closing()).code, 4403, authorization);
  }
});

test("an operation before the acknowledgement closes the socket with 4401", async () => {
  const socket = await Socket.open();
  socket.start("1", TIERS);
  assert.deepEqual(await socket.closing(), { code: 4401, reason: "Unauthorized" });
});

test("a ping is answered before the acknowledgement, and a complete is no fault", async () => {
  const socket = await Socket.open();
  await socket.assertQuiet();
  socket.complete("1");
  await socket.assertQuiet();
  socket.init();
  assert.deepEqual(await socket.hear(), { type: "connection_ack" });
  await socket.close();
});

test("a second connection_init closes the socket with 4429", async () => {
  const late = await Socket.of();
  late.init();
  assert.deepEqual(await late.closing(), { code: 4429, reason: "Too many initialisation requests" });
  const early = await Socket.open();
  early.init();
  early.init();
  assert.deepEqual(await early.hear(), { type: "connection_ack" });
  assert.equal((await early.closing()).code, 4429);
});

test("a connection that does not say who it is is closed with 4408", async () => {
  const socket = await Socket.open();
  await socket.assertQuiet();
  assert.deepEqual(await socket.closing(), { code: 4408, reason: "Connection initialisation timeout" });
});
