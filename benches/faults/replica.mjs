// A replica: the built server as a process of its own, with its own links to the engines, on a port that stays its own.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "./time.mjs";

export class Replica {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #child;
  #isWanted = false;
  /** Times it ended without having been told to, and was started again. */
  ownExits = 0;
  /** When it went on after it had been paused, or was started: what it did before, nobody could see. */
  awakeSince = 0;
  isPaused = false;

  /**
   * @param {object} given
   * @param {number} given.index
   * @param {string} given.binary
   * @param {string[]} given.flags of `serve`
   * @param {string} given.folder
   * @param {number} given.port
   * @param {Record<string, string>} given.settings environment
   * @param {Record<"postgres" | "nats", Awaited<ReturnType<import("./proxy.mjs").Links["open"]>>>} given.links
   */
  constructor(given) {
    Object.assign(this, given);
    this.url = `http://127.0.0.1:${this.port}`;
    mkdirSync(this.folder, { recursive: true });
  }

  get name() {
    return "ABC"[this.index];
  }

  get pid() {
    return this.#child?.pid;
  }

  get isRunning() {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  #environment() {
    return { PATH: process.env.PATH, HOME: this.folder, RUST_LOG: process.env.RUST_LOG ?? "info", ...this.settings };
  }

  /** Starts it, again and again until it listens, as what looks after servers does. */
  async start(patience = 120_000) {
    this.#isWanted = true;
    const end = performance.now() + patience;
    while (this.#isWanted && performance.now() < end) {
      if (await this.#startOnce()) return;
      this.ownExits += 1;
      await sleep(500);
    }
    if (this.#isWanted) throw new Error(`replica ${this.name} did not start; its log is ${join(this.folder, "log")}`);
  }

  async #startOnce() {
    const log = openSync(join(this.folder, "log"), "a");
    const options = { cwd: this.folder, env: this.#environment(), stdio: ["ignore", "pipe", log] };
    const child = spawn(this.binary, ["serve", ...this.flags], options);
    this.#child = child;
    const ended = once(child, "exit").then(() => false);
    const listens = new Promise((resolve) => {
      let printed = "";
      child.stdout.on("data", (text) => {
        printed += text;
        if (printed.includes("listening on http://")) resolve(true);
      });
    });
    const isThere = await Promise.race([ended, listens]);
    this.awakeSince = performance.now();
    // Whoever ends without having been told to is started again.
    if (isThere) ended.then(() => this.#child === child && this.#isWanted && this.#again());
    return isThere;
  }

  async #again() {
    this.ownExits += 1;
    await sleep(500);
    if (this.#isWanted && !this.isRunning) await this.start().catch((fault) => console.error(fault.message));
  }

  async #end(signal) {
    this.#isWanted = false;
    if (!this.isRunning) return null;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    const [code] = await ended;
    return code;
  }

  /** SIGKILL: nothing is finished. */
  kill() {
    return this.#end("SIGKILL");
  }

  /** SIGTERM; gives the exit code. */
  stop() {
    return this.#end("SIGTERM");
  }

  pause() {
    this.isPaused = true;
    this.#child.kill("SIGSTOP");
  }

  goOn() {
    this.#child.kill("SIGCONT");
    this.isPaused = false;
    this.awakeSince = performance.now();
  }

  /** For the end of the script, where nothing can be waited for. */
  endAtOnce() {
    this.#isWanted = false;
    if (this.isRunning) this.#child.kill("SIGKILL");
  }

  /** Runs a command of the server's binary; gives what it printed. */
  print(parameters) {
    const options = { cwd: this.folder, env: this.#environment(), encoding: "utf8" };
    return execFileSync(this.binary, parameters, { ...options, stdio: ["ignore", "pipe", "inherit"] }).trim();
  }

  /** A figure of `/metrics`; undefined where there is none. */
  async figure(name) {
    try {
      const answer = await fetch(`${this.url}/metrics`, { signal: AbortSignal.timeout(2_000) });
      const line = (await answer.text()).split("\n").find((text) => text.startsWith(`dimensionos_${name} `));
      return line && Number(line.split(" ")[1]);
    } catch {
      return undefined;
    }
  }
}
