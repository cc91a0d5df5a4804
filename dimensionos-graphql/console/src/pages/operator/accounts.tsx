import { signal } from "@preact/signals";

import { Refusal } from "../../api/refusal";
import { ask } from "../../api/session";
import { day } from "../../format";
import { type AccountsQuery, graphql, type ServiceStatus, type TierName } from "../../gql";
import { go } from "../../route";
import { useAction } from "../../ui/action";
import { Card, Field, Form, text } from "../../ui/parts";
import { Select } from "../../ui/select";
import { Listed } from "./listed";
import { useList } from "./reading";
import { because, PAYMENTS, STATUSES, TIERS } from "./said";
import { Status } from "./status";

const AccountsDocument = graphql(`
  query Accounts($after: String, $status: ServiceStatus, $tier: TierName) {
    accounts(first: 25, after: $after, status: $status, tier: $tier) {
      pageInfo { hasNextPage endCursor }
      nodes { id tier status statusReason statusSince payment { status paidUntil } }
    }
  }
`);
const FindAccount = graphql(`
  query FindAccount($id: ID!) {
    account(id: $id) { id }
  }
`);

type Row = AccountsQuery["accounts"]["nodes"][number];
type Any = "";

/** What is asked for; kept while one account is looked at. */
const status = signal<ServiceStatus | Any>("");
const tier = signal<TierName | Any>("");

/** Every account, newest first. */
export function Accounts() {
  const [wanted, on] = [status.value, tier.value];
  const list = useList(
    async (after) => (await ask(AccountsDocument, { after, status: wanted || null, tier: on || null })).accounts,
    `${wanted} ${on}`,
  );
  return (
    <>
      <h1 tabIndex={-1}>Accounts</h1>
      <Find />
      <Card title="All, newest first">
        <div class="row filters">
          <Select
            label="Status"
            name="status"
            value={wanted}
            chosen={(chosen) => (status.value = chosen)}
            options={[["", "any"], ...(Object.entries(STATUSES) as [ServiceStatus, string][])]}
          />
          <Select
            label="Tier"
            name="tier"
            value={on}
            chosen={(chosen) => (tier.value = chosen)}
            options={[["", "any"], ...TIERS.map((name) => [name, name] as const)]}
          />
        </div>
        <Listed list={list} lines={12} class="accounts" empty={nothing(wanted, on)}>
          {(account) => <AccountRow account={account} />}
        </Listed>
      </Card>
    </>
  );
}

function nothing(wanted: ServiceStatus | Any, on: TierName | Any): string {
  return wanted || on ? "No account is so at present." : "Nobody has opened an account yet.";
}

function AccountRow({ account }: { account: Row }) {
  const { id, payment } = account;
  return (
    <>
      <a href={`#/operator/account/${id}`}>
        <code>{id}</code>
      </a>
      <span>{account.tier}</span>
      <span>
        <Status of={account.status} />
      </span>
      <span class="quiet">{because(account)}</span>
      <span class="quiet">
        {PAYMENTS[payment.status]}
        {payment.paidUntil && `, until ${day(payment.paidUntil)}`}
      </span>
    </>
  );
}

function Find() {
  const action = useAction(async (_, form: FormData) => {
    const { account } = await ask(FindAccount, { id: text(form, "id").trim() });
    if (!account) throw new Refusal("NOT_FOUND", "no account has that id");
    go(`operator/account/${account.id}`);
  });
  return (
    <Card title="Find one">
      <Form action={action} verb="Open" class="inline">
        <Field
          label="Account id"
          name="id"
          autocomplete="off"
          hint="Its holder reads it under Security. Nobody can be found by an address: none is stored."
        />
      </Form>
    </Card>
  );
}
