import { useSignal } from "@preact/signals";

import { Refusal } from "../api/refusal";

/** Something that is done at the press of a button: whether it is under way, and how it was refused. */
export interface Action<A extends unknown[]> {
  run: (...given: A) => Promise<void>;
  isBusy: boolean;
  refusal: Refusal | null;
  /** What is said meanwhile, where it takes longer, and what is said in the end. */
  note: string | null;
}

/** Runs one at a time; what fails without being a refusal is a fault of the page, and is not swallowed. */
export function useAction<A extends unknown[]>(
  act: (tell: (note: string) => void, ...given: A) => Promise<string | void>,
): Action<A> {
  const isBusy = useSignal(false);
  const refusal = useSignal<Refusal | null>(null);
  const note = useSignal<string | null>(null);
  const run = async (...given: A) => {
    if (isBusy.value) return;
    isBusy.value = true;
    refusal.value = note.value = null;
    try {
      note.value = (await act((said) => (note.value = said), ...given)) ?? null;
    } catch (error) {
      note.value = null;
      if (!(error instanceof Refusal)) throw error;
      refusal.value = error;
    } finally {
      isBusy.value = false;
    }
  };
  return { run, isBusy: isBusy.value, refusal: refusal.value, note: note.value };
}
