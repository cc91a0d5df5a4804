import type { ComponentChildren } from "preact";
import { lazy, Suspense } from "preact/compat";

import { connection } from "./api/live";
import { session, signOut } from "./api/session";
import { AccountPages } from "./pages/account";
import { Gate } from "./pages/gate";
import { StoredData } from "./pages/stored";
import { route } from "./route";
import { useAction } from "./ui/action";
import { PasswordCheck } from "./ui/dialog";
import { Button, Refused, Waiting } from "./ui/parts";

/** Operators are few: what is theirs is fetched when one comes. */
const OperatorPages = lazy(() => import("./pages/operator"));

export function App() {
  return (
    <>
      <a class="skip" href="#content">
        To the content
      </a>
      <Top />
      <main id="content">
        <Page />
      </main>
      <PasswordCheck />
      <footer>
        <a href="#/stored">What this server stores</a> <a href="/.well-known/jwks.json">Its public keys</a>
      </footer>
    </>
  );
}

function Page() {
  const isOperators = route.value.startsWith("operator");
  switch (session.value.state) {
    case "unknown":
      return <Waiting lines={6} />;
    case "operator":
      return (
        <Suspense fallback={<Waiting lines={6} />}>
          <OperatorPages />
        </Suspense>
      );
    case "out":
      return route.value === "stored" ? <StoredData /> : <Gate isOperators={isOperators} />;
    case "account":
      return <AccountPages />;
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
  const isHere = to === "" || to === "operator" ? route.value === to : route.value.startsWith(to);
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

/** Whether what is shown is of now. */
function Connected() {
  return (
    <span class="pill" data-connection={connection.value} role="status" aria-label="Live connection">
      {CONNECTIONS[connection.value]}
    </span>
  );
}
