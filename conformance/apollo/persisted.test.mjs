// Apollo Client's persisted queries: the digest alone, and the text once where the server does not know it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";

import { ask, endpoint, newEmail, register } from "../server.mjs";
import { connect, watched } from "./client.mjs";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** A document that no server has seen. */
const unseen = () => `query Q${newEmail().replaceAll(/[^0-9a-f]/g, "")} { tiers { tier } }`;

const post = async (body) => {
  const headers = { "content-type": "application/json" };
  return (await fetch(endpoint, { method: "POST", headers, body: JSON.stringify(body) })).json();
};

const persisted = (sha256Hash) => ({ persistedQuery: { version: 1, sha256Hash } });

test("the text is sent once, and afterwards the digest is enough", async () => {
  const requests = [];
  const text = unseen();
  const connected = () => connect(undefined, { fetch: watched(requests) }, [new PersistedQueryLink({ sha256 })]);
  for (const _ of [1, 2]) {
    assert.equal((await connected().query({ query: gql(text) })).data.tiers.length, 4);
  }
  const bodies = requests.map(({ body }) => JSON.parse(body));
  assert.deepEqual(bodies.map((body) => "query" in body), [false, true, false]);
  assert.equal(new Set(bodies.map((body) => body.extensions.persistedQuery.sha256Hash)).size, 1);
});

test("the digest goes by GET where that is preferred", async () => {
  const requests = [];
  const link = new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
  const connected = () => connect(undefined, { fetch: watched(requests) }, [link]);
  const query = gql(unseen());
  for (const _ of [1, 2]) {
    assert.equal((await connected().query({ query })).data.tiers.length, 4);
  }
  assert.deepEqual(requests.map(({ method }) => method), ["GET", "POST", "GET"]);
});

test("an unknown digest is told by its code, and a wrong one stores nothing", async () => {
  const text = unseen();
  const asked = { extensions: persisted(sha256(text)) };
  assert.equal((await post(asked)).errors[0].extensions.code, "PERSISTED_QUERY_NOT_FOUND");
  const wrong = { query: "{ service { name } }", extensions: persisted(sha256(text)) };
  assert.equal((await post(wrong)).errors[0].extensions.code, "INVALID_INPUT");
  assert.equal((await post(asked)).errors[0].extensions.code, "PERSISTED_QUERY_NOT_FOUND");
  assert.equal((await post({ ...asked, query: text })).data.tiers.length, 4);
  assert.equal((await post(asked)).data.tiers.length, 4);
});

test("a persisted query is asked as whoever asks it, not as whoever stored it", async () => {
  const [ada, bob] = [await register(), await register()];
  const text = unseen().replace("tiers { tier }", "me { id }");
  const query = gql(text);
  const link = () => [new PersistedQueryLink({ sha256 })];
  assert.equal((await connect(ada.access, {}, link()).query({ query })).data.me.id, ada.id);
  assert.equal((await connect(bob.access, {}, link()).query({ query })).data.me.id, bob.id);
  assert.equal((await ask(text)).errors[0].extensions.code, "UNAUTHENTICATED");
});
