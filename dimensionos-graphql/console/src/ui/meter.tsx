import { NOT_MEASURED, percent } from "../format";

interface MeterProps {
  name: string;
  /** As it is read: `0.42 cores`; null where nobody measured. */
  used: string | null;
  /** What is allotted, as it is read; null where there is no limit. */
  of: string | null;
  /** From 0 to 100 and beyond; null where there is nothing to fill a bar with. */
  filled: number | null;
  more?: string | null;
}

/** One resource against what is allotted: a figure and a bar, which never change their place. */
export function Meter({ name, used, of, filled, more }: MeterProps) {
  const held = filled === null ? 0 : Math.min(100, Math.max(0, filled));
  const level = filled === null ? "none" : filled >= 100 ? "full" : filled >= 80 ? "near" : "fine";
  return (
    <div class="meter" data-level={level}>
      <p class="name">{name}</p>
      <p class="figure">
        {used === null ? <span class="unmeasured">{NOT_MEASURED}</span> : <strong>{used}</strong>}
        {of && <span class="of"> of {of}</span>}
      </p>
      {of === null ? (
        <div class="bar unlimited" />
      ) : (
        <div
          class="bar"
          role="meter"
          aria-label={name}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(held)}
          aria-valuetext={used === null ? NOT_MEASURED : filled === null ? used : `${used}, ${percent(filled)}`}
        >
          <svg width="100%" height="6" aria-hidden="true">
            <rect width={`${held}%`} height="6" rx="3" />
          </svg>
        </div>
      )}
      <p class="more">{more ?? (filled === null ? "\u00a0" : percent(filled))}</p>
    </div>
  );
}
