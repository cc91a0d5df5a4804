// urql: tokens that are refreshed while operations wait.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ME, granted, register } from "../server.mjs";
import { connect } from "./client.mjs";

test("an access token that does not hold is refreshed once, and all that waited is answered", async () => {
  const ada = await register();
  const tokens = { access: "stale", refresh: ada.refresh };
  const client = connect(tokens);
  const asked = [ME, "{ me { id tier } }", "{ me { id status } }"];
  const answers = await Promise.all(asked.map((query) => client.query(query, {}).toPromise()));
  for (const { data, error } of answers) {
    assert.equal(error, undefined);
    assert.equal(data.me.id, ada.id);
  }
  assert.equal(tokens.refreshes, 1);
  assert.notEqual(tokens.refresh, ada.refresh);
});

test("a refresh token of a session that was ended gives no other", async () => {
  const ada = await register();
  await granted("mutation { logout }", {}, ada.access);
  const tokens = { access: ada.access, refresh: ada.refresh };
  const { error } = await connect(tokens).query(ME, {}).toPromise();
  assert.equal(error.graphQLErrors[0].extensions.code, "TOKEN_INVALID");
  assert.deepEqual([tokens.refreshes, tokens.refusal], [1, "TOKEN_INVALID"]);
});
