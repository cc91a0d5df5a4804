import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { type AccountEvent, comebacks, follow, forgetReadings } from "../api/live";
import { Refusal, SUPERSEDED, words } from "../api/refusal";
import { ask } from "../api/session";
import { graphql, type StandingQuery } from "../gql";
import { route } from "../route";
import { Refused, Waiting } from "../ui/parts";
import { Findings } from "./findings";
import { History } from "./history";
import { Kept, kept } from "./kept";
import { Now } from "./now";
import { Pay, PaymentPage } from "./payment";
import { Security } from "./security";
import { StandingBanner } from "./standing";
import { StoredData } from "./stored";

const StandingDocument = graphql(`
  query Standing {
    me {
      id
      anonymousId
      tier
      status
      statusReason
      statusSince
      statusNote
      trial { endsAt daysLeft expired }
      payment { status paidUntil overdueSince tiers { tier until } }
      nextStep { step reason at }
      terms { due current { version } upcoming { version effectiveAt } }
      allocation {
        tier cpuCores ramMegabytes storageGigabytes bandwidthBitsPerSecond database
        apiCallsPerHour fileOperationsPerHour priceCentsPerMonth
      }
    }
  }
`);

export type Standing = StandingQuery["me"];

/** The account as it stands; null until it is known, and where it is closed. */
export const standing = signal<Standing | null>(null);
/** How asking for it was refused last. */
const refusal = signal<Refusal | null>(null);
/** What happened while this page was open, newest first. */
export const happened = signal<Happening[]>([]);
let heard = 0;

interface Happening {
  key: number;
  at: number;
  /** What it takes the place of; null where it stands by itself. */
  about: string | null;
  said: string;
}

/** Events that the page keeps. */
const MAX_HAPPENED = 20;
/** How often an account that cannot be followed is asked for: often at first, and then so that it costs few calls. */
const LOOK_AGAIN_MS = 3_000;
const LOOK_SELDOM_MS = 60_000;
/** Looks at the short distance, a minute of them. */
const OFTEN = 20;

/** Reads how the account stands. */
export async function readStanding(): Promise<void> {
  try {
    standing.value = (await ask(StandingDocument, {})).me;
    refusal.value = null;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // Somebody else's page by now.
    if (error.code === SUPERSEDED) return;
    refusal.value = error;
    if (error.code === "SERVICE_CANCELLED") standing.value = null;
  }
}

/** What may be followed live: everything that may be read. */
function isFollowed(): boolean {
  const account = standing.value;
  return account !== null && account.status !== "SUSPENDED" && account.status !== "CANCELLED" && !account.terms.due;
}

export function AccountPages() {
  useEffect(() => {
    void readStanding();
    return () => {
      standing.value = null;
      happened.value = [];
      refusal.value = null;
      forgetReadings();
    };
  }, []);
  const followed = isFollowed();
  useEffect(() => (followed ? follow(hear, () => void readStanding()) : undefined), [followed]);
  // What cannot be followed is looked at, so that the end of a suspension shows without a reload.
  useEffect(() => {
    if (followed) return undefined;
    let looks = 0;
    const look = () => {
      looks += 1;
      void readStanding();
      looking = setTimeout(look, looks < OFTEN ? LOOK_AGAIN_MS : LOOK_SELDOM_MS);
    };
    let looking = setTimeout(look, LOOK_AGAIN_MS);
    return () => clearTimeout(looking);
  }, [followed]);
  // What happened while the connection was away is not told again.
  useEffect(() => void (comebacks.value > 0 && readStanding()), [comebacks.value]);

  if (kept.value) return <Kept />;
  const paying = route.value === "payment" ? <Pay /> : null;
  const isClosed = refusal.value?.code === "SERVICE_CANCELLED";
  if (!standing.value && !isClosed) {
    if (!refusal.value) return <Waiting lines={8} />;
    return (
      <>
        <h1 tabIndex={-1}>The account cannot be shown</h1>
        <Refused refusal={refusal.value} />
        {paying ?? <a href="#/payment">Paying goes on.</a>}
      </>
    );
  }
  return (
    <>
      <StandingBanner closed={isClosed ? refusal.value : null} />
      <Shown />
    </>
  );
}

function Shown() {
  switch (route.value) {
    case "history":
      return <History />;
    case "payment":
      return <PaymentPage />;
    case "findings":
      return <Findings />;
    case "security":
      return <Security />;
    case "stored":
      return <StoredData />;
    default:
      return <Now />;
  }
}

function hear(event: AccountEvent): void {
  const said = inPlainWords(event);
  // Of a limit that is crossed to and fro, the last time is told: what matters would be pushed out.
  const about = event.__typename === "QuotaCrossed" ? `${event.resource} ${event.percent}` : null;
  const others = happened.value.filter((one) => about === null || one.about !== about);
  happened.value = [{ key: (heard += 1), at: Date.now(), about, said }, ...others].slice(0, MAX_HAPPENED);
  if (event.__typename !== "QuotaCrossed") void readStanding();
}

function inPlainWords(event: AccountEvent): string {
  switch (event.__typename) {
    case "StatusChanged":
      return `The account is ${words(event.to)} now${event.reason === "NONE" ? "" : ` (${words(event.reason)})`}.`;
    case "QuotaCrossed":
      return `${words(event.resource)}: ${event.above ? "over" : "back under"} ${event.percent} % of the limit.`;
    case "ViolationRaised":
      return `Something was found: ${words(event.violation.kind)}. See Findings.`;
    case "StepAhead":
      return `${words(event.step)} in ${event.daysBefore} days: ${words(event.reason)}.`;
  }
}
