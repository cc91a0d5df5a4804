import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

import { atEnd, atEndOfFile } from "./cleanup.mjs";
import { sharedServer } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let launched;

function browser() {
  launched ??= chromium
    .launch({
      executablePath: process.env.CONSOLE_TEST_CHROMIUM,
      // No sandbox, for root has none; and no other host can be found, whatever asks for it.
      args: ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    })
    .then((browser) => {
      atEndOfFile(() => browser.close());
      return browser;
    });
  return launched;
}

/**
 * Opens a page, as somebody who has never been there. `server` is the file's own where none is named; what else there is
 * goes to the browser's context as it stands (`colorScheme`, `viewport`, `reducedMotion`, `locale`, …).
 */
export async function open(t, { path = "/", server, ...context } = {}) {
  const visit = new Visit(server ?? (await sharedServer()));
  const whole = { viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...context };
  const opened = await (await browser()).newContext(whole);
  atEnd(t, async () => {
    await opened.close();
    visit.quiet();
  });
  await visit.watch(opened);
  await visit.page.goto(visit.server.address + path);
  return visit;
}

class Visit {
  /** What should not have been: of the console, the policy, or the network. */
  noise = [];
  /** Every address that was asked for, in order. */
  requests = [];
  /** Of Playwright. */
  page;
  server;
  #expected = [];

  constructor(server) {
    this.server = server;
  }

  async watch(context) {
    context.setDefaultTimeout(20_000);
    context.on("request", (request) => this.#asked(request.url()));
    context.on("requestfailed", (request) => {
      // The page itself ends what it no longer needs.
      const why = request.failure()?.errorText;
      if (why !== "net::ERR_ABORTED") this.noise.push(`failed: ${request.url()}: ${why}`);
    });
    context.on("console", (message) => this.noise.push(`console ${message.type()}: ${message.text()}`));
    context.on("weberror", (error) => this.noise.push(`thrown: ${error.error().stack}`));
    await context.exposeBinding("reportToTest", (_, report) => this.noise.push(`policy: ${report}`));
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, sourceFile }) => {
        window.reportToTest(`${effectiveDirective} refused ${blockedURI} in ${sourceFile}`);
      });
    });
    this.page = await context.newPage();
    this.page.on("websocket", (socket) => this.#asked(socket.url()));
  }

  #asked(address) {
    this.requests.push(address);
    const { protocol, host } = new URL(address);
    if (protocol !== "data:" && host !== new URL(this.server.address).host) this.noise.push(`asked: ${address}`);
  }

  /** What the console may say in this test. */
  expect(pattern) {
    this.#expected.push(pattern);
  }

  /** Fails where the console said anything, the policy refused anything, or anything was asked of another host. */
  quiet() {
    const unexpected = this.noise.filter((line) => !this.#expected.some((pattern) => pattern.test(line)));
    assert.deepEqual(unexpected, []);
  }

  /**
   * Fails where axe finds anything. `include` and `exclude` are selectors; `disable` names rules, by ids of axe's.
   * With animations one would look at what is half shown: `reducedMotion` is on.
   */
  async axe({ include, exclude, disable = [] } = {}) {
    await this.page.evaluate(axe);
    const found = await this.page.evaluate(
      async ({ include, exclude, disable }) => {
        const rules = Object.fromEntries(disable.map((rule) => [rule, { enabled: false }]));
        const { violations } = await window.axe.run({ include: include ?? [["html"]], exclude: exclude ?? [] }, { rules });
        return violations.map(({ id, help, nodes }) => {
          const places = nodes.map(({ target, failureSummary }) => `  ${target.join(" ")}\n  ${failureSummary}`);
          return [`${id}: ${help}`, ...places].join("\n");
        });
      },
      { include, exclude, disable },
    );
    assert.equal(found.join("\n\n"), "");
  }
}
