import { computed, signal } from "@preact/signals";

import { graphql, type Operation } from "../gql";
import { Refusal, UNREACHABLE } from "./refusal";
import { post } from "./transport";

/** Who is signed in here. The access token is kept in memory alone: it ends with the page. */
export type Session =
  | { state: "unknown" }
  | { state: "out"; because?: Refusal }
  | { state: "account"; token: string; renewAt: number }
  | { state: "operator"; token: string };

export const session = signal<Session>({ state: "unknown" });

/** The token to ask with; null where nobody is signed in. */
export const token = computed(() => ("token" in session.value ? session.value.token : null));

/** What of a pair of tokens a script gets to see: the other one stays in its cookie. */
export interface Access {
  accessToken: string;
  accessTokenExpiresAt: string;
}

const Renew = graphql(`
  mutation Renew {
    refresh(refreshToken: "") { tokens { accessToken accessTokenExpiresAt } }
  }
`);
const SignOut = graphql(`
  mutation SignOut($everywhere: Boolean!) {
    logout(everywhere: $everywhere)
  }
`);

/** How long before its end an access token is replaced. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** That there may be a cookie to come back with: no secret, and worth one request less where there is none. */
const MARK = "dimensionos-signed-in";
/** Tells the other tabs. */
const tabs = new BroadcastChannel("dimensionos-session");
let timer: ReturnType<typeof setTimeout> | undefined;

/** Takes up what a sign-in gave. */
export function signedIn({ accessToken, accessTokenExpiresAt }: Access): void {
  const renewAt = Math.max(Date.parse(accessTokenExpiresAt) - RENEW_BEFORE_MS, Date.now() + 30_000);
  session.value = { state: "account", token: accessToken, renewAt };
  remember(true);
  clearTimeout(timer);
  timer = setTimeout(() => void renew(), renewAt - Date.now());
}

export function operatorSignedIn(operatorToken: string): void {
  clearTimeout(timer);
  session.value = { state: "operator", token: operatorToken };
}

/** Forgets who was signed in, here and in every other tab. */
export function signedOut(because?: Refusal): void {
  const wasAccount = session.value.state === "account";
  ended(because);
  if (wasAccount) tabs.postMessage("signed out");
}

function ended(because?: Refusal): void {
  clearTimeout(timer);
  remember(false);
  session.value = { state: "out", ...(because && { because }) };
}

/** Comes back with the cookie, where there may be one. */
export async function resume(): Promise<void> {
  tabs.onmessage = () => session.value.state === "account" && ended();
  if (!isRemembered()) {
    session.value = { state: "out" };
    return;
  }
  await renew();
}

/** Gets another access token. One tab at a time: the cookie that one replaces is the next one's to use. */
export async function renew(): Promise<boolean> {
  const before = token.value;
  return navigator.locks.request("dimensionos-renew", async () => {
    // Another call may have done it while this one waited.
    if (token.value !== before) return token.value !== null;
    try {
      const { refresh } = await post(Renew, {}, null);
      signedIn(refresh.tokens);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === UNREACHABLE || error.code === "BUSY" || error.code === "RATE_LIMITED") {
        if (session.value.state === "unknown") session.value = { state: "out", because: error };
        else timer = setTimeout(() => void renew(), 5_000);
        return false;
      }
      // Nothing to say where there was no cookie any more, as after another browser's sign-out everywhere.
      signedOut(session.value.state === "unknown" ? undefined : error);
      return false;
    }
  });
}

/** Ends this session, or all of the account. */
export async function signOut(everywhere: boolean): Promise<void> {
  if (session.value.state === "operator") {
    session.value = { state: "out" };
    return;
  }
  try {
    await ask(SignOut, { everywhere });
  } catch (error) {
    // What could not be told to the server is not over: the session would go on without its holder.
    if (error instanceof Refusal && error.code === UNREACHABLE) throw error;
  }
  signedOut();
}

/** Asks as whoever is signed in; where the token has run out, once more with another. */
export async function ask<R, V>(document: Operation<R, V>, variables: V): Promise<R> {
  const asked = token.value;
  try {
    return await post(document, variables, asked);
  } catch (error) {
    const isOver = error instanceof Refusal && ["TOKEN_EXPIRED", "TOKEN_INVALID", "UNAUTHENTICATED"].includes(error.code);
    if (!isOver || asked === null) throw error;
    if (session.value.state === "operator") {
      session.value = { state: "out", because: error };
      throw error;
    }
    if (!(await renew())) throw error;
    return post(document, variables, token.value);
  }
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
