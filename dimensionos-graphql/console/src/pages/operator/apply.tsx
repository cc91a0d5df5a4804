import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";

import { Refusal } from "../../api/refusal";
import { ask } from "../../api/session";
import { graphql, type PolicyMode } from "../../gql";
import { useAction } from "../../ui/action";
import { Form, text } from "../../ui/parts";
import type { PolicyRecord } from "./policy";
import { Sure } from "./sure";

const ApplyEnforcementPolicy = graphql(`
  mutation ApplyEnforcementPolicy($policy: String!, $mode: PolicyMode!) {
    applyEnforcementPolicy(policy: $policy, mode: $mode) { version }
  }
`);

const MODES: Record<PolicyMode, { name: string; effect: string }> = {
  SHADOW: {
    name: "In shadow: what it would decide is written down",
    effect: "Nothing is done by it. From the next finding on, what it would decide stands beside what is done.",
  },
  IN_FORCE: {
    name: "In force: what it decides is done",
    effect: "It decides from the next finding on, in every server. What was decided before stays as it is.",
  },
};

interface Chosen {
  policy: string;
  mode: PolicyMode;
}

/** Puts a policy to use, from text. */
export function ApplyPolicy({ newest, applied }: { newest: PolicyRecord | null; applied: () => Promise<void> }) {
  const id = useId();
  const written = useSignal("");
  const asked = useSignal<Chosen | null>(null);
  const done = useSignal<string | null>(null);
  const choosing = useAction(async (_, form: FormData) => {
    done.value = null;
    const chosen = { policy: written.value, mode: text(form, "mode") as PolicyMode };
    // What is no JSON is said before anybody is asked whether they are sure.
    if (versionOf(chosen.policy) === null) throw new Refusal("INVALID_INPUT", "a policy is JSON, with its version");
    asked.value = chosen;
  });
  const applying = useAction(async () => {
    if (!asked.value) return;
    const { applyEnforcementPolicy } = await ask(ApplyEnforcementPolicy, asked.value);
    asked.value = null;
    written.value = "";
    done.value = `Version ${applyEnforcementPolicy.version} is in use.`;
    await applied();
  });
  return (
    <details class="card">
      <summary>Put another to use</summary>
      <Form action={choosing} verb="Put it to use…">
        <div class="field">
          <label for={id}>The policy, as JSON</label>
          <textarea
            id={id}
            class="code"
            rows={14}
            required
            spellcheck={false}
            value={written.value}
            onInput={(event) => (written.value = event.currentTarget.value)}
            aria-describedby={`${id}-hint`}
          />
          <p id={`${id}-hint`} class="hint">
            All of it. Its version is the next one{newest && `, ${newest.version + 1}`}.
          </p>
        </div>
        {newest && (
          <div class="row">
            <button type="button" onClick={() => (written.value = next(newest))}>
              Begin with version {newest.version}
            </button>
          </div>
        )}
        <fieldset class="choice">
          <legend>How</legend>
          {Object.entries(MODES).map(([mode, { name }]) => (
            <label key={mode}>
              <input type="radio" name="mode" value={mode} defaultChecked={mode === "SHADOW"} />
              {name}
            </label>
          ))}
        </fieldset>
      </Form>
      <p role="status">{done.value}</p>
      {asked.value && (
        <Sure
          title={asked.value.mode === "SHADOW" ? "Try it in shadow?" : "Put it in force?"}
          verb={asked.value.mode === "SHADOW" ? "Try it" : "Put it in force"}
          action={applying}
          close={() => (asked.value = null)}
          isGrave={asked.value.mode === "IN_FORCE"}
        >
          <p>
            Version {versionOf(asked.value.policy)}. {MODES[asked.value.mode].effect} A version stays in the list for
            ever.
          </p>
        </Sure>
      )}
    </details>
  );
}

/** The same with the next version, to change and put to use. */
function next({ version, policy }: PolicyRecord): string {
  return JSON.stringify({ ...(JSON.parse(policy) as object), version: version + 1 }, null, 2);
}

function versionOf(json: string): number | null {
  try {
    const read: unknown = JSON.parse(json);
    const version = typeof read === "object" && read !== null && "version" in read ? read.version : null;
    return typeof version === "number" ? version : null;
  } catch {
    return null;
  }
}
