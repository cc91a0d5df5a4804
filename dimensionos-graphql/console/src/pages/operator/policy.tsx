import { ask } from "../../api/session";
import { moment } from "../../format";
import { graphql, type PoliciesQuery, type PolicyMode } from "../../gql";
import { Card, Empty, Fact, Facts, Refused, Waiting } from "../../ui/parts";
import { ApplyPolicy } from "./apply";
import { Replay, Transparency } from "./checks";
import { Whose } from "./found";
import { Ladders } from "./ladders";
import { Listed } from "./listed";
import { useList, useReading } from "./reading";
import { title } from "./said";
import { SignIns } from "./signins";

const Policies = graphql(`
  query Policies {
    enforcementPolicies { version mode appliedAt policy }
  }
`);
const HitInShadow = graphql(`
  query HitInShadow($after: String) {
    violations(first: 20, after: $after, filter: { differingInShadow: true }) {
      pageInfo { hasNextPage endCursor }
      nodes { id accountId kind sanction detectedAt statement { facts rule } }
    }
  }
`);

export type PolicyRecord = PoliciesQuery["enforcementPolicies"][number];

/** By which policy the service decides, which is tried beside it, and whether decisions hold when looked at again. */
export function Policy() {
  const { value, refusal, again } = useReading(async () => (await ask(Policies, {})).enforcementPolicies);
  const { inForce, inShadow } = inUse(value ?? []);
  return (
    <>
      <h1 tabIndex={-1}>Policy</h1>
      <p class="lead">
        What follows from what is found. A policy is tried in shadow first: what it would decide is written down beside
        what is done.
      </p>
      <Refused refusal={refusal} />
      {value === null && refusal === null && <Waiting lines={8} />}
      {value && (
        <>
          <Used name="In force" of={inForce} none="No policy is in force yet: what is built in decides." />
          <Used name="In shadow" of={inShadow} beside={inForce} none="None is tried at present." />
          <ApplyPolicy newest={value.at(-1) ?? null} applied={again} />
          <Hit on={String(inShadow?.version)} />
          <Earlier all={value.filter((one) => one !== inForce && one !== inShadow)} />
        </>
      )}
      <Replay />
      <Transparency />
      <SignIns />
    </>
  );
}

/** The latest of each; one in shadow only where it is later than the one in force. */
function inUse(all: readonly PolicyRecord[]) {
  const latest = (wanted: PolicyMode) => all.filter(({ mode }) => mode === wanted).at(-1);
  const [inForce, inShadow] = [latest("IN_FORCE"), latest("SHADOW")];
  const isLater = inShadow && inShadow.version > (inForce?.version ?? 0);
  return { inForce, inShadow: isLater ? inShadow : undefined };
}

interface UsedProps {
  name: string;
  of: PolicyRecord | undefined;
  /** What it is held against. */
  beside?: PolicyRecord | undefined;
  none: string;
}

function Used({ name, of: record, beside, none }: UsedProps) {
  return (
    <Card title={name} aside={record && <span class="pill">version {record.version}</span>}>
      {record ? <Record record={record} beside={beside} /> : <Empty>{none}</Empty>}
    </Card>
  );
}

function Record({ record, beside }: { record: PolicyRecord; beside?: PolicyRecord | undefined }) {
  return (
    <>
      <Facts>
        <Fact name="Since">{moment(record.appliedAt)}</Fact>
      </Facts>
      <Ladders name={`version ${record.version}`} policy={record.policy} beside={beside?.policy} />
      <details>
        <summary>All of it, as JSON</summary>
        <pre tabIndex={0}>{indented(record.policy)}</pre>
      </details>
    </>
  );
}

function indented(json: string): string {
  return JSON.stringify(JSON.parse(json), null, 2);
}

function Earlier({ all }: { all: readonly PolicyRecord[] }) {
  if (all.length === 0) return null;
  return (
    <details class="card">
      <summary>Earlier ones</summary>
      {[...all].reverse().map((record) => (
        <section key={record.version} aria-label={`Version ${record.version}`}>
          <h3>
            Version {record.version}, {record.mode === "IN_FORCE" ? "was in force" : "was tried in shadow"}
          </h3>
          <Record record={record} />
        </section>
      ))}
    </details>
  );
}

function Hit({ on }: { on: string }) {
  const list = useList(async (after) => (await ask(HitInShadow, { after })).violations, on);
  return (
    <Card title="Whom one in shadow would have met otherwise">
      <Listed list={list} lines={3} empty="Nobody so far: it would have decided as was decided.">
        {(found) => (
          <>
            <p>
              <strong>{title(found.kind)}</strong> <span class="quiet">{moment(found.detectedAt)}</span>
            </p>
            <p>{found.statement.facts}</p>
            <p class="quiet">
              Decided: {title(found.sanction)}, by <code>{found.statement.rule}</code>
            </p>
            <Whose id={found.accountId} />
          </>
        )}
      </Listed>
    </Card>
  );
}
