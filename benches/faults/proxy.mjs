// Links: a replica's own way to an engine, through a process that passes bytes on, which can be cut or made a black hole.
//
// As a program (it is started by `Links`) it is that process; the figures of a run are not those of its own reading.
import { fork } from "node:child_process";
import net from "node:net";
import { fileURLToPath } from "node:url";

/**
 * What a link does: `pass`; `cut`: what is open is reset, what comes is refused; `hole`: connections stay open and are
 * accepted, and nothing passes, in either direction, until it passes again, when what was sent meanwhile arrives late,
 * as from a network that held it back. The kernel goes on answering for a hole's end, so keep-alive probes find nothing.
 * @typedef {"pass" | "cut" | "hole"} Mode
 */

export class Links {
  #child = fork(fileURLToPath(import.meta.url), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.#child.on("message", ({ id, fault }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (fault) reject(new Error(fault));
      else resolve();
    });
  }

  get pid() {
    return this.#child.pid;
  }

  #ask(question) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, ...question });
    });
  }

  /** Opens a link from one port of this machine to another. */
  async open(port, target) {
    await this.#ask({ does: "open", port, target });
    return { port, set: (/** @type {Mode} */ mode) => this.#ask({ does: "set", port, mode }) };
  }

  close() {
    this.#child.kill("SIGKILL");
  }
}

class Link {
  /** @type {Mode} */
  #mode = "pass";
  #pairs = new Set();
  #server;

  constructor(port, target) {
    this.port = port;
    this.target = target;
  }

  async set(mode) {
    this.#mode = mode;
    if (mode === "cut") {
      this.#server.close();
      for (const pair of this.#pairs) pair.forEach((socket) => socket.resetAndDestroy());
      this.#pairs.clear();
      this.#server = undefined;
      return;
    }
    if (!this.#server) await this.listen();
    for (const pair of this.#pairs) this.#apply(pair);
  }

  listen() {
    // Half-open on both sides: one end may have said its last word while the other has not.
    this.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (near) => this.#accept(near));
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.port, "127.0.0.1", 1024, resolve);
    });
  }

  #accept(near) {
    const pair = [near];
    this.#pairs.add(pair);
    near.setNoDelay(true);
    near.on("error", () => {});
    near.once("close", () => this.#drop(pair));
    this.#apply(pair);
  }

  #apply(pair) {
    if (this.#mode === "hole") {
      for (const socket of pair) socket.pause();
      return;
    }
    if (pair.length === 1) this.#reach(pair);
    for (const socket of pair) socket.resume();
  }

  #reach(pair) {
    const far = net.connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true });
    const near = pair[0];
    far.setNoDelay(true);
    far.on("error", () => {});
    far.once("close", () => this.#drop(pair));
    pair.push(far);
    const pass = (from, to) => {
      from.on("data", (bytes) => {
        if (!to.write(bytes)) {
          from.pause();
          to.once("drain", () => this.#mode !== "hole" && from.resume());
        }
      });
      from.once("end", () => to.end());
    };
    pass(near, far);
    pass(far, near);
  }

  #drop(pair) {
    this.#pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.send) {
  const links = new Map();
  process.on("message", async ({ id, does, port, target, mode }) => {
    try {
      if (does === "open") {
        links.set(port, new Link(port, target));
        await links.get(port).listen();
      } else {
        await links.get(port).set(mode);
      }
      process.send({ id });
    } catch (fault) {
      process.send({ id, fault: String(fault) });
    }
  });
  // Ends with the script, whatever became of it; what signals the script gets is the script's to act on.
  process.on("disconnect", () => process.exit(0));
  process.on("SIGINT", () => {});
}
