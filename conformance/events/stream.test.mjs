// Server-sent events as they are on the wire, in graphql-sse's distinct connections.
import assert from "node:assert/strict";
import { test } from "node:test";

import { TIERS, USAGE, bearer, endpoint, inTime, newMeter, register } from "../server.mjs";

const accept = "text/event-stream";

const post = (query, headers = {}, more = {}) =>
  fetch(endpoint, {
    method: "POST",
    headers: { "content-type": "application/json", accept, ...headers },
    body: JSON.stringify({ query }),
    ...more,
  });

/** The events of an answer, as pairs of name and data; a comment, which keeps it alive, is none. */
async function* events(response) {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    text += decoder.decode(bytes, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => !line.startsWith(":"));
      if (lines.length > 0) yield [field(lines, "event"), field(lines, "data")];
    }
  }
  assert.equal(text, "", "the answer broke off within an event");
}

function field(lines, name) {
  const values = lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
  return values.join("\n");
}

async function all(response) {
  const heard = [];
  for await (const event of events(response)) heard.push(event);
  return heard;
}

test("a query is a next and a complete, and the answer ends", async () => {
  const response = await post(TIERS);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^text\/event-stream(;\s*charset=utf-8)?$/);
  assert.match(response.headers.get("cache-control"), /no-cache|no-store/);
  const [[name, data], ...rest] = await inTime(all(response));
  assert.equal(name, "next");
  assert.equal(JSON.parse(data).data.tiers.length, 4);
  assert.deepEqual(rest, [["complete", ""]]);
});

test("the last complete has data, without which no EventSource tells of it", async () => {
  const text = await inTime((await post(TIERS)).text());
  assert.match(text, /\n\nevent: complete\ndata:[^\n]*\n\n$/);
});

test("a GET streams as a POST does", async () => {
  const response = await fetch(`${endpoint}?query=${encodeURIComponent(TIERS)}`, { headers: { accept } });
  assert.deepEqual((await inTime(all(response))).map(([name]) => name), ["next", "complete"]);
});

test("a GET of a mutation is refused before it streams", async () => {
  const query = encodeURIComponent("mutation { logout }");
  const response = await fetch(`${endpoint}?query=${query}`, { headers: { accept } });
  assert.deepEqual([response.status, response.headers.get("allow")], [405, "POST"]);
  await response.body.cancel();
});

test("what is not executed is a next with errors alone, and a complete", async () => {
  for (const query of ["{", "{ nonsense }", "subscription { nonsense }"]) {
    const [[name, data], ...rest] = await inTime(all(await post(query)));
    assert.equal(name, "next");
    assert.deepEqual(Object.keys(JSON.parse(data)), ["errors"]);
    assert.deepEqual(rest, [["complete", ""]]);
  }
});

test("a body that is no request is refused before it streams", async () => {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "content-type": "application/json", accept },
    body: "nonsense",
  });
  assert.equal(response.status, 400);
  assert.match(response.headers.get("content-type"), /json/);
  await response.body.cancel();
});

test("a subscription says next for each change, and complete once it may no longer listen", async () => {
  const ada = await register();
  const meter = newMeter();
  const heard = events(await post(USAGE, bearer(ada.access)));
  const next = async () => (await inTime(heard.next())).value;
  assert.deepEqual(await next(), ["next", '{"data":{"usage":{"ram":{"megabytesUsed":null}}},"extensions":{"cost":3}}']);
  await meter(ada.id, 4);
  assert.deepEqual(await next(), ["next", '{"data":{"usage":{"ram":{"megabytesUsed":4.0}}},"extensions":{"cost":3}}']);
  await (await post("mutation { logout }", bearer(ada.access))).text();
  const [name, data] = await next();
  assert.equal(name, "next");
  assert.equal(JSON.parse(data).errors[0].extensions.code, "TOKEN_INVALID");
  assert.deepEqual(await next(), ["complete", ""]);
  assert.equal((await inTime(heard.next())).done, true);
});

test("a client that leaves is let go, and the account goes on", async () => {
  const ada = await register();
  const leaving = new AbortController();
  const heard = events(await post(USAGE, bearer(ada.access), { signal: leaving.signal }));
  await heard.next();
  leaving.abort();
  await assert.rejects(heard.next(), { name: "AbortError" });
  const [, [name]] = await inTime(all(await post("{ me { id } }", bearer(ada.access))));
  assert.equal(name, "complete");
});
