// graphql-transport-ws: how operations begin, answer and end.
import assert from "node:assert/strict";
import { test } from "node:test";

import { LOGIN, ME, REGISTER, TIERS, USAGE, newEmail, newMeter, password, register } from "../server.mjs";
import { Socket } from "./socket.mjs";

test("a query is answered once and completed, and its id is free again", async () => {
  const socket = await Socket.of();
  for (let turn = 0; turn < 3; turn += 1) {
    socket.start("q", TIERS);
    const next = await socket.hear();
    assert.deepEqual([next.type, next.id], ["next", "q"]);
    assert.equal(next.payload.data.tiers.length, 4);
    assert.deepEqual(await socket.hear(), { id: "q", type: "complete" });
    await socket.assertQuiet();
  }
  await socket.close();
});

test("variables and the operation's name are heeded, and null stands for nothing", async () => {
  const socket = await Socket.of();
  const query = "query A($yes: Boolean!) { tiers { tier @include(if: $yes) cpuCores } } query B { service { name } }";
  socket.start("1", query, { operationName: "A", variables: { yes: false }, extensions: {} });
  assert.deepEqual(Object.keys((await socket.hear()).payload.data.tiers[0]), ["cpuCores"]);
  assert.equal((await socket.hear()).type, "complete");
  socket.start("2", TIERS, { operationName: null, variables: null, extensions: null });
  assert.equal((await socket.hear()).payload.data.tiers[0].tier, "FREE");
  assert.equal((await socket.hear()).type, "complete");
  await socket.close();
});

test("a mutation registers and signs in over a socket", async () => {
  const socket = await Socket.of();
  const variables = { email: newEmail(), password };
  socket.start("1", REGISTER, { variables });
  const registered = (await socket.hear()).payload.data.register.account.id;
  assert.equal((await socket.hear()).type, "complete");
  socket.start("1", LOGIN, { variables });
  assert.equal((await socket.hear()).payload.data.login.account.id, registered);
  assert.equal((await socket.hear()).type, "complete");
  await socket.close();
});

test("an operation that is not executed ends with its error: no complete follows", async () => {
  const socket = await Socket.of();
  const unnamed = "query A { me { id } } query B { me { id } }";
  for (const query of ["{", "{ nonsense }", "subscription { nonsense }", unnamed]) {
    socket.start("1", query);
    const { type, id, payload } = await socket.hear();
    assert.deepEqual([type, id], ["error", "1"], query);
    assert(Array.isArray(payload) && payload.length > 0);
    assert(payload.every((error) => typeof error.message === "string" && error.extensions.code === "INVALID_INPUT"));
    await socket.assertQuiet();
  }
  socket.start("1", TIERS);
  assert.equal((await socket.hear()).type, "next");
  await socket.close();
});

test("a subscription that is refused is told so, and ends", async () => {
  const socket = await Socket.of();
  socket.start("1", USAGE);
  const { type, id, payload } = await socket.hear();
  assert.deepEqual([type, id, payload.errors[0].extensions.code], ["next", "1", "UNAUTHENTICATED"]);
  assert.equal(payload.data ?? null, null);
  assert.deepEqual(await socket.hear(), { id: "1", type: "complete" });
  await socket.assertQuiet();
  await socket.close();
});

test("a field that fails is an answer, and the operation completes", async () => {
  const socket = await Socket.of();
  socket.start("1", "{ tiers { tier } account(id: \"nobody\") { id } }");
  const { type, payload } = await socket.hear();
  assert.equal(type, "next");
  assert.deepEqual(payload.errors[0].path, ["account"]);
  assert.equal(payload.data.tiers.length, 4);
  assert.deepEqual(await socket.hear(), { id: "1", type: "complete" });
  await socket.assertQuiet();
  await socket.close();
});

test("an id that is under way closes the socket with 4409", async () => {
  const ada = await register();
  const socket = await Socket.of(ada.access);
  socket.start("1", USAGE);
  assert.equal((await socket.hear()).type, "next");
  socket.start("1", TIERS);
  assert.deepEqual(await socket.closing(), { code: 4409, reason: "Subscriber for 1 already exists" });
});

test("nothing follows the client's complete, and its id is free again", async () => {
  const ada = await register();
  const meter = newMeter();
  const socket = await Socket.of(ada.access);
  const used = async () => (await socket.hear()).payload.data.usage.ram.megabytesUsed;
  for (let megabytes = 1; megabytes <= 3; megabytes += 1) {
    socket.start("1", USAGE);
    await used();
    socket.complete("1");
    await socket.assertQuiet();
    await meter(ada.id, megabytes);
    // Another operation sees the change; whoever has left is not told.
    socket.start("2", USAGE);
    assert.equal(await used(), megabytes);
    socket.complete("2");
    socket.complete("nobody");
    await socket.assertQuiet();
  }
  await socket.close();
});

test("operations of one socket go on beside each other", async () => {
  const ada = await register();
  const meter = newMeter();
  const socket = await Socket.of(ada.access);
  for (const id of ["a", "b", "c"]) socket.start(id, USAGE);
  const heard = [await socket.hear(), await socket.hear(), await socket.hear()];
  assert.deepEqual(heard.map((message) => message.id).sort(), ["a", "b", "c"]);
  socket.start("q", ME);
  assert.deepEqual((await socket.hear()).payload.data, { me: { id: ada.id } });
  assert.deepEqual(await socket.hear(), { id: "q", type: "complete" });
  socket.complete("b");
  await socket.assertQuiet();
  await meter(ada.id, 7);
  const told = [await socket.hear(), await socket.hear()];
  assert.deepEqual(told.map((message) => message.id).sort(), ["a", "c"]);
  assert(told.every((message) => message.payload.data.usage.ram.megabytesUsed === 7));
  await socket.close();
});

test("operations that are asked before the acknowledgement has been read are answered in turn", async () => {
  const socket = await Socket.open();
  socket.init();
  socket.start("1", TIERS);
  assert.deepEqual(await socket.hear(), { type: "connection_ack" });
  assert.equal((await socket.hear()).type, "next");
  assert.deepEqual(await socket.hear(), { id: "1", type: "complete" });
  await socket.close();
});
