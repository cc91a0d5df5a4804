import { words } from "../../api/refusal";
import { day } from "../../format";
import type { LapseStep, PaymentStatus, ServiceStatus, StatusReason, TierName } from "../../gql";

/** How what operators see is said in words. */

export const STATUSES: Record<ServiceStatus, string> = {
  ACTIVE: "active",
  READ_ONLY: "read-only",
  SUSPENDED: "suspended",
  CANCELLED: "closed",
};

export const TIERS: readonly TierName[] = ["FREE", "STARTER", "PRO", "ENTERPRISE"];

const REASONS: Record<StatusReason, string | null> = {
  NONE: null,
  TRIAL_EXPIRED: "the trial has ended",
  PAYMENT_OVERDUE: "payment is overdue",
  TOS_VIOLATION: "a breach of the terms",
  OPERATOR: "an operator decided it",
  OWNER: "its holder closed it",
};

export const PAYMENTS: Record<PaymentStatus, string> = {
  NOT_REQUIRED: "trial",
  PAID: "paid",
  UNPAID: "not paid",
  OVERDUE: "overdue",
};

export const STEPS: Record<LapseStep, string> = {
  OVERDUE: "payment is overdue",
  READ_ONLY: "read-only",
  SUSPENDED: "suspended",
  CANCELLED: "closed",
  ERASED: "erased for good",
};

/** Why it has its status, and since when; of one that is active there is only the latter. */
export function because(account: { statusReason: StatusReason; statusSince: string }): string {
  const why = REASONS[account.statusReason];
  const since = `since ${day(account.statusSince)}`;
  return why === null ? since : `${why}, ${since}`;
}

/** `API_CALLS` as `API calls`, with a capital where it begins a line. */
export function title(name: string): string {
  const text = words(name);
  return text.charAt(0).toUpperCase() + text.slice(1);
}
