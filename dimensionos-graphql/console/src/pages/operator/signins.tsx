import { ask } from "../../api/session";
import { fromNow } from "../../format";
import { graphql } from "../../gql";
import { Card, Empty, Refused, Waiting } from "../../ui/parts";
import { useReading } from "./reading";

const SignInFlags = graphql(`
  query SignInFlags {
    signInFlags { rule facts since }
  }
`);

/** Passwords that are being tried. They are held against no account. */
export function SignIns() {
  const { value, refusal } = useReading(async () => (await ask(SignInFlags, {})).signInFlags);
  return (
    <Card title="Passwords being tried" aside={<span class="quiet">since this server started</span>}>
      <Refused refusal={refusal} />
      {value === null && refusal === null && <Waiting lines={2} />}
      {value?.length === 0 && <Empty>Nobody has tried many.</Empty>}
      {value && value.length > 0 && (
        <ul class="list">
          {value.map(({ rule, facts, since }) => (
            <li key={`${rule} ${since}`}>
              {facts} <span class="quiet">{fromNow(since)}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
