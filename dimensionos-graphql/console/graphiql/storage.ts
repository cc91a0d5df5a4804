import type { Storage } from "@graphiql/toolkit";

/** Where GraphiQL keeps what it remembers. It puts this before its own names. */
const NAMESPACE = "graphiql:";
const TABS = `${NAMESPACE}tabState`;
const HISTORY = ["queries", "favorites"].map((name) => NAMESPACE + name);

/** What the active tab tells too: kept there alone. */
const ACTIVE = ["query", "variables", "headers"] as const;

interface Remembered {
  query?: string | null;
  variables?: string | null;
  headers?: string | null;
}

/**
 * The browser's storage, which outlives the page and can be read by whoever has the machine: so it gets no headers, which
 * hold tokens (GraphiQL's history would keep them whatever is set), and no password, code or token that an operation holds.
 */
export const storage: Storage = {
  get length() {
    return names().length;
  },
  clear() {
    for (const name of names()) localStorage.removeItem(name);
  },
  removeItem(name) {
    localStorage.removeItem(name);
  },
  getItem(name) {
    const part = ACTIVE.find((part) => name === NAMESPACE + part);
    return part ? activeTab()?.[part] ?? null : localStorage.getItem(name);
  },
  setItem(name, value) {
    if (ACTIVE.some((part) => name === NAMESPACE + part)) return;
    localStorage.setItem(name, name === TABS || HISTORY.includes(name) ? withoutSecrets(value) : value);
  },
};

function names(): string[] {
  return Object.keys(localStorage).filter((name) => name.startsWith(NAMESPACE));
}

function activeTab(): Remembered | undefined {
  try {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem(TABS) ?? "{}");
    return tabs?.[activeTabIndex];
  } catch {
    // Somebody else's, or half of one: GraphiQL begins anew.
    return undefined;
  }
}

/** Tabs or history, as GraphiQL writes them, without what nobody else should read. */
function withoutSecrets(written: string): string {
  return JSON.stringify(JSON.parse(written), (name, value) => {
    if (name === "headers" || name === "response" || name === "hash") return null;
    if (!Array.isArray(value) || !["tabs", "queries", "favorites"].includes(name)) return value;
    return value.map(forget);
  });
}

const SECRET = String.raw`\w*(?:password|recoveryCode|attestation|voucher|token)\w*`;
const NAMES_A_SECRET = new RegExp(String.raw`\b${SECRET}\s*:`, "i");
const SECRETS = new RegExp(String.raw`\b(${SECRET}"?\s*:\s*)(?:"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"?)`, "gi");

function forget<T extends Remembered>(item: T): T {
  const { query, variables } = item;
  // A secret in a variable may be called anything there: where the operation takes one, no variable is kept.
  const takesOne = NAMES_A_SECRET.test(query ?? "");
  return {
    ...item,
    query: query?.replace(SECRETS, '$1""'),
    variables: takesOne ? "" : variables?.replace(SECRETS, '$1""'),
  };
}
