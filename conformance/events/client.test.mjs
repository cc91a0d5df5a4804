// graphql-sse's own client, with a connection for each operation.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "graphql-sse";

import { ME, REGISTER, TIERS, USAGE, bearer, endpoint } from "../server.mjs";
import { inTime, newEmail, newMeter, password, register } from "../server.mjs";

const connect = (token) => createClient({ url: endpoint, headers: token ? bearer(token) : {}, retryAttempts: 0 });

async function once(client, query, variables) {
  const answers = [];
  for await (const answer of client.iterate({ query, variables })) answers.push(answer);
  assert.equal(answers.length, 1);
  return answers[0];
}

test("a query and a mutation are answered once", async () => {
  const client = connect();
  assert.equal((await once(client, TIERS)).data.tiers.length, 4);
  const { account, tokens } = (await once(client, REGISTER, { email: newEmail(), password })).data.register;
  assert.equal((await once(connect(tokens.accessToken), ME)).data.me.id, account.id);
});

test("usage is told as it changes, until the client has heard enough", async () => {
  const ada = await register();
  const meter = newMeter();
  const results = connect(ada.access).iterate({ query: USAGE });
  const next = async () => (await inTime(results.next())).value.data.usage.ram.megabytesUsed;
  assert.equal(await next(), null);
  for (const megabytes of [5, 7]) {
    await meter(ada.id, megabytes);
    assert.equal(await next(), megabytes);
  }
  await results.return();
  assert.deepEqual(await results.next(), { done: true, value: undefined });
});

test("what a document lacks is an error of the operation", async () => {
  const answer = await once(connect(), "{ nonsense }");
  assert.equal(answer.errors[0].extensions.code, "INVALID_INPUT");
  assert(!("data" in answer));
});

test("a token that does not hold opens nothing", async () => {
  for (const query of [ME, USAGE]) {
    assert.equal((await once(connect(), query)).errors[0].extensions.code, "UNAUTHENTICATED");
    assert.equal((await once(connect("nonsense"), query)).errors[0].extensions.code, "TOKEN_INVALID");
  }
});
