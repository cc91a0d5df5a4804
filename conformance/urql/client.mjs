// A urql client as a page has one: tokens that are refreshed, retries, and subscriptions over a WebSocket.
import { after } from "node:test";

import { Client, cacheExchange, fetchExchange, gql, subscriptionExchange } from "@urql/core";
import { authExchange } from "@urql/exchange-auth";
import { retryExchange } from "@urql/exchange-retry";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { bearer, endpoint, inTime, socketEndpoint } from "../server.mjs";

const REFRESH = gql`
  mutation ($refreshToken: String!) {
    refresh(refreshToken: $refreshToken) {
      tokens { accessToken refreshToken }
    }
  }
`;
const REFUSED = ["TOKEN_EXPIRED", "TOKEN_INVALID", "UNAUTHENTICATED"];

const sockets = [];
after(() => sockets.forEach((socket) => socket.dispose()));

/** A client of whoever has these tokens; `tokens` is changed as they are refreshed. */
export function connect(tokens = {}, more = {}) {
  const auth = authExchange(async ({ appendHeaders, mutate }) => ({
    addAuthToOperation: (operation) => (tokens.access ? appendHeaders(operation, bearer(tokens.access)) : operation),
    didAuthError: (error) => error.graphQLErrors.some(({ extensions }) => REFUSED.includes(extensions.code)),
    async refreshAuth() {
      const { data, error } = await mutate(REFRESH, { refreshToken: tokens.refresh });
      tokens.refreshes = (tokens.refreshes ?? 0) + 1;
      tokens.access = data?.refresh.tokens.accessToken;
      tokens.refresh = data?.refresh.tokens.refreshToken;
      tokens.refusal = error?.graphQLErrors[0].extensions.code;
    },
  }));
  const socket = createClient({
    url: socketEndpoint,
    webSocketImpl: WebSocket,
    connectionParams: () => (tokens.access ? bearer(tokens.access) : {}),
    retryAttempts: 0,
  });
  sockets.push(socket);
  const forwardSubscription = ({ query, variables }) => ({
    subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
  });
  return new Client({
    url: endpoint,
    preferGetMethod: false,
    exchanges: [
      cacheExchange,
      retryExchange({ initialDelayMs: 1 }),
      auth,
      fetchExchange,
      subscriptionExchange({ forwardSubscription }),
    ],
    ...more,
  });
}

/** What a source gives, one after the other. */
export function listen(source) {
  const heard = [];
  const waiting = [];
  const { unsubscribe } = source.subscribe((result) => {
    const listener = waiting.shift();
    if (listener) listener(result);
    else heard.push(result);
  });
  return { unsubscribe, next: async () => heard.shift() ?? inTime(new Promise((resolve) => waiting.push(resolve))) };
}
