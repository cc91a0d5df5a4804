// A WebSocket without a client: every message is said and heard as it is on the wire.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { after } from "node:test";

import WebSocket from "ws";

import { bearer, endpoint, inTime, socketEndpoint } from "../server.mjs";

export const PROTOCOL = "graphql-transport-ws";

const opened = new Set();
// A test that has failed closes nothing.
after(() => opened.forEach((socket) => socket.terminate()));

export class Socket {
  #socket;
  #heard = [];
  #listeners = [];
  #closed;

  constructor(socket) {
    this.#socket = socket;
    socket.on("message", (data, isBinary) => {
      assert(!isBinary, "the server sent a binary message");
      this.#take(JSON.parse(data.toString()));
    });
    this.#closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.#closed.then((closed) => this.#take({ closed }));
  }

  /** One that has not said who it is. */
  static async open(protocols = PROTOCOL) {
    const socket = new WebSocket(socketEndpoint, protocols);
    opened.add(socket);
    const listening = new Socket(socket);
    await inTime(once(socket, "open"));
    return listening;
  }

  /** One that has been acknowledged. */
  static async of(token) {
    const socket = await Socket.open();
    socket.init(token);
    assert.deepEqual(await socket.hear(), { type: "connection_ack" });
    return socket;
  }

  get protocol() {
    return this.#socket.protocol;
  }

  init(token) {
    this.say({ type: "connection_init", ...(token && { payload: bearer(token) }) });
  }

  start(id, query, more = {}) {
    this.say({ id, type: "subscribe", payload: { query, ...more } });
  }

  complete(id) {
    this.say({ id, type: "complete" });
  }

  say(message) {
    this.send(JSON.stringify(message));
  }

  send(data) {
    this.#socket.send(data);
  }

  /** Sends a ping of the WebSocket itself, and waits for its pong. */
  async ping(data) {
    this.#socket.ping(data);
    const [answer] = await inTime(once(this.#socket, "pong"));
    return answer.toString();
  }

  #take(message) {
    const listener = this.#listeners.shift();
    if (listener) listener(message);
    else this.#heard.push(message);
  }

  /** The next message. */
  async hear() {
    return this.#heard.shift() ?? inTime(new Promise((resolve) => this.#listeners.push(resolve)));
  }

  /** Holds that all the server has said has been heard, and that the socket is open. */
  async assertQuiet() {
    const payload = { nonce: randomBytes(8).toString("hex") };
    this.say({ type: "ping", payload });
    assert.deepEqual(await this.hear(), { type: "pong", payload });
  }

  /** How the server closed it, when it says nothing before. */
  async closing() {
    const { closed, ...message } = await this.hear();
    assert(closed, `not a close but ${JSON.stringify(message)}`);
    return closed;
  }

  async close() {
    this.#socket.close();
    await inTime(this.#closed);
  }
}

/** What the handshake answers to these subprotocols, and the frame that follows; most clients hide it. */
export async function handshake(protocols) {
  const request = http.get(endpoint, {
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
      ...(protocols && { "sec-websocket-protocol": protocols }),
    },
  });
  const [response, socket, head] = await once(request, "upgrade");
  const chosen = response.headers["sec-websocket-protocol"];
  if (chosen) {
    socket.destroy();
    return { chosen };
  }
  let frame = head;
  while (frame.length < 4) frame = Buffer.concat([frame, (await once(socket, "data"))[0]]);
  socket.destroy();
  assert.equal(frame[0], 0x88, "not a close frame");
  return { chosen, code: frame.readUInt16BE(2) };
}
