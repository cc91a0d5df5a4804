import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { atEnd, atEndOfFile } from "./cleanup.mjs";

const program = process.env.CONSOLE_TEST_SERVER;
const agentProgram = process.env.CONSOLE_TEST_AGENT;
const run = promisify(execFile);

export const PASSWORD = "violet harbour kestrel 41";

/** A server of the test's own. `demo` and `testClock` are its flags; `settings` are by name, as in the environment. */
export async function serve(t, options) {
  const server = await Server.start(options);
  atEnd(t, () => server.stop());
  return server;
}

let shared;

/** The server of this file, for tests that do not disturb one another. */
export function sharedServer() {
  shared ??= Server.start().then((server) => {
    atEndOfFile(() => server.stop());
    return server;
  });
  return shared;
}

class Server {
  #folder = mkdtempSync(join(tmpdir(), "dimensionos-console-"));
  #env;
  #flags;
  #process;
  #agents = [];
  #said = "";
  #log = "";

  /** Where it listens, such as `http://127.0.0.1:41234`. */
  address;
  /** How to sign in as the demo's account, of a server with `demo`: its number and password. */
  demo;

  static async start({ demo = false, testClock = false, settings = {} } = {}) {
    assert(program, "there is no server: npm test -- /path/to/dimensionos-graphql");
    const server = new Server();
    const named = Object.entries({ BCRYPT_COST: "10", ...settings });
    server.#env = { ...process.env, ...Object.fromEntries(named.map(([name, value]) => [`DIMENSIONOS_${name}`, value])) };
    server.#flags = [...(demo ? ["--demo"] : []), ...(testClock ? ["--test-clock"] : [])];
    await server.#begin("127.0.0.1:0");
    if (demo) {
      const number = await server.#told(/^ *account number +(\S+)$/m);
      server.demo = { number, password: await server.#told(/^ *password +(\S+)$/m) };
    }
    return server;
  }

  async #begin(listen) {
    this.#said = "";
    this.#process = this.#spawn(program, ["serve", "--listen", listen, ...this.#data, ...this.#flags]);
    this.#process.stdout.on("data", (text) => (this.#said += text));
    this.#process.stderr.on("data", (text) => (this.#log += text));
    this.address = await this.#told(/^listening on (http:\S+)$/m);
  }

  /** Kills it, as a machine does that loses its power, and starts it where it was after a while. */
  async restart(afterMs = 0) {
    await ended(this.#process, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await this.#begin(new URL(this.address).host);
  }

  get #data() {
    return ["--data-dir", join(this.#folder, "data")];
  }

  #spawn(command, flags, env = {}) {
    return spawn(command, flags, { cwd: this.#folder, env: { ...this.#env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  }

  /** What the server says in its output, once it does. */
  async #told(pattern) {
    const ended = Date.now() + 60_000;
    while (Date.now() < ended && this.#process.exitCode === null) {
      const found = pattern.exec(this.#said);
      if (found) return found[1];
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the server has not said ${pattern}:\n${this.#said}\n${this.#log}`);
  }

  /** Stops it and what meters for it. */
  async stop() {
    for (const agent of this.#agents) agent.kill("SIGKILL");
    await ended(this.#process, "SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
    assert.equal(this.#process.exitCode, 0, this.#log);
  }

  /** Asks the server, beside the page; gives the data. */
  async ask(query, variables, token) {
    const response = await fetch(`${this.address}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  }

  /** Registers somebody: `{ id, email, password, token, refreshToken, recoveryCodes }`. */
  async register({ email = `${randomUUID()}@example.org`, password = PASSWORD } = {}) {
    const query = `mutation ($email: String!, $password: String!) {
      register(input: { identity: { email: $email }, password: $password }) {
        account { id } recoveryCodes tokens { accessToken refreshToken }
      }
    }`;
    const { account, recoveryCodes, tokens } = (await this.ask(query, { email, password })).register;
    const { accessToken: token, refreshToken } = tokens;
    return { id: account.id, email, password, token, refreshToken, recoveryCodes };
  }

  /** Runs a command of the server's program over its data, such as `command("operator", "tiers", "list")`. */
  async command(...words) {
    const { stdout } = await run(program, [...words, ...this.#data], { cwd: this.#folder, env: this.#env });
    return stdout.trim();
  }

  /** A new operator's token. */
  operator(name = `operator-${randomUUID()}`) {
    return this.command("operator", "create", "--name", name);
  }

  /** A new agent's token. */
  agentToken(name = `agent-${randomUUID()}`) {
    return this.command("agent", "create", "--name", name);
  }

  /** Starts the real agent: it meters a process for an account until it is stopped, or the server is. */
  async agent({ account, pid = process.pid, interval = "100ms" }) {
    const state = join(this.#folder, `agent-${randomUUID()}`);
    const whom = ["--server", this.address, "--account", account, "--pid", String(pid)];
    const token = await this.agentToken();
    const agent = this.#spawn(agentProgram, [...whom, "--interval", interval, "--state-dir", state], {
      DIMENSIONOS_AGENT_TOKEN: token,
    });
    agent.stdout.resume();
    agent.stderr.on("data", (text) => (this.#log += text));
    this.#agents.push(agent);
    return { stop: () => ended(agent, "SIGTERM") };
  }

  /** Moves the clock of a server with `testClock`. */
  async advance(seconds) {
    const response = await fetch(`${this.address}/development/clock`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ advanceSeconds: seconds }),
    });
    assert.equal(response.status, 200);
  }
}

/** Stops a process; gives in when it has ended. */
function ended(process, signal) {
  if (process.exitCode !== null || process.signalCode !== null) return Promise.resolve();
  const end = new Promise((resolve) => process.once("exit", resolve));
  process.kill(signal);
  return end;
}
