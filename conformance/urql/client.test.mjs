// urql: queries, mutations and their errors.
import assert from "node:assert/strict";
import { test } from "node:test";

import { LOGIN, ME, REGISTER, TIERS, newEmail, password, register } from "../server.mjs";
import { connect } from "./client.mjs";

test("a query is answered, and its second asking comes from the cache", async () => {
  let requests = 0;
  const counted = (...request) => {
    requests += 1;
    return fetch(...request);
  };
  const client = connect({}, { fetch: counted });
  for (const _ of [1, 2]) {
    const { data, error } = await client.query(TIERS, {}).toPromise();
    assert.equal(error, undefined);
    assert.deepEqual(data.tiers.map(({ tier }) => tier), ["FREE", "STARTER", "PRO", "ENTERPRISE"]);
  }
  assert.equal(requests, 1);
});

test("a mutation registers and signs in", async () => {
  const client = connect();
  const variables = { email: newEmail(), password };
  const registered = (await client.mutation(REGISTER, variables).toPromise()).data.register;
  const { login } = (await client.mutation(LOGIN, variables).toPromise()).data;
  assert.equal(login.account.id, registered.account.id);
});

test("an error has the code that the contract names", async () => {
  const variables = { email: newEmail(), password };
  const { data, error } = await connect().mutation(LOGIN, variables).toPromise();
  assert.equal(error.networkError, undefined);
  assert.equal(error.graphQLErrors[0].extensions.code, "INVALID_CREDENTIALS");
  assert.equal(data ?? null, null);
});

test("what a document lacks is an error of GraphQL and not of the network", async () => {
  const { error } = await connect().query("{ nonsense }", {}).toPromise();
  assert.equal(error.networkError, undefined);
  assert.equal(error.graphQLErrors[0].extensions.code, "INVALID_INPUT");
});

test("a field that fails leaves the others", async () => {
  const { data, error } = await connect().query('{ tiers { tier } account(id: "nobody") { id } }', {}).toPromise();
  assert.equal(data.tiers.length, 4);
  assert.deepEqual(error.graphQLErrors[0].path, ["account"]);
});

test("queries go by GET where that is preferred", async () => {
  const ada = await register();
  const methods = [];
  const watched = (url, options) => {
    methods.push(options.method);
    return fetch(url, options);
  };
  const client = connect({ access: ada.access }, { fetch: watched, preferGetMethod: "force" });
  assert.equal((await client.query(ME, {}).toPromise()).data.me.id, ada.id);
  assert.equal((await client.mutation("mutation { logout }", {}).toPromise()).data.logout, true);
  assert.deepEqual(methods, ["GET", "POST"]);
});

test("what the network lost is asked again", async () => {
  let losses = 1;
  const lossy = (...request) => {
    losses -= 1;
    return losses < 0 ? fetch(...request) : Promise.reject(new TypeError("lost"));
  };
  const { data } = await connect({}, { fetch: lossy }).query(TIERS, {}).toPromise();
  assert.equal(data.tiers.length, 4);
  assert.equal(losses, -1);
});
