// GraphQL over HTTP as clients speak it, and what may come instead of an answer.

/**
 * @typedef {object} Answer
 * @property {any} [data]
 * @property {string} [code] why there is no data: an error's code, or `no connection`, `cut off`, `no answer`, `HTTP n`
 */

/** Longer than a replica takes to say that it cannot (`BUSY`), so that what it says is seen. */
export const PATIENCE = 8_000;

/**
 * One POST. Never throws.
 * @param {{ url: string }} replica
 * @param {number} deadline milliseconds
 * @returns {Promise<Answer>}
 */
export async function ask(replica, token, query, variables = {}, deadline = PATIENCE) {
  const signal = AbortSignal.timeout(Math.ceil(deadline));
  try {
    const response = await post(replica, token, query, variables, "application/json", signal);
    const text = await response.text();
    let answer;
    try {
      answer = JSON.parse(text);
    } catch {
      return { code: `HTTP ${response.status}` };
    }
    if (answer.errors) return { code: answer.errors[0].extensions?.code ?? `HTTP ${response.status}` };
    return { data: answer.data };
  } catch (fault) {
    return { code: reason(fault) };
  }
}

function post(replica, token, query, variables, accept, signal) {
  const headers = { "content-type": "application/json", accept };
  if (token) headers.authorization = `Bearer ${token}`;
  const body = JSON.stringify({ query, variables });
  return fetch(`${replica.url}/graphql`, { method: "POST", headers, body, signal });
}

function reason(fault) {
  if (fault.name === "TimeoutError" || fault.name === "AbortError") return "no answer";
  return fault.cause?.code === "ECONNREFUSED" ? "no connection" : "cut off";
}

/** One POST that must succeed, of those that set a case up. */
export async function data(replica, token, query, variables) {
  const answer = await ask(replica, token, query, variables, 30_000);
  if (answer.code) throw new Error(`${query.trim().split("\n")[0]}: ${answer.code} by replica ${replica.name}`);
  return answer.data;
}

/**
 * Follows a subscription over server-sent events until it ends, or is ended by `signal`.
 * @param {(data: any) => void} onData
 * @returns {Promise<string>} why it ended: a code, or `complete`, or what `ask` says
 */
export async function follow(replica, token, query, onData, signal) {
  const opening = new AbortController();
  const patience = setTimeout(() => opening.abort(), 5_000);
  let code = "complete";
  try {
    const both = AbortSignal.any([signal, opening.signal]);
    const response = await post(replica, token, query, {}, "text/event-stream", both);
    clearTimeout(patience);
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
      return JSON.parse(await response.text()).errors?.[0].extensions?.code ?? `HTTP ${response.status}`;
    }
    let unread = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body) {
      unread += decoder.decode(bytes, { stream: true });
      const events = unread.split("\n\n");
      unread = events.pop();
      for (const event of events) {
        const line = event.split("\n").find((text) => text.startsWith("data:"));
        const value = line && line.length > 5 && JSON.parse(line.slice(5));
        if (!value) continue;
        if (value.errors) code = value.errors[0].extensions?.code ?? "an error";
        else onData(value.data);
      }
    }
    return code;
  } catch (fault) {
    return reason(fault);
  } finally {
    clearTimeout(patience);
  }
}

/** What was refused, by kind of operation and by how. */
export class Tally {
  #counts = new Map();

  note(kind, code) {
    const codes = this.#counts.get(kind) ?? new Map();
    this.#counts.set(kind, codes);
    codes.set(code ?? "", (codes.get(code ?? "") ?? 0) + 1);
  }

  /** How many of a kind were answered. */
  answered(kind) {
    return this.#counts.get(kind)?.get("") ?? 0;
  }

  inWords() {
    const kinds = [...this.#counts].map(([kind, codes]) => {
      const refused = [...codes].filter(([code]) => code).map(([code, count]) => `${code} ${count}`);
      return refused.length ? `${kind}: ${refused.join(", ")}` : "";
    });
    return kinds.filter(Boolean).join("; ") || "nothing";
  }
}
