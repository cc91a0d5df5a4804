// Apollo Client as a page has one: HTTP for what answers once, a WebSocket for what is watched.
import { after } from "node:test";

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { bearer, endpoint, inTime, socketEndpoint } from "../server.mjs";

const sockets = [];
after(() => sockets.forEach((socket) => socket.dispose()));

/** A client of whoever has this token; `http` is for the link over HTTP, and `before` are links before that one. */
export function connect(token, http = {}, before = []) {
  const socket = createClient({
    url: socketEndpoint,
    webSocketImpl: WebSocket,
    connectionParams: token && bearer(token),
    retryAttempts: 0,
  });
  sockets.push(socket);
  const overHttp = new HttpLink({ uri: endpoint, headers: token ? bearer(token) : {}, ...http });
  const isLive = ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION;
  return new ApolloClient({
    link: ApolloLink.split(isLive, new GraphQLWsLink(socket), ApolloLink.from([...before, overHttp])),
    cache: new InMemoryCache({ possibleTypes: { Node: ["Account", "Session", "Violation"] } }),
  });
}

/** A `fetch` that notes what it was asked. */
export function watched(requests) {
  return (url, options) => {
    requests.push({ url: new URL(url), ...options });
    return fetch(url, options);
  };
}

/** What an observable gives, one after the other. */
export function listen(observable) {
  const heard = [];
  const waiting = [];
  const take = (result) => {
    const listener = waiting.shift();
    if (listener) listener(result);
    else heard.push(result);
  };
  const subscription = observable.subscribe({ next: take, error: (error) => take({ error }) });
  return {
    unsubscribe: () => subscription.unsubscribe(),
    next: async () => heard.shift() ?? inTime(new Promise((resolve) => waiting.push(resolve))),
  };
}
