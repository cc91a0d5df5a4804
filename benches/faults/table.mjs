// The rows that stand in RELIABILITY.md.
import { longest, quantiles } from "./play.mjs";
import { inWords } from "./time.mjs";

const HEAD = [
  "what happens",
  "refused meanwhile",
  "longest without an acknowledged report: by any replica / by each where all goes on / by each",
  "longest until a live value: where all goes on / everywhere",
  "last accepted after a suspension",
  "its stream ended after",
  "acknowledged",
  "lost",
  "doubled",
  "given of limit",
  "all as before after",
  "",
];

export function head() {
  return `${line(HEAD)}\n${line(HEAD.map(() => "---"))}`;
}

export function row(seen) {
  const cells = [
    seen.title + (seen.note ? `: ${seen.note}` : ""),
    seen.refused + (seen.ownExits ? `; replicas that ended by themselves: ${seen.ownExits}` : ""),
    several(seen.gapTogether, seen.gapOfWorking, seen.gap),
    several(seen.liveOfWorking, seen.live),
    seen.accepted.length ? inWords(longest(seen.accepted)) : "–",
    seen.streams.length ? inWords(longest(seen.streams)) : "–",
    seen.reports.toLocaleString("en"),
    seen.lost,
    seen.doubled,
    `${seen.given} of ${seen.limit}`,
    seen.recovery === null ? "never" : inWords(seen.recovery),
    seen.faults.length ? `**${seen.faults.join("; ")}**` : "as it should",
  ];
  return line(cells);
}

/** What the times of a case were, where nothing happened: how fast replicas tell one another. */
export function times(seen) {
  const one = (name, values) => {
    if (!values.length) return "";
    const { p50, p99, longest: most } = quantiles(values);
    return `${name}: ${values.length} times, p50 ${inWords(p50)}, p99 ${inWords(p99)}, longest ${inWords(most)}`;
  };
  const lines = [
    one("a live value, from the report to another replica until it was there", seen.across),
    one("the last operation that another replica accepted, after a suspension was answered", seen.elsewhere.accepted),
    one("the end of another replica's stream of the account, after that", seen.elsewhere.streams),
    `all acknowledged was shown by every replica within ${inWords(seen.shownAfter)}`,
  ];
  return lines
    .filter(Boolean)
    .map((text) => `- ${text}`)
    .join("\n");
}

const several = (...times) => times.map(inWords).join(" / ");
const line = (cells) => `| ${cells.join(" | ")} |`;
