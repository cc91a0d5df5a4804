import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { Refusal } from "../../api/refusal";

/** What was asked for: the newest answer, and how asking was refused last. */
export interface Reading<T> {
  value: T | null;
  refusal: Refusal | null;
  again: () => Promise<void>;
}

/** Asks when it is shown, when `on` changes, and so often where it says how often, as long as somebody looks. */
export function useReading<T>(read: () => Promise<T>, on = "", everyMs?: number): Reading<T> {
  const value = useSignal<T | null>(null);
  const refusal = useSignal<Refusal | null>(null);
  const newest = useNewest();
  const again = () =>
    newest(read, {
      answered: (answer) => {
        value.value = answer;
        refusal.value = null;
      },
      refused: (refused) => (refusal.value = refused),
    });
  useEffect(() => {
    void again();
    if (everyMs === undefined) return undefined;
    const looking = setInterval(() => document.visibilityState === "visible" && void again(), everyMs);
    return () => clearInterval(looking);
  }, [on]);
  return { value: value.value, refusal: refusal.value, again };
}

interface Page<N> {
  nodes: readonly N[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

/** A list that is read page by page. */
export interface List<N> {
  /** What was read so far; null until something was. */
  items: readonly N[] | null;
  refusal: Refusal | null;
  isBusy: boolean;
  /** Reads the next page; null where there is none. */
  more: (() => Promise<void>) | null;
  /** Puts one in the place of what it was, and first where it is new. */
  put: (item: N) => void;
  /** Reads it anew from its beginning. */
  again: () => Promise<void>;
}

/** Reads the first page when it is shown and when `on` changes. What was there before stays until the answer comes. */
export function useList<N extends { id: string }>(
  read: (after: string | null) => Promise<Page<N>>,
  on = "",
): List<N> {
  const items = useSignal<readonly N[] | null>(null);
  const after = useSignal<string | null>(null);
  const refusal = useSignal<Refusal | null>(null);
  const isBusy = useSignal(false);
  const newest = useNewest();
  const load = (cursor: string | null) => {
    isBusy.value = true;
    return newest(() => read(cursor), {
      answered: ({ nodes, pageInfo }) => {
        items.value = cursor === null ? nodes : [...(items.value ?? []), ...nodes];
        after.value = pageInfo.hasNextPage ? pageInfo.endCursor : null;
        refusal.value = null;
        isBusy.value = false;
      },
      refused: (refused) => {
        refusal.value = refused;
        isBusy.value = false;
      },
    });
  };
  useEffect(() => void load(null), [on]);
  const cursor = after.value;
  const put = (item: N) => {
    const known = items.value ?? [];
    const isKnown = known.some((one) => one.id === item.id);
    items.value = isKnown ? known.map((one) => (one.id === item.id ? item : one)) : [item, ...known];
  };
  return {
    items: items.value,
    refusal: refusal.value,
    isBusy: isBusy.value,
    more: cursor === null ? null : () => load(cursor),
    put,
    again: () => load(null),
  };
}

interface Told<T> {
  answered: (answer: T) => void;
  refused: (refusal: Refusal) => void;
}

/** Asks, and hears nothing of an answer that came after a later question, or after the page was left. */
function useNewest() {
  const asked = useRef(0);
  useEffect(() => () => void (asked.current += 1), []);
  return async <T>(read: () => Promise<T>, { answered, refused }: Told<T>): Promise<void> => {
    asked.current += 1;
    const mine = asked.current;
    try {
      const answer = await read();
      if (mine === asked.current) answered(answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (mine === asked.current) refused(error);
    }
  };
}
