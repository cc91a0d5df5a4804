import { signal } from "@preact/signals";

/** The page that is shown, as the address says it behind its `#`. */
export const route = signal(read());

addEventListener("hashchange", () => {
  route.value = read();
  // A screen reader begins where the new page begins.
  requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
});

function read(): string {
  return location.hash.replace(/^#\/?/, "");
}

export function go(to: string): void {
  location.hash = `#/${to}`;
}
