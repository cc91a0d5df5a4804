import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";

import { inWords, type Refusal } from "../api/refusal";
import type { Action } from "./action";

/** What was refused, in words, with its code for whoever is asked for help. */
export function Refused({ refusal, isPasswordAlone }: { refusal: Refusal | null; isPasswordAlone?: boolean }) {
  const isWrongPassword = isPasswordAlone && refusal?.code === "INVALID_CREDENTIALS";
  return (
    <div aria-live="polite">
      {refusal && (
        <p class="notice bad">
          {isWrongPassword ? "That is not the password." : inWords(refusal)} <code>{refusal.code}</code>
        </p>
      )}
    </div>
  );
}

interface FieldProps {
  label: string;
  name: string;
  hint?: ComponentChildren;
  isSecret?: boolean;
  autocomplete?: string;
  required?: boolean;
  rows?: number;
  value?: string;
  spellcheck?: boolean;
  minlength?: number;
}

/** A labelled input. What was typed is read from the form when it is sent, and kept nowhere else. */
export function Field({ label, hint, isSecret, required = true, rows, ...rest }: FieldProps) {
  const id = useId();
  const described = hint ? { "aria-describedby": `${id}-hint` } : {};
  const shared = { id, required, spellcheck: false, autocapitalize: "none" as const, ...described, ...rest };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {rows && <textarea rows={rows} {...shared} />}
      {!rows && (isSecret ? <input type="password" {...shared} /> : <input type="text" {...shared} />)}
      {hint && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
    </div>
  );
}

interface FormProps {
  action: Action<[FormData]>;
  verb: string;
  children?: ComponentChildren;
  /** For what cannot be taken back. */
  isGrave?: boolean;
  /** Whose password it asks for, where it has no field for that: password keepers look for one. */
  whose?: string | undefined;
  class?: string;
}

/** A form with one button. The text of its fields goes to the action. */
export function Form({ action, verb, children, isGrave, whose, ...rest }: FormProps) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void action.run(new FormData(event.currentTarget as HTMLFormElement));
  };
  return (
    <form onSubmit={submit} aria-busy={action.isBusy} {...rest}>
      {whose && <input type="text" hidden readOnly value={whose} autocomplete="username" />}
      {children}
      <div class="row">
        <button type="submit" class={isGrave ? "grave" : "main"} disabled={action.isBusy}>
          {action.isBusy ? "One moment…" : verb}
        </button>
        <span role="status" class="quiet">
          {action.note}
        </span>
      </div>
      <Refused refusal={action.refusal} isPasswordAlone={whose !== undefined} />
    </form>
  );
}

/** The text of a field of a form that was sent. */
export function text(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}

/** A button for one thing that needs no form. */
export function Button({ action, children, ...rest }: {
  action: Action<[]>;
  children: ComponentChildren;
  class?: string;
  "aria-label"?: string;
}) {
  return (
    <button type="button" disabled={action.isBusy} onClick={() => void action.run()} {...rest}>
      {children}
    </button>
  );
}

interface CardProps {
  title: string;
  children: ComponentChildren;
  aside?: ComponentChildren;
  class?: string;
}

export function Card({ title, children, aside, class: more }: CardProps) {
  const id = useId();
  return (
    <section class={more ? `card ${more}` : "card"} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** Nothing to show, and why that is no fault. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** Holds the place of what is on its way, so that nothing jumps when it comes. */
export function Waiting({ lines = 3 }: { lines?: number }) {
  return (
    <div class="waiting" role="status">
      <span class="unseen">Loading</span>
      {Array.from({ length: lines }, (_, line) => (
        <i key={line} aria-hidden="true" />
      ))}
    </div>
  );
}

/** A name and what it is, one below the other. */
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Copies a text, and says that it did. */
export function Copy({ what, label = "Copy" }: { what: string; label?: string }) {
  const said = useRef<HTMLSpanElement>(null);
  const copy = async () => {
    await navigator.clipboard.writeText(what);
    if (said.current) said.current.textContent = "Copied";
  };
  return (
    <span class="row">
      <button type="button" onClick={() => void copy()}>
        {label}
      </button>
      <span ref={said} role="status" class="quiet" />
    </span>
  );
}
