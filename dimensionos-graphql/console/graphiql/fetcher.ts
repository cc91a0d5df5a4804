import type { Fetcher, FetcherOpts, FetcherParams, Observable } from "@graphiql/toolkit";
import { getOperationAST } from "graphql";
import { createClient, type ExecutionResult } from "graphql-ws";

type Headers = FetcherOpts["headers"];

/** Asks over HTTP, and for subscriptions over a WebSocket. Both as whom the headers say. */
export const fetcher: Fetcher = (params, { documentAST, headers } = {}) => {
  const operation = documentAST && getOperationAST(documentAST, params.operationName);
  return operation?.operation === "subscription" ? watch(params, headers) : ask(params, headers);
};

async function ask(params: FetcherParams, headers: Headers): Promise<ExecutionResult> {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9",
      ...headers,
    },
    body: JSON.stringify(params),
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`The answer is no JSON, with status ${response.status}: ${text}`);
  }
}

/** Each subscription has a socket of its own, for a socket belongs to whoever opened it. */
function watch(params: FetcherParams, headers: Headers): Observable<ExecutionResult> {
  const name = Object.keys(headers ?? {}).find((header) => header.toLowerCase() === "authorization");
  const client = createClient({
    url: `${location.origin.replace(/^http/, "ws")}/graphql`,
    ...(name && { connectionParams: { authorization: headers?.[name] } }),
    // Whoever tries something wants to see how it ended.
    retryAttempts: 0,
  });
  const subscribe = (observer: Observer) => ({
    unsubscribe: client.subscribe(params, {
      next: (result) => observer.next(result),
      complete: () => observer.complete(),
      error(reason) {
        if (!Array.isArray(reason)) {
          observer.error(reason instanceof CloseEvent ? new Error(closed(reason)) : reason);
          return;
        }
        observer.next({ errors: reason });
        observer.complete();
      },
    }),
  });
  return { subscribe } as Observable<ExecutionResult>;
}

interface Observer {
  next(value: object): void;
  error(reason: unknown): void;
  complete(): void;
}

const closed = ({ code, reason }: CloseEvent) => `The socket was closed: ${`${code} ${reason}`.trim()}`;
