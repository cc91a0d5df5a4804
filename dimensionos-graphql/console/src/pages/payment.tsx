import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { Refusal } from "../api/refusal";
import { withProof } from "../api/proof";
import { comebacks } from "../api/live";
import { ask } from "../api/session";
import { bitsPerSecond, cents, count, day, fromNow, gigabytes, memory } from "../format";
import { graphql, type TierName, type TiersQuery } from "../gql";
import { useAction } from "../ui/action";
import { confirmed, WORKING } from "../ui/dialog";
import { Card, Fact, Facts, Field, Form, Refused, text, Waiting } from "../ui/parts";
import { readStanding, standing } from "./account";

const ReportPayment = graphql(`
  mutation ReportPayment($attestation: String!) {
    reportPayment(attestation: $attestation) { status paidUntil }
  }
`);
const RedeemVoucher = graphql(`
  mutation RedeemVoucher($voucher: String!) {
    redeemVoucher(voucher: $voucher) { status paidUntil }
  }
`);
const Tiers = graphql(`
  query Tiers {
    tiers {
      tier cpuCores ramMegabytes storageGigabytes bandwidthBitsPerSecond
      apiCallsPerHour fileOperationsPerHour priceCentsPerMonth
    }
  }
`);
const ChangeTier = graphql(`
  mutation ChangeTier($tier: TierName!) {
    changeTier(tier: $tier) { id }
  }
`);
const CancelAccount = graphql(`
  mutation CancelAccount($password: String!, $proof: ProofInput) {
    cancelAccount(password: $password, proof: $proof) { id }
  }
`);

/** Whether the account is paid for, and how to pay without saying who one is. */
export function PaymentPage() {
  const account = standing.value;
  if (!account) return null;
  const { payment, nextStep, trial } = account;
  return (
    <>
      <h1 tabIndex={-1}>Payment</h1>
      <Card title="How it stands">
        <Facts>
          <Fact name="Tier">{account.tier}</Fact>
          <Fact name="Payment">{PAYMENT[payment.status]}</Fact>
          {trial && <Fact name="Trial">{trial.expired ? "has ended" : `${trial.daysLeft} days left`}</Fact>}
          {payment.paidUntil && <Fact name="Paid until">{day(payment.paidUntil)}</Fact>}
          {nextStep && (
            <Fact name="Unless something is done">
              {STEPS[nextStep.step]} {fromNow(nextStep.at)}, on {day(nextStep.at)}
            </Fact>
          )}
        </Facts>
      </Card>
      <Pay />
      <TierTable present={account.tier} />
      <Cancel />
    </>
  );
}

const PAYMENT = {
  NOT_REQUIRED: "not required",
  PAID: "paid",
  UNPAID: "not paid",
  OVERDUE: "overdue; everything still works",
} as const;

const STEPS = {
  OVERDUE: "payment is overdue",
  READ_ONLY: "the account becomes read-only",
  SUSPENDED: "the account is suspended",
  CANCELLED: "the account is closed",
  ERASED: "the account is erased for good",
} as const;

/** Open to everybody who is signed in, whatever else is not. */
export function Pay() {
  const done = useSignal<string | null>(null);
  const action = useAction(async (_, form: FormData) => {
    const proof = text(form, "proof").trim();
    done.value = null;
    const paid = proof.startsWith("dimv_")
      ? (await ask(RedeemVoucher, { voucher: proof })).redeemVoucher
      : (await ask(ReportPayment, { attestation: proof })).reportPayment;
    done.value = paid.paidUntil ? `Taken. Paid until ${day(paid.paidUntil)}.` : "Taken.";
    await readStanding();
  });
  return (
    <Card title="Pay">
      <p>
        This service never learns who paid or how. Whoever sells it gives you a proof of payment; paste it here. It
        counts once.
      </p>
      <Form action={action} verb="Use it">
        <Field label="Attestation or voucher" name="proof" rows={4} autocomplete="off" hint="A voucher begins with dimv_." />
      </Form>
      <p role="status">{done.value}</p>
    </Card>
  );
}

function TierTable({ present }: { present: TierName }) {
  const tiers = useSignal<TiersQuery["tiers"] | null>(null);
  const refusal = useSignal<Refusal | null>(null);
  useEffect(() => {
    ask(Tiers, {})
      .then((answer) => {
        tiers.value = answer.tiers;
        refusal.value = null;
      })
      .catch((error: unknown) => {
        if (!(error instanceof Refusal)) throw error;
        refusal.value = error;
      });
  }, [comebacks.value]);
  const changing = useAction(async (_, tier: TierName) => {
    await ask(ChangeTier, { tier });
    await readStanding();
  });
  return (
    <Card title="Tiers">
      <Refused refusal={changing.refusal ?? refusal.value} />
      {tiers.value === null ? (
        refusal.value === null && <Waiting lines={5} />
      ) : (
        <div class="scrolled" tabIndex={0} role="group" aria-label="Tiers">
          <table>
            <thead>
              <tr>
                <th scope="col">Tier</th>
                <th scope="col">Processor</th>
                <th scope="col">Memory</th>
                <th scope="col">Storage</th>
                <th scope="col">Bandwidth</th>
                <th scope="col">API calls an hour</th>
                <th scope="col">Price</th>
                <th scope="col">
                  <span class="unseen">Change</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {tiers.value.map((tier) => (
                <tr key={tier.tier}>
                  <th scope="row">{tier.tier}</th>
                  <td class="number">{tier.cpuCores}</td>
                  <td class="number">{memory(tier.ramMegabytes)}</td>
                  <td class="number">{gigabytes(tier.storageGigabytes)}</td>
                  <td class="number">{bitsPerSecond(tier.bandwidthBitsPerSecond)}</td>
                  <td class="number">{count(tier.apiCallsPerHour)}</td>
                  <td class="number">{cents(tier.priceCentsPerMonth)}</td>
                  <td>
                    {tier.tier === present ? (
                      <span class="pill">yours</span>
                    ) : (
                      tier.tier !== "FREE" && (
                        <button
                          type="button"
                          disabled={changing.isBusy}
                          aria-label={`Change to ${tier.tier}`}
                          onClick={() => void changing.run(tier.tier)}
                        >
                          Change
                        </button>
                      )
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function Cancel() {
  const action = useAction(async (tell, form: FormData) => {
    const password = text(form, "password");
    const cancel = () => withProof((proof) => ask(CancelAccount, { password, proof }), () => tell(WORKING));
    await confirmed(cancel);
    await readStanding();
  });
  return (
    <details class="card">
      <summary>Close the account</summary>
      <p>It stops working at once. For 30 days it can be restored; then it is erased for good.</p>
      <Form action={action} verb="Close the account" isGrave whose={standing.value?.id}>
        <Field label="Password" name="password" isSecret autocomplete="current-password" />
      </Form>
    </details>
  );
}

