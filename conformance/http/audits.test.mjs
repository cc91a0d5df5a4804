// GraphQL over HTTP: every audit of the specification's own suite, whether MUST, SHOULD or MAY.
import assert from "node:assert/strict";
import { test } from "node:test";

import { serverAudits } from "graphql-http";

import { endpoint } from "../server.mjs";

const audits = serverAudits({ url: endpoint, fetchFn: fetch });

test("the suite has all its audits", () => assert.equal(audits.length, 61));

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, "ok", result.reason);
  });
}
