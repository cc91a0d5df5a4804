import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { withProof } from "../api/proof";
import { Refusal } from "../api/refusal";
import { asHolder, ask, whenHolderChanges } from "../api/session";
import { graphql } from "../gql";
import { useAction } from "./action";
import { Field, Form, text } from "./parts";

/** A window over the page: closed by Escape, keeps the keyboard inside, and gives the focus back. */
export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const id = useId();
  const shown = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    shown.current?.showModal();
    // A window that is closed does this itself; one that is done with is only taken away.
    return () => {
      if (document.activeElement === document.body && before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={shown} aria-labelledby={id} onClose={close}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="plain" aria-label="Close" onClick={() => shown.current?.close()}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

const Reauthenticate = graphql(`
  mutation Reauthenticate($password: String!, $proof: ProofInput) {
    reauthenticate(password: $password, proof: $proof) { id }
  }
`);

/** Somebody who waits for the password. */
interface Waiting {
  checked: () => void;
  givenUp: (refusal: Refusal) => void;
}

const waiting = signal<Waiting | null>(null);

function giveUp(): void {
  const waited = waiting.value;
  waiting.value = null;
  waited?.givenUp(new Refusal("REAUTHENTICATION_REQUIRED", "no password was given"));
}

whenHolderChanges(giveUp);

/** Does what may ask for a password check of the last five minutes; where it does, asks for the password first. */
export async function confirmed<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "REAUTHENTICATION_REQUIRED") throw error;
    const stillHolder = asHolder();
    await new Promise<void>((checked, givenUp) => (waiting.value = { checked, givenUp }));
    stillHolder();
    return act();
  }
}

/** Checks the password of whoever is signed in. */
export async function checkPassword(password: string, tell: (note: string) => void): Promise<void> {
  await withProof((proof) => ask(Reauthenticate, { password, proof }), () => tell(WORKING));
}

/** Said while the page does the work that spares it waiting. */
export const WORKING = "There were wrong tries before. This browser is doing a little work, so that you need not wait.";

/** Stands on the page once, and shows itself when somebody waits for the password. */
export function PasswordCheck() {
  const action = useAction(async (tell, form: FormData) => {
    await checkPassword(text(form, "password"), tell);
    const waited = waiting.value;
    waiting.value = null;
    waited?.checked();
  });
  return (
    waiting.value && (
      <Dialog title="Your password, once more" close={giveUp}>
        <p>What changes how the account is opened asks for it, if it was not typed in the last five minutes.</p>
        <Form action={action} verb="Go on" whose="the account that is signed in">
          <Field label="Password" name="password" isSecret autocomplete="current-password" />
        </Form>
      </Dialog>
    )
  );
}
