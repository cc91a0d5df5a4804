// The server that `run` has started, and those who use it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

const address = process.env.CONFORMANCE_SERVER;
const agentToken = process.env.CONFORMANCE_AGENT;
export const operatorToken = process.env.CONFORMANCE_OPERATOR;
assert(address && agentToken && operatorToken, "there is no server: start the tests with conformance/run");

export { address };
export const endpoint = `${address}/graphql`;
export const socketEndpoint = endpoint.replace("http", "ws");
export const password = "violet harbour kestrel 41";

export const TIERS = "{ tiers { tier } }";
export const ME = "{ me { id } }";
export const USAGE = "subscription { usage(intervalMs: 100) { ram { megabytesUsed } } }";
const REPORT = "mutation ($input: UsageReportInput!) { reportUsage(input: $input) { samples } }";
export const LOGIN = `mutation ($email: String!, $password: String!) {
  login(input: { identity: { email: $email }, password: $password }) {
    account { id } tokens { accessToken refreshToken }
  }
}`;
export const REGISTER = LOGIN.replace("login", "register");

export const bearer = (token) => ({ authorization: `Bearer ${token}` });

/** Asks by nothing but a POST; gives the answer. */
export async function ask(query, variables, token) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token && bearer(token)) },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

/** Asks for what has to be granted; gives the data. */
export async function granted(query, variables, token) {
  const { data, errors } = await ask(query, variables, token);
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

/** Waits for what has to happen, longer than it takes on a busy machine. */
export function inTime(happening) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("nothing happened in time")), 15_000);
  });
  return Promise.race([happening, late]).finally(() => clearTimeout(timer));
}

/** A new address, so that tests do not meet. */
export const newEmail = () => `${randomUUID()}@example.org`;

/** Registers somebody new. */
export async function register() {
  const email = newEmail();
  const { account, tokens } = (await granted(REGISTER, { email, password })).register;
  return { id: account.id, email, access: tokens.accessToken, refresh: tokens.refreshToken };
}

/** An agent's source, which tells the server what an account uses. */
export function newMeter() {
  const source = randomUUID();
  let sequence = 0;
  return async (account, megabytes) => {
    sequence += 1;
    const input = { source, sequence, samples: [{ account, ramBytes: megabytes * 1024 * 1024 }] };
    await granted(REPORT, { input }, agentToken);
  };
}
