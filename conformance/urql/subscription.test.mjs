// urql: subscriptions, over a WebSocket and over server-sent events.
import assert from "node:assert/strict";
import { test } from "node:test";

import { fetchExchange } from "@urql/core";

import { USAGE, bearer, newMeter, register } from "../server.mjs";
import { connect, listen } from "./client.mjs";

async function assertTellsUsage(client, ada) {
  const meter = newMeter();
  const usage = listen(client.subscription(USAGE, {}));
  const used = async () => {
    const { data, error } = await usage.next();
    assert.equal(error, undefined);
    return data.usage.ram.megabytesUsed;
  };
  assert.equal(await used(), null);
  for (const megabytes of [5, 7]) {
    await meter(ada.id, megabytes);
    assert.equal(await used(), megabytes);
  }
  usage.unsubscribe();
}

test("usage is told over a WebSocket", async () => {
  const ada = await register();
  await assertTellsUsage(connect({ access: ada.access }), ada);
});

test("usage is told over server-sent events", async () => {
  const ada = await register();
  const fetchOptions = { headers: bearer(ada.access) };
  const client = connect({}, { exchanges: [fetchExchange], fetchSubscriptions: true, fetchOptions });
  await assertTellsUsage(client, ada);
});

test("who has not signed in is told so", async () => {
  const { error } = await listen(connect().subscription(USAGE, {})).next();
  assert.equal(error.graphQLErrors[0].extensions.code, "UNAUTHENTICATED");
});
