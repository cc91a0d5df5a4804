// The two engines that replicas share: a PostgreSQL and a NATS with JetStream, of this run alone, in its folder.
import { execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import { sleep } from "./time.mjs";

/** Below the ports that the kernel gives to outgoing connections, so that one that is let go can be taken again. */
export async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const server = net.createServer();
    const isFree = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (isFree) {
      await new Promise((resolve) => server.close(resolve));
      return port;
    }
  }
}

/** Asks until somebody listens there. */
async function listening(port, within, isOver) {
  const end = performance.now() + within;
  while (performance.now() < end && !isOver()) {
    const socket = net.connect(port, "127.0.0.1");
    const isThere = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isThere) return true;
    await sleep(50);
  }
  return false;
}

/** A program of ours that can be stopped, killed, and started again on the same port. */
class Engine {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #child;

  constructor(name, folder, port) {
    Object.assign(this, { name, folder, port });
  }

  get pid() {
    return this.#child?.pid;
  }

  get isRunning() {
    return this.#child?.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async begin(command, parameters, user) {
    const log = openSync(join(this.folder, `${this.name}.log`), "a");
    const child = spawn(command, parameters, { stdio: ["ignore", log, log], cwd: this.folder, ...user });
    child.once("error", (fault) => console.error(`${this.name}: ${fault.message}`));
    this.#child = child;
    return listening(this.port, 60_000, () => child.exitCode !== null || child.signalCode !== null || !child.pid);
  }

  async end(signal) {
    if (!this.isRunning) return;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    await ended;
  }

  /** For the end of the script, where nothing can be waited for: PostgreSQL takes its shared memory with it by SIGQUIT. */
  endAtOnce() {
    if (this.isRunning) this.#child.kill("SIGQUIT");
  }
}

/** PostgreSQL as it comes, `fsync` among its settings. */
export class Postgres extends Engine {
  #programs;
  #user;

  /** @param {string[]} settings NAME=VALUE each, beside those it comes with */
  constructor(folder, port, settings = []) {
    super("postgres", folder, port);
    this.settings = settings;
    this.#programs = postgresPrograms();
    this.#user = postgresUser();
  }

  /** @param {number} port where it is reached: its own port, or a link's */
  url(port = this.port) {
    return `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  async create() {
    mkdirSync(this.folder, { recursive: true });
    if (this.#user.uid !== undefined) chownSync(this.folder, this.#user.uid, this.#user.gid);
    const parameters = ["--pgdata", join(this.folder, "data"), "--username", "postgres", "--auth", "trust"];
    parameters.push("--encoding", "UTF8", "--no-sync");
    execFileSync(join(this.#programs, "initdb"), parameters, { stdio: "ignore", cwd: this.folder, ...this.#user });
    await this.start();
  }

  /** Also where processes of one that was killed still hold its memory: it is tried again until they are gone. */
  async start() {
    const parameters = ["-D", join(this.folder, "data"), "-h", "127.0.0.1", "-p", String(this.port)];
    parameters.push("-k", this.folder, "-c", "max_connections=200");
    for (const setting of this.settings) parameters.push("-c", setting);
    for (let tries = 0; tries < 60; tries += 1) {
      if (await this.begin(join(this.#programs, "postgres"), parameters, this.#user)) return;
      await sleep(250);
    }
    throw new Error(`PostgreSQL did not start: ${readFileSync(join(this.folder, "postgres.log"), "utf8")}`);
  }

  /** A fast stop: sessions are ended, everything is written. */
  stop() {
    return this.end("SIGINT");
  }

  /** `kill -9` of the server and of every process of its. */
  async kill() {
    const processes = childrenOf(this.pid);
    await this.end("SIGKILL");
    for (const pid of processes) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself when the server was gone.
      }
    }
  }
}

export class Nats extends Engine {
  /** @param {number} [monitoring] the port on which it tells of itself */
  constructor(folder, port, monitoring) {
    super("nats", folder, port);
    this.monitoring = monitoring;
  }

  url(port = this.port) {
    return `nats://127.0.0.1:${port}`;
  }

  async start() {
    mkdirSync(this.folder, { recursive: true });
    const parameters = ["-js", "-sd", join(this.folder, "jetstream"), "-a", "127.0.0.1", "-p", String(this.port)];
    if (this.monitoring) parameters.push("-m", String(this.monitoring));
    if (!(await this.begin("nats-server", parameters))) throw new Error("nats-server did not start");
  }

  stop() {
    return this.end("SIGTERM");
  }

  kill() {
    return this.end("SIGKILL");
  }
}

export function childrenOf(parent) {
  const isChild = (pid) => {
    try {
      const state = readFileSync(`/proc/${pid}/stat`, "utf8");
      return Number(state.slice(state.lastIndexOf(")") + 2).split(" ")[1]) === parent;
    } catch {
      return false;
    }
  };
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isChild(name))
    .map(Number);
}

/** The folder with PostgreSQL's server programs. */
function postgresPrograms() {
  const packaged = existsSync("/usr/lib/postgresql") ? readdirSync("/usr/lib/postgresql") : [];
  const folders = packaged.map((version) => `/usr/lib/postgresql/${version}/bin`).concat(process.env.PATH.split(":"));
  const found = folders.find((folder) => ["initdb", "postgres"].every((name) => existsSync(join(folder, name))));
  if (!found) throw new Error("there is no PostgreSQL here: neither initdb nor postgres");
  return found;
}

/** PostgreSQL refuses to run as root. */
function postgresUser() {
  if (process.getuid() !== 0) return {};
  const id = (kind) => Number(execFileSync("id", [kind, "postgres"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}
