import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface InputProps {
  label: string;
  name: string;
  hint?: ComponentChildren;
}

interface Shared {
  id: string;
  name: string;
  required: boolean;
  "aria-describedby"?: string;
}

function useShared({ name, hint }: InputProps): Shared {
  const id = useId();
  return { id, name, required: true, ...(hint !== undefined && { "aria-describedby": `${id}-hint` }) };
}

function Labelled({ label, hint, id, children }: InputProps & { id: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint !== undefined && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
    </div>
  );
}

/** A number that is not negative. */
export function NumberField(props: InputProps) {
  const shared = useShared(props);
  return (
    <Labelled {...props} id={shared.id}>
      <input type="number" min="0" step="any" inputMode="decimal" {...shared} />
    </Labelled>
  );
}

/** A day. It begins at midnight where the page is read. */
export function DayField(props: InputProps & { min?: string; max?: string; start?: string }) {
  const { min, max, start } = props;
  const shared = useShared(props);
  return (
    <Labelled {...props} id={shared.id}>
      <input
        type="date"
        {...shared}
        {...(min !== undefined && { min })}
        {...(max !== undefined && { max })}
        {...(start !== undefined && { defaultValue: start })}
      />
    </Labelled>
  );
}

/** A file of whoever reads the page. It is read here, and goes nowhere. */
export function FileField(props: InputProps & { chosen?: (file: File | null) => void }) {
  const shared = useShared(props);
  return (
    <Labelled {...props} id={shared.id}>
      <input type="file" {...shared} onChange={(event) => props.chosen?.(event.currentTarget.files?.[0] ?? null)} />
    </Labelled>
  );
}

/** The beginning of a day that was typed, as the server takes an instant. */
export function instantOf(day: string): string {
  return new Date(`${day}T00:00`).toISOString();
}

/** The day so many days from now, as a field takes it. */
export function dayFromNow(days: number): string {
  const day = new Date();
  day.setDate(day.getDate() + days);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}
