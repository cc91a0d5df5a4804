import { ask } from "../../api/session";
import { day, fromNow, moment } from "../../format";
import { type AccountOfQuery, graphql } from "../../gql";
import { Card, Copy, Empty, Fact, Facts, Refused, Waiting } from "../../ui/parts";
import { Acts } from "./acts";
import { Allotted } from "./allotted";
import { Found } from "./found";
import { Listed } from "./listed";
import { Measured } from "./measured";
import { useList, useReading } from "./reading";
import { because, PAYMENTS, STEPS } from "./said";
import { Status } from "./status";

const AccountOf = graphql(`
  query AccountOf($id: ID!) {
    account(id: $id) {
      id
      tier
      status
      statusReason
      statusSince
      statusNote
      trial { startedAt endsAt daysLeft expired }
      payment { status paidUntil overdueSince tiers { tier until } }
      nextStep { step reason at }
      terms { due acceptedVersion acceptedAt current { version } }
      allocation {
        cpuCores ramMegabytes storageGigabytes bandwidthBitsPerSecond
        apiCallsPerHour fileOperationsPerHour priceCentsPerMonth
      }
      limitOverrides { resource limit until }
    }
  }
`);
const FoundAgainst = graphql(`
  query FoundAgainst($id: ID!, $after: String) {
    violations(first: 10, after: $after, filter: { account: $id }) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Found }
    }
  }
`);

type Account = NonNullable<AccountOfQuery["account"]>;

/** One account as operators see it: how it stands, never whose it is. */
export function AccountPage({ id }: { id: string }) {
  const { value, refusal, again } = useReading(() => ask(AccountOf, { id }));
  const found = useList(async (after) => (await ask(FoundAgainst, { id, after })).violations);
  // What was found says what an account may do, and what it may do says what was found.
  const changed = async () => void (await Promise.all([again(), found.again()]));
  const account = value?.account;
  return (
    <>
      <p>
        <a href="#/operator">All accounts</a>
      </p>
      <div class="row spread">
        <h1 tabIndex={-1}>Account</h1>
        {account && <Status of={account.status} />}
      </div>
      <div class="row">
        <code class="long">{id}</code>
        <Copy what={id} />
      </div>
      <p class="lead">
        Operators cannot see its tag, its sessions, its recovery codes or its export: those are its holder's alone.
      </p>
      <Refused refusal={refusal} />
      {value === null && refusal === null && <Waiting lines={12} />}
      {value && !account && <Empty>No account has that id. It may have been erased.</Empty>}
      {account && (
        <>
          <Standing account={account} />
          <Acts account={account} changed={changed} />
          <Allotted account={account} changed={changed} />
          <Measured id={id} />
          <h2>What was found</h2>
          <Listed list={found} class="cards" empty="Nothing was found against this account.">
            {(one) => <Found found={one} isOwn changed={() => void changed()} />}
          </Listed>
        </>
      )}
    </>
  );
}

function Standing({ account }: { account: Account }) {
  const { trial, payment, nextStep, terms } = account;
  return (
    <Card title="How it stands">
      <Facts>
        <Fact name="Status">
          <Status of={account.status} /> <span class="quiet">{because(account)}</span>
        </Fact>
        {account.statusNote && <Fact name="An operator wrote">“{account.statusNote}”</Fact>}
        <Fact name="Tier">{account.tier}</Fact>
        {trial && (
          <Fact name="Trial">
            {trial.expired ? `ended ${day(trial.endsAt)}` : `${trial.daysLeft} days left, until ${day(trial.endsAt)}`}
          </Fact>
        )}
        <Fact name="Payment">
          {PAYMENTS[payment.status]}
          {payment.overdueSince && ` since ${day(payment.overdueSince)}`}
        </Fact>
        {payment.tiers.map(({ tier, until }) => (
          <Fact key={tier} name={`${tier} paid until`}>
            {moment(until)}
          </Fact>
        ))}
        <Fact name="Next, unless something is done">
          {nextStep ? `${STEPS[nextStep.step]} ${fromNow(nextStep.at)}, on ${day(nextStep.at)}` : "nothing"}
        </Fact>
        <Fact name="Terms">
          {terms.acceptedVersion ? `version ${terms.acceptedVersion} accepted` : "none accepted"}
          {terms.acceptedAt && ` ${day(terms.acceptedAt)}`}
          {terms.due && `; version ${terms.current.version} is due`}
        </Fact>
      </Facts>
    </Card>
  );
}
