import { computed, effect, signal } from "@preact/signals";

import { graphql, type Operation } from "../gql";
import { Refusal, SUPERSEDED, UNREACHABLE } from "./refusal";
import { type Access, claimsOf } from "./token";
import { post } from "./transport";

/** Who is signed in here. The access token is kept in memory alone: it ends with the page. */
export type Session =
  | { state: "unknown"; because?: Refusal }
  | { state: "out"; because?: Refusal }
  | { state: "account"; token: string; account: string }
  | { state: "operator"; token: string };

export const session = signal<Session>({ state: "unknown" });

/** The token to ask with; null where nobody is signed in. */
export const token = computed(() => ("token" in session.value ? session.value.token : null));
/** Whose token it is: an account's id, or `operator`. What is asked for one is never answered to another. */
const holder = computed(() => {
  const { state } = session.value;
  return state === "account" ? session.value.account : state === "operator" ? "operator" : null;
});

const Renew = graphql(`
  mutation Renew {
    refresh(refreshToken: "") { tokens { accessToken } }
  }
`);
const SignOut = graphql(`
  mutation SignOut($everywhere: Boolean!) {
    logout(everywhere: $everywhere)
  }
`);

/** How long before its end an access token is replaced. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** The first and the longest wait before asking again a server that gave no answer. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 10_000;
/** That there may be a cookie to come back with: no secret, and worth one request less where there is none. */
const MARK = "dimensionos-signed-in";
/** Tells the other tabs who is signed in: the cookie is one for all of them. */
const tabs = new BroadcastChannel("dimensionos-session");
let timer: ReturnType<typeof setTimeout> | undefined;
let tries = 0;

/** Does something whenever somebody else, or nobody, is signed in. */
export function whenHolderChanges(act: () => void): void {
  let before = holder.peek();
  effect(() => {
    if (holder.value === before) return;
    before = holder.value;
    act();
  });
}

/** Takes up what a sign-in gave, and tells the other tabs. */
export function signedIn(access: Access): void {
  const { subject } = claimsOf(access.accessToken);
  takeUp(access);
  tabs.postMessage(subject);
}

function takeUp({ accessToken }: Access): void {
  const { subject, lifetimeMs } = claimsOf(accessToken);
  session.value = { state: "account", token: accessToken, account: subject };
  tries = 0;
  remember(true);
  // By how long it lasts: the server's clock and this one's may be apart.
  later(Math.max(lifetimeMs - RENEW_BEFORE_MS, lifetimeMs / 2));
}

function later(waitMs: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => void renew(), waitMs);
}

export function operatorSignedIn(operatorToken: string): void {
  clearTimeout(timer);
  session.value = { state: "operator", token: operatorToken };
}

/** Forgets who was signed in, here and in every other tab. */
export function signedOut(because?: Refusal): void {
  const wasAccount = session.value.state === "account";
  ended(because);
  if (wasAccount) tabs.postMessage(null);
}

function ended(because?: Refusal): void {
  clearTimeout(timer);
  remember(false);
  session.value = { state: "out", ...(because && { because }) };
}

/** Comes back with the cookie, where there may be one. */
export async function resume(): Promise<void> {
  tabs.onmessage = ({ data: account }: MessageEvent<string | null>) => {
    if (session.value.state !== "account" || holder.value === account) return;
    if (account === null) return ended();
    // Another tab signed somebody else in, and the cookie is theirs now: this one becomes theirs too.
    session.value = { state: "unknown" };
    void renew();
  };
  if (isRemembered()) await renew();
  else session.value = { state: "out" };
}

/** Codes by which a server says that it cannot answer now: the session may be as good as before. */
const PASSING = [UNREACHABLE, "BUSY", "RATE_LIMITED", "INTERNAL"];

/** Gets another access token. One tab at a time: the cookie that one replaces is the next one's to use. */
export async function renew(): Promise<boolean> {
  const before = token.value;
  return navigator.locks.request("dimensionos-renew", async () => {
    // Another call may have done it while this one waited.
    if (token.value !== before) return token.value !== null;
    try {
      takeUp((await post(Renew, {}, null)).refresh.tokens);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (PASSING.includes(error.code)) {
        // Soon, and again: whose answer was lost on its way gets another for some seconds.
        if (session.value.state === "unknown") session.value = { state: "unknown", because: error };
        later(Math.min(FIRST_WAIT_MS * 2 ** tries, LONGEST_WAIT_MS));
        tries += 1;
        return false;
      }
      // Nothing to say where there was no cookie any more, as after another browser's sign-out everywhere.
      signedOut(session.value.state === "unknown" ? undefined : error);
      return false;
    }
  });
}

/** Answers to a token that opens nothing: whoever gets one is signed out already. */
const OVER = ["TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_REUSED", "UNAUTHENTICATED"];

/** Ends this session, or all of the account. Fails where the server did not do it: the session would go on. */
export async function signOut(everywhere: boolean): Promise<void> {
  if (session.value.state === "operator") {
    session.value = { state: "out" };
    return;
  }
  try {
    await ask(SignOut, { everywhere });
  } catch (error) {
    if (!(error instanceof Refusal && OVER.includes(error.code))) throw error;
  }
  signedOut();
}

/**
 * Asks as whoever is signed in; where the token has run out, once more with another. What is answered after somebody
 * else has signed in is dropped, and nothing of the one is done as the other.
 */
export async function ask<R, V>(document: Operation<R, V>, variables: V): Promise<R> {
  const [asking, asked] = [holder.value, token.value];
  try {
    return same(asking, await post(document, variables, asked));
  } catch (error) {
    if (!(error instanceof Refusal && OVER.includes(error.code)) || asked === null) throw error;
    same(asking, null);
    if (asking === "operator") {
      session.value = { state: "out", because: error };
      throw error;
    }
    if (!(await renew())) throw error;
    same(asking, null);
    return same(asking, await post(document, variables, token.value));
  }
}

/** For whoever does one thing in several steps: fails where it is somebody else who would go on. */
export function asHolder(): () => void {
  const asking = holder.peek();
  return () => void same(asking, null);
}

function same<T>(asking: string | null, answer: T): T {
  if (holder.peek() !== asking) throw new Refusal(SUPERSEDED, "somebody else is signed in by now");
  return answer;
}

function remember(isSignedIn: boolean): void {
  try {
    if (isSignedIn) localStorage.setItem(MARK, "yes");
    else localStorage.removeItem(MARK);
  } catch {
    // Without storage the page asks once more than it needs to.
  }
}

function isRemembered(): boolean {
  try {
    return localStorage.getItem(MARK) !== null;
  } catch {
    return true;
  }
}
