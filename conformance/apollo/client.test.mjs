// Apollo Client: queries, mutations, subscriptions and their errors.
import assert from "node:assert/strict";
import { test } from "node:test";

import { CombinedGraphQLErrors, gql } from "@apollo/client";

import { LOGIN, ME, REGISTER, TIERS, USAGE, newEmail, newMeter, password, register } from "../server.mjs";
import { connect, listen, watched } from "./client.mjs";

test("a query is answered", async () => {
  const { data } = await connect().query({ query: gql(TIERS) });
  assert.deepEqual(data.tiers.map(({ tier }) => tier), ["FREE", "STARTER", "PRO", "ENTERPRISE"]);
});

test("a mutation registers and signs in", async () => {
  const client = connect();
  const variables = { email: newEmail(), password };
  const registered = (await client.mutate({ mutation: gql(REGISTER), variables })).data.register;
  const { login } = (await client.mutate({ mutation: gql(LOGIN), variables })).data;
  assert.equal(login.account.id, registered.account.id);
});

test("an error has the code that the contract names", async () => {
  const variables = { email: newEmail(), password };
  for (const [asked, code] of [
    [() => connect().mutate({ mutation: gql(LOGIN), variables }), "INVALID_CREDENTIALS"],
    [() => connect().query({ query: gql(ME) }), "UNAUTHENTICATED"],
    [() => connect("nonsense").query({ query: gql(ME) }), "TOKEN_INVALID"],
    [() => connect().query({ query: gql("{ nonsense }") }), "INVALID_INPUT"],
  ]) {
    const error = await asked().catch((refusal) => refusal);
    assert(CombinedGraphQLErrors.is(error), `${code}: ${error}`);
    assert.equal(error.errors[0].extensions.code, code);
  }
});

test("a field that fails leaves the others", async () => {
  const query = gql('{ tiers { tier } account(id: "nobody") { id } }');
  const { data, error } = await connect().query({ query, errorPolicy: "all" });
  assert.equal(data.tiers.length, 4);
  assert.deepEqual(error.errors[0].path, ["account"]);
});

test("queries go by GET where that is preferred, with their variables", async () => {
  const ada = await register();
  const requests = [];
  const client = connect(ada.access, { useGETForQueries: true, fetch: watched(requests) });
  const query = gql("query Mine($more: Boolean!) { me { id tier @include(if: $more) } }");
  const { data } = await client.query({ query, variables: { more: true } });
  assert.deepEqual([data.me.id, data.me.tier], [ada.id, "FREE"]);
  assert.equal((await client.mutate({ mutation: gql("mutation { logout }") })).data.logout, true);
  assert.deepEqual(requests.map(({ method }) => method), ["GET", "POST"]);
});

test("usage is told over a WebSocket as it changes", async () => {
  const ada = await register();
  const meter = newMeter();
  const usage = listen(connect(ada.access).subscribe({ query: gql(USAGE) }));
  const used = async () => (await usage.next()).data.usage.ram.megabytesUsed;
  assert.equal(await used(), null);
  for (const megabytes of [5, 7]) {
    await meter(ada.id, megabytes);
    assert.equal(await used(), megabytes);
  }
  usage.unsubscribe();
});

test("who has not signed in may not listen", async () => {
  const { error } = await listen(connect().subscribe({ query: gql(USAGE) })).next();
  assert(CombinedGraphQLErrors.is(error), String(error));
  assert.equal(error.errors[0].extensions.code, "UNAUTHENTICATED");
});
