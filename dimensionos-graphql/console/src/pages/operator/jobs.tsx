import { ask } from "../../api/session";
import { count, fromNow, moment, span } from "../../format";
import { graphql, type JobName, type JobsQuery } from "../../gql";
import { Card, Fact, Facts, Refused, Waiting } from "../../ui/parts";
import { useReading } from "./reading";
import { title } from "./said";

const JobsDocument = graphql(`
  query Jobs {
    jobs {
      name
      intervalSeconds
      lastRun { startedAt endedAt outcome fault done }
      lastSuccessAt
    }
  }
`);

type Job = JobsQuery["jobs"][number];

const LOOK_AGAIN_MS = 10_000;

const WHAT: Record<JobName, string> = {
  PURGE: "removes what has run out: sessions, quotas, findings, usage past its time",
  LIFECYCLE: "tells what time did to accounts, and erases those whose time has come",
};

/** What the service does by itself, and how that went. */
export function Jobs() {
  const { value, refusal } = useReading(async () => (await ask(JobsDocument, {})).jobs, "", LOOK_AGAIN_MS);
  return (
    <>
      <div class="row spread">
        <h1 tabIndex={-1}>Jobs</h1>
        <p class="quiet">looked at every ten seconds</p>
      </div>
      <p class="lead">What the service does by itself. One of its servers does each, and the others let it.</p>
      <Refused refusal={refusal} />
      {value === null && refusal === null && <Waiting lines={6} />}
      {value?.map((job) => <OneJob key={job.name} job={job} />)}
    </>
  );
}

function OneJob({ job: { name, intervalSeconds, lastRun, lastSuccessAt } }: { job: Job }) {
  const hasFailed = lastRun?.outcome === "FAILED";
  return (
    <Card
      title={title(name)}
      aside={
        <span class="pill" data-outcome={lastRun?.outcome ?? "NONE"}>
          {lastRun ? (hasFailed ? "failed" : "went well") : "never ran"}
        </span>
      }
    >
      <p class="quiet">{WHAT[name]}</p>
      <Facts>
        <Fact name="How often">every {span(intervalSeconds)}</Fact>
        <Fact name="Last run">{lastRun ? `${fromNow(lastRun.startedAt)}, for ${took(lastRun)}` : "none yet"}</Fact>
        <Fact name="Did">{lastRun?.done == null ? "nothing known" : `${count(lastRun.done)} things`}</Fact>
        <Fact name="Last went well">{lastSuccessAt ? moment(lastSuccessAt) : "never"}</Fact>
        {lastRun?.fault && (
          <Fact name="Fault">
            <code>{lastRun.fault}</code>; it is tried again at its next turn
          </Fact>
        )}
      </Facts>
    </Card>
  );
}

function took({ startedAt, endedAt }: NonNullable<Job["lastRun"]>): string {
  return `${count(Date.parse(endedAt) - Date.parse(startedAt))} ms`;
}
