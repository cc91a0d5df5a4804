import type { ComponentChildren } from "preact";

import { words } from "../api/refusal";
import { figure, fromNow, moment, span } from "../format";
import { graphql, type ReasonsFragment } from "../gql";
import { Fact, Facts } from "./parts";

graphql(`
  fragment Reasons on Violation {
    sanction
    detectedAt
    statement {
      rule facts signal observed limit windowSeconds since automated expiresAt counterfactual redress
      supporting { signal observed limit }
    }
  }
`);

/** Why something was found, by which figures, and what follows. */
export function Reasons({ of: found, children }: { of: ReasonsFragment; children?: ComponentChildren }) {
  const { statement } = found;
  return (
    <>
      <p>{statement.facts}</p>
      <Facts>
        <Fact name="Found">{moment(found.detectedAt)}</Fact>
        <Fact name="Measured">
          {statement.signal}: {figure(statement.observed)}, where {figure(statement.limit)} is the limit, over{" "}
          {span(statement.windowSeconds)}
        </Fact>
        <Fact name="What follows">{words(found.sanction)}</Fact>
        {statement.expiresAt && <Fact name="Ends by itself">{fromNow(statement.expiresAt)}</Fact>}
        <Fact name="Decided">{statement.automated ? "by a rule, without a person" : "by a person"}</Fact>
        <Fact name="Rule">
          <code>{statement.rule}</code>
        </Fact>
        {statement.supporting.map(({ signal, observed, limit }) => (
          <Fact key={signal} name={`And ${signal}`}>
            {figure(observed)}, limit {figure(limit)}
          </Fact>
        ))}
        {children}
      </Facts>
      <p>
        <strong>What would have kept it away: </strong>
        {statement.counterfactual}
      </p>
      <p>
        <strong>What to do: </strong>
        {statement.redress}
      </p>
    </>
  );
}
