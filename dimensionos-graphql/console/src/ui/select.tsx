import { useId } from "preact/hooks";

interface SelectProps<T extends string> {
  label: string;
  name: string;
  /** What may be chosen, and how each is called. */
  options: readonly (readonly [T, string])[];
  value?: T;
  chosen?: (value: T) => void;
}

/** A labelled choice of one among a few names. */
export function Select<T extends string>({ label, name, options, value, chosen }: SelectProps<T>) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} name={name} onChange={(event) => chosen?.(event.currentTarget.value as T)}>
        {options.map(([one, called]) => (
          <option key={one} value={one} selected={one === value}>
            {called}
          </option>
        ))}
      </select>
    </div>
  );
}
