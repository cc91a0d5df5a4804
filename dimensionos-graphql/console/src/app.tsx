import type { ComponentChildren } from "preact";
import { lazy, Suspense } from "preact/compat";
import { useEffect } from "preact/hooks";

import { connection } from "./api/live";
import { session, signOut } from "./api/session";
import { AccountPages } from "./pages/account";
import { Gate } from "./pages/gate";
import { kept } from "./pages/kept";
import { StoredData } from "./pages/stored";
import { route } from "./route";
import { useAction } from "./ui/action";
import { PasswordCheck } from "./ui/dialog";
import { Button, Refused, Waiting } from "./ui/parts";

/** Operators are few: what is theirs is fetched when one comes. */
const OperatorPages = lazy(() => import("./pages/operator"));

export function App() {
  const shown = `${session.value.state} ${kept.value === null}`;
  useEffect(() => begin(), [shown, route.value]);
  return (
    <>
      <button type="button" class="skip" onClick={() => document.querySelector("main")?.focus()}>
        To the content
      </button>
      <Top />
      <main tabIndex={-1}>
        <Page />
      </main>
      <PasswordCheck />
      <footer>
        <a href="#/stored">What this server stores</a> <a href="/.well-known/jwks.json">Its public keys</a>
      </footer>
    </>
  );
}

/** Says which page it is, and has the keyboard and screen readers begin where it begins. */
function begin(): void {
  requestAnimationFrame(() => {
    const heading = document.querySelector<HTMLElement>("main h1");
    document.title = heading ? `${heading.textContent} · DimensionOS` : "DimensionOS";
    // What had the keyboard may be gone with the page before.
    if (document.activeElement === document.body) heading?.focus();
  });
}

function Page() {
  const isOperators = route.value.startsWith("operator");
  switch (session.value.state) {
    case "unknown":
      return (
        <>
          <Refused refusal={session.value.because ?? null} />
          <Waiting lines={6} />
        </>
      );
    case "operator":
      return (
        <Suspense fallback={<Waiting lines={6} />}>
          <OperatorPages />
        </Suspense>
      );
    case "out":
      return route.value === "stored" ? <StoredData /> : <Gate isOperators={isOperators} />;
    case "account":
      // Another account is another page: nothing of the one before is left on it.
      return <AccountPages key={session.value.account} />;
  }
}

const ACCOUNT_PAGES: [string, string][] = [
  ["", "Now"],
  ["history", "History"],
  ["payment", "Payment"],
  ["findings", "Findings"],
  ["security", "Security"],
  ["stored", "Your data"],
];
const OPERATOR_PAGES: [string, string][] = [
  ["operator", "Accounts"],
  ["operator/agents", "Agents"],
  ["operator/appeals", "Appeals"],
  ["operator/complaints", "Complaints"],
  ["operator/policy", "Policy"],
  ["operator/jobs", "Jobs"],
];

function Top() {
  const { state } = session.value;
  const pages = state === "account" ? ACCOUNT_PAGES : state === "operator" ? OPERATOR_PAGES : [];
  const leaving = useAction(() => signOut(false));
  return (
    <header class="top">
      <div class="row spread">
        <a class="name" href={state === "operator" ? "#/operator" : "#/"}>
          DimensionOS
        </a>
        <div class="row">
          {state === "account" && <Connected />}
          {state === "operator" && <span class="pill">operator</span>}
          {(state === "account" || state === "operator") && <Button action={leaving}>Sign out</Button>}
        </div>
      </div>
      <Refused refusal={leaving.refusal} />
      {pages.length > 0 && (
        <nav aria-label="Pages">
          {pages.map(([to, name]) => (
            <Tab key={to} to={to}>
              {name}
            </Tab>
          ))}
        </nav>
      )}
    </header>
  );
}

function Tab({ to, children }: { to: string; children: ComponentChildren }) {
  const isFirst = to === "" || to === "operator";
  const isHere = isFirst ? !isAnother(route.value) : route.value.startsWith(to);
  return (
    <a href={`#/${to}`} {...(isHere && { "aria-current": "page" })}>
      {children}
    </a>
  );
}

const CONNECTIONS = {
  connecting: "connecting",
  live: "live",
  reconnecting: "reconnecting",
  offline: "offline",
  stopped: "not live",
} as const;

/** Whether an address is that of one of the pages behind the first. */
function isAnother(address: string): boolean {
  const others = [...ACCOUNT_PAGES.slice(1), ...OPERATOR_PAGES.slice(1)];
  return others.some(([to]) => address.startsWith(to));
}

/** Whether what is shown is of now. */
function Connected() {
  return (
    <span class="pill" data-connection={connection.value} role="status" aria-label="Live connection">
      {CONNECTIONS[connection.value]}
    </span>
  );
}
