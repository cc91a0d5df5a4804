import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "./harness.mjs";

test("a visit notices what the console says, what the policy refuses, and who else is asked", async (t) => {
  const visit = await open(t);
  visit.quiet();
  await visit.page.evaluate(async () => {
    console.info("something to say");
    document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = true" }));
    await fetch("https://elsewhere.example/").catch(() => {});
    setTimeout(() => {
      throw new Error("thrown in vain");
    });
  });
  await visit.page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  assert.throws(() => visit.quiet());
  for (const noise of [/^console info: something to say/, /^policy: script-src/, /^policy: connect-src/, /^thrown: .*in vain/]) {
    assert(visit.noise.some((line) => noise.test(line)), `${noise} in\n${visit.noise.join("\n")}`);
  }
  visit.expect(/./);
});

test("a visit notices what cannot be read by everybody", async (t) => {
  const visit = await open(t);
  await visit.axe({ include: ["#app"] });
  await visit.page.evaluate(() => document.querySelector("#app").append(document.createElement("button")));
  await assert.rejects(visit.axe({ include: ["#app"] }), /button-name/);
});
