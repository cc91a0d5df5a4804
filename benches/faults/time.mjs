// Waiting, and what is said about how long things took.

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until it is so; gives the milliseconds it took, or null where it was not so in time. */
export async function until(isSo, within, every = 50) {
  const begin = performance.now();
  for (;;) {
    if (await isSo()) return performance.now() - begin;
    if (performance.now() - begin > within) return null;
    await sleep(every);
  }
}

/** The value below which that part of them lies; none of none. */
export function quantile(values, part) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

/** Milliseconds as people read them. */
export function inWords(ms) {
  if (ms === undefined || ms === null || Number.isNaN(ms)) return "–";
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
