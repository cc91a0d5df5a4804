import type { ComponentChildren } from "preact";

import { Empty, Refused, Waiting } from "../../ui/parts";
import type { List } from "./reading";

interface ListedProps<N> {
  list: List<N>;
  /** What is said where there is none. */
  empty: ComponentChildren;
  children: (item: N) => ComponentChildren;
  lines?: number;
  class?: string;
}

/** A list as far as it was read, with a way on. A page may have nothing on it and lead on all the same. */
export function Listed<N extends { id: string }>({ list, empty, children, lines = 6, class: kind }: ListedProps<N>) {
  const { items, refusal, isBusy, more } = list;
  return (
    <>
      <Refused refusal={refusal} />
      {items === null && refusal === null && <Waiting lines={lines} />}
      {items?.length === 0 && !more && <Empty>{empty}</Empty>}
      {items && items.length > 0 && (
        <ul class={`rows ${kind ?? ""}`} aria-busy={isBusy}>
          {items.map((item) => (
            <li key={item.id}>{children(item)}</li>
          ))}
        </ul>
      )}
      {items && (more || items.length > 0) && (
        <div class="row">
          {more && (
            <button type="button" disabled={isBusy} onClick={() => void more()}>
              {isBusy ? "One moment…" : "More"}
            </button>
          )}
          <span class="quiet" role="status">
            {howMany(items.length, more !== null)}
          </span>
        </div>
      )}
    </>
  );
}

/** How many there are, as far as that is known. */
function howMany(known: number, isMore: boolean): string {
  if (!isMore) return `${known} in all`;
  return known === 0 ? "None among those looked at so far; there are more to look at." : `${known} shown so far`;
}
