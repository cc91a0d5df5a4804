// Apollo Client's cache: what is asked in several places is one object, known by its id.
import assert from "node:assert/strict";
import { test } from "node:test";

import { gql } from "@apollo/client";

import { register } from "../server.mjs";
import { connect, listen, watched } from "./client.mjs";

test("the account is one object, however it was asked for", async () => {
  const ada = await register();
  const client = connect(ada.access);
  await client.query({ query: gql("{ me { id tier } }") });
  const node = gql("query ($id: ID!) { node(id: $id) { id ... on Account { status } } }");
  await client.query({ query: node, variables: { id: ada.id } });
  const held = client.cache.extract();
  assert.deepEqual(held[`Account:${ada.id}`], { __typename: "Account", id: ada.id, tier: "FREE", status: "ACTIVE" });
  assert.deepEqual(held.ROOT_QUERY.me, { __ref: `Account:${ada.id}` });
});

test("what a mutation gives is told to whoever watches the same object", async () => {
  const ada = await register();
  const client = connect(ada.access);
  const sessions = "sessions { id authenticatedAt }";
  const watching = listen(client.watchQuery({ query: gql(`{ me { id ${sessions} } }`) }));
  let seen = await watching.next();
  while (!seen.data?.me) seen = await watching.next();
  const [before] = seen.data.me.sessions;
  const mutation = gql("mutation ($password: String!) { reauthenticate(password: $password) { id authenticatedAt } }");
  const { data } = await client.mutate({ mutation, variables: { password: "violet harbour kestrel 41" } });
  assert.equal(data.reauthenticate.id, before.id);
  const [after] = (await watching.next()).data.me.sessions;
  assert.equal(after.authenticatedAt, data.reauthenticate.authenticatedAt);
  assert.notEqual(after.authenticatedAt, before.authenticatedAt);
  watching.unsubscribe();
});

test("what the cache holds is not asked for again", async () => {
  const ada = await register();
  const requests = [];
  const client = connect(ada.access, { fetch: watched(requests) });
  await client.query({ query: gql("{ me { id tier status } }") });
  const { data } = await client.query({ query: gql("{ me { id tier } }") });
  assert.equal(data.me.tier, "FREE");
  assert.equal(requests.length, 1);
});
