import { useSignal } from "@preact/signals";

import { ask } from "../../api/session";
import { moment } from "../../format";
import { type CreateAgentMutation, graphql } from "../../gql";
import { useAction } from "../../ui/action";
import { Card, Copy, Field, Form, text } from "../../ui/parts";
import { Listed } from "./listed";
import { useList } from "./reading";

const AgentsDocument = graphql(`
  query Agents($after: String) {
    agents(first: 50, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id name createdAt }
    }
  }
`);
const CreateAgent = graphql(`
  mutation CreateAgent($name: String!) {
    createAgent(name: $name) { id name token }
  }
`);

type Created = CreateAgentMutation["createAgent"];

/** What may report usage, and a new one. */
export function Agents() {
  const list = useList(async (after) => (await ask(AgentsDocument, { after })).agents);
  const created = useSignal<Created | null>(null);
  const creating = useAction(async (_, form: FormData) => {
    created.value = (await ask(CreateAgent, { name: text(form, "name").trim() })).createAgent;
    await list.again();
  });
  return (
    <>
      <h1 tabIndex={-1}>Agents</h1>
      <p class="lead">
        An agent reports what accounts use, and asks for their quotas. It sees nothing else of an account than that.
      </p>
      <div aria-live="polite">{created.value && <Token of={created.value} done={() => (created.value = null)} />}</div>
      <Card title="A new one">
        <Form key={created.value?.id} action={creating} verb="Create it" class="inline">
          <Field
            label="Name"
            name="name"
            autocomplete="off"
            hint="1 to 64 letters, digits, dots, hyphens and underscores; no two are called the same."
          />
        </Form>
      </Card>
      <Card title="All, newest first">
        <Listed list={list} class="agents" empty="There is none yet, so nobody measures anything.">
          {({ id, name, createdAt }) => (
            <>
              <strong>{name}</strong>
              <code class="quiet">{id}</code>
              <span class="quiet">created {moment(createdAt)}</span>
            </>
          )}
        </Listed>
      </Card>
    </>
  );
}

function Token({ of: { name, token }, done }: { of: Created; done: () => void }) {
  return (
    <Card title={`The token of ${name}. It is shown this once.`} class="once">
      <p class="secret">{token}</p>
      <p>Put it where the agent runs. The server keeps only its digest, and cannot show it again.</p>
      <pre tabIndex={0}>
        DIMENSIONOS_AGENT_TOKEN=… dimensionos-agent --server {location.origin} --account ACCOUNT --host
      </pre>
      <div class="row">
        <Copy what={token} label="Copy the token" />
        <button type="button" class="main" onClick={done}>
          I have kept it
        </button>
      </div>
    </Card>
  );
}
