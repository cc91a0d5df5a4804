// What somebody writes who uses the generated types; the compiler has to take it, and to refuse what is marked.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";

import * as api from "../generated/codegen/operations.js";
import type * as schema from "../generated/codegen/schema.js";

type Result<Document> = Document extends TypedDocumentNode<infer Data, infer _> ? Data : never;
type Variables<Document> = Document extends TypedDocumentNode<infer _, infer Given> ? Given : never;

export const byEmail: Variables<typeof api.LoginDocument> = {
  input: { identity: { email: "ada@example.org" }, password: "violet harbour kestrel 41" },
};
export const byNumber: api.IdentityInput = { accountNumber: "AAAAA" };
export const tiers: readonly schema.TierName[] = ["FREE", "STARTER", "PRO", "ENTERPRISE"];
export const bare: Pick<schema.Allocation, "tier" | "trialDays"> = { tier: "FREE", trialDays: 30 };
// @ts-expect-error: whoever signs in is named in one way.
export const both: api.IdentityInput = { email: "ada@example.org", accountNumber: "AAAAA" };
// @ts-expect-error: a report has a sequence.
export const unordered: api.UsageReportInput = { samples: [] };
export const anonymous: api.RegisterInput = { password: "violet harbour kestrel 41" };

export function headline({ me }: Result<typeof api.MeDocument>): string {
  const used: number | null | undefined = me.metrics.ram.megabytesUsed;
  // @ts-expect-error: a reading that nobody has reported is null.
  const certain: number = me.metrics.ram.megabytesUsed;
  const days: number | undefined = me.trial?.daysLeft;
  const at: string = me.metrics.at;
  return [me.id, me.tier, used ?? certain, days, at].join(" ");
}

export function told({ accountEvents: event }: Result<typeof api.EventsDocument>): string {
  switch (event.__typename) {
    case "StatusChanged":
      return `${event.to}: ${event.reason}`;
    case "QuotaCrossed":
      return `${event.resource} ${event.above}`;
    case "ViolationRaised":
      return event.violation.id;
    case "StepAhead":
      return `${event.step} in ${event.daysBefore} days`;
  }
}

export function isCurrent({ node }: Result<typeof api.NodeDocument>): boolean {
  return node?.__typename === "Session" && node.current;
}
