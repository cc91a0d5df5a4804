import { effect, signal } from "@preact/signals";
import { type Client, createClient } from "graphql-ws";

import { graphql, type AccountEventsSubscription, type UsageSubscription } from "../gql";
import { Refusal } from "./refusal";
import { Series } from "./series";
import { renew, type Session, session, token } from "./session";

const Usage = graphql(`
  subscription Usage {
    usage(intervalMs: 1000) {
      at
      cpu { coresAllocated coresUsed percent }
      ram { megabytesAllocated megabytesUsed percent }
      storage { gigabytesAllocated gigabytesUsed percent fileCount }
      network { bytesSent bytesReceived connections }
      database { engine tableCount recordCount queriesPerSecond }
      activity { apiCallsPerHour fileOperationsPerHour }
    }
  }
`);
const AccountEvents = graphql(`
  subscription AccountEvents {
    accountEvents {
      __typename
      ... on StatusChanged { from to reason at }
      ... on QuotaCrossed { resource percent above at }
      ... on ViolationRaised { violation { id kind } }
      ... on StepAhead { step reason at daysBefore }
    }
  }
`);

export type Metrics = UsageSubscription["usage"];
export type AccountEvent = AccountEventsSubscription["accountEvents"];

/** How it stands with the live connection. */
export type Connection = "connecting" | "live" | "reconnecting" | "offline" | "stopped";

export const connection = signal<Connection>("stopped");
/** Counts how often the connection came back: what could not be read meanwhile is read again. */
export const comebacks = signal(0);
/** The newest reading; kept while the connection is away, with its time. */
export const metrics = signal<Metrics | null>(null);
/** The last quarter of an hour of readings. */
export const series = new Series();

/** The longest wait between two tries to connect; the first is half a second. */
const MAX_WAIT_MS = 15_000;
/** A ping goes out this often; without its answer within five seconds the connection is taken for dead. */
const PING_MS = 10_000;
const PONG_MS = 5_000;

/** Follows the signed-in account for as long as there is one, and comes back by itself. Returns what ends it. */
export function follow(heard: (event: AccountEvent) => void, refused: (code: string) => void): () => void {
  let client: Client | undefined;
  let socket: WebSocket | undefined;
  let streams: (() => void)[] = [];
  let tries = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let awaited: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  const whose = subjectOf(session.peek());

  /** Streams end first: what is still connecting would otherwise ask for them on a socket that is closing. */
  function close(): void {
    for (const end of streams) end();
    void client?.dispose();
  }

  function open(): void {
    clearTimeout(retry);
    close();
    connection.value = tries === 0 ? "connecting" : "reconnecting";
    const opened = createClient({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`,
      connectionParams: () => ({ authorization: `Bearer ${token.value ?? ""}` }),
      retryAttempts: 0,
      keepAlive: PING_MS,
      on: {
        connected: (connected) => (socket = connected as WebSocket),
        ping: (received) => {
          if (!received) awaited = setTimeout(() => opened.terminate(), PONG_MS);
        },
        pong: (received) => received && clearTimeout(awaited),
      },
    });
    client = opened;
    let isLost = false;
    const lost = (cause: unknown) => {
      if (isLost || isOver || opened !== client) return;
      isLost = true;
      void again(cause);
    };
    const ended = { error: lost, complete: () => lost(null) };
    const usage = opened.subscribe<UsageSubscription>(
      { query: Usage },
      {
        ...ended,
        next: ({ data, errors }) => {
          if (!data) return lost(errors?.[0]?.extensions?.["code"]);
          if (tries > 0) comebacks.value += 1;
          tries = 0;
          connection.value = "live";
          metrics.value = data.usage;
          series.add(data.usage);
        },
      },
    );
    const events = opened.subscribe<AccountEventsSubscription>(
      { query: AccountEvents },
      { ...ended, next: ({ data }) => data && heard(data.accountEvents) },
    );
    streams = [usage, events];
  }

  async function again(cause: unknown): Promise<void> {
    clearTimeout(awaited);
    socket = undefined;
    series.interrupt();
    const code = codeOf(cause);
    if (code?.startsWith("SERVICE_") || code === "TERMS_NOT_ACCEPTED") {
      connection.value = "stopped";
      return refused(code);
    }
    connection.value = navigator.onLine ? "reconnecting" : "offline";
    tries += 1;
    if (code?.startsWith("TOKEN_") || code === "UNAUTHENTICATED") {
      if ((await renew()) && !isOver) return open();
      if (session.value.state !== "account") return;
    }
    // Spread, so that a server that comes back is not met by all pages at once.
    const wait = Math.min(MAX_WAIT_MS, 500 * 2 ** Math.min(tries - 1, 5)) * (0.5 + Math.random() / 2);
    retry = setTimeout(open, wait);
  }

  const now = () => {
    const isAway = connection.value === "reconnecting" || connection.value === "offline";
    if (isAway && navigator.onLine && document.visibilityState === "visible") open();
  };
  const away = () => client?.terminate();
  addEventListener("online", now);
  addEventListener("offline", away);
  document.addEventListener("visibilitychange", now);
  // A socket that is open goes on with the new token.
  const renewing = effect(() => {
    const authorization = `Bearer ${token.value ?? ""}`;
    // Of the same account: another's is no renewal, and this is about to end.
    if (socket?.readyState === WebSocket.OPEN && subjectOf(session.peek()) === whose) {
      socket.send(JSON.stringify({ type: "ping", payload: { authorization } }));
    }
  });
  open();

  return () => {
    isOver = true;
    clearTimeout(retry);
    clearTimeout(awaited);
    renewing();
    removeEventListener("online", now);
    removeEventListener("offline", away);
    document.removeEventListener("visibilitychange", now);
    close();
    connection.value = "stopped";
  };
}

function subjectOf(of: Session): string | null {
  return of.state === "account" ? of.account : null;
}

/** Forgets what was read, as for another account. */
export function forgetReadings(): void {
  metrics.value = null;
  series.clear();
}

/** The error code behind the end of a stream: of a close's reason, of the errors of a refused operation, or none. */
function codeOf(cause: unknown): string | null {
  if (typeof cause === "string") return cause;
  if (cause instanceof Refusal) return cause.code;
  if (cause instanceof CloseEvent) return /[A-Z_]{4,}/.exec(cause.reason)?.[0] ?? null;
  if (Array.isArray(cause)) {
    const code: unknown = cause[0]?.extensions?.code;
    return typeof code === "string" ? code : null;
  }
  return null;
}
