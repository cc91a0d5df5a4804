import { ask } from "../../api/session";
import { graphql } from "../../gql";
import { FileComplaint } from "./filing";
import { Found } from "./found";
import { Listed } from "./listed";
import { useList } from "./reading";

const ComplaintsDocument = graphql(`
  query Complaints($after: String) {
    violations(first: 20, after: $after, filter: { kind: COPYRIGHT }) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Found }
    }
  }
`);

/** Complaints of copyright: their dates, and what comes next of each. */
export function Complaints() {
  const list = useList(async (after) => (await ask(ComplaintsDocument, { after })).violations);
  return (
    <>
      <h1 tabIndex={-1}>Complaints</h1>
      <p class="lead">
        Complaints of copyright, by dates and digests alone. The papers are kept elsewhere; what stands here says which
        ones they are.
      </p>
      <FileComplaint filed={list.put} />
      <Listed list={list} class="cards" empty="Nobody has complained.">
        {(found) => <Found found={found} changed={list.put} />}
      </Listed>
    </>
  );
}
