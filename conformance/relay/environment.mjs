// Relay's runtime on what its compiler made of the documents: HTTP for what answers once, a WebSocket for what is
// watched.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

import { createClient } from "graphql-ws";
import runtime from "relay-runtime";
import WebSocket from "ws";

import { ask, bearer, socketEndpoint } from "../server.mjs";

const { Environment, Network, Observable, RecordSource, Store } = runtime;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What the compiler says to the documents in this schema. */
export function compile() {
  rmSync(here("../generated/relay"), { recursive: true, force: true });
  mkdirSync(here("../generated/relay"), { recursive: true });
  // What it makes names its modules without their endings, which only CommonJS finds.
  writeFileSync(here("../generated/relay/package.json"), '{ "type": "commonjs" }');
  return spawnSync(here("../node_modules/.bin/relay-compiler"), [here("relay.config.json")], { encoding: "utf8" });
}

/** What it made of the document of that name. */
export const artifact = async (name) => (await import(`../generated/relay/${name}.graphql.js`)).default;

const sockets = [];
after(() => sockets.forEach((socket) => socket.dispose()));

/** The store and network of whoever has this token. */
export function environment(token) {
  const socket = createClient({
    url: socketEndpoint,
    webSocketImpl: WebSocket,
    connectionParams: token && bearer(token),
    retryAttempts: 0,
  });
  sockets.push(socket);
  const once = (operation, variables) => ask(operation.text, variables, token);
  const watch = (operation, variables) =>
    Observable.create((sink) => socket.subscribe({ query: operation.text, variables }, sink));
  return new Environment({ network: Network.create(once, watch), store: new Store(new RecordSource()) });
}
