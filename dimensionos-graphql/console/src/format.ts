/** Figures as people read them. What nobody measured is said so, never 0. */

export const NOT_MEASURED = "not measured";

/** At most three digits that count. */
export function figure(value: number, digits = 3): string {
  const fraction = Math.max(0, digits - 1 - Math.max(0, Math.floor(Math.log10(Math.abs(value) || 1))));
  return value.toLocaleString("en", { maximumFractionDigits: Math.min(fraction, digits - 1) });
}

/** A whole number, in groups of three. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in steps of a thousand, as storage and networks are counted. */
export function bytes(value: number): string {
  let step = 0;
  for (; value >= 1000 && step < DECIMAL.length - 1; step += 1) value /= 1000;
  return `${figure(value)} ${DECIMAL[step]}`;
}

/** Memory: MB of 1,048,576 bytes, and GB of 1,024 of them. */
export function memory(megabytes: number): string {
  return megabytes >= 1024 ? `${figure(megabytes / 1024)} GB` : `${figure(megabytes)} MB`;
}

export function gigabytes(value: number): string {
  return value < 1000 ? bytes(value * 1e9) : `${figure(value / 1000)} TB`;
}

const BITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];

export function bitsPerSecond(value: number): string {
  let step = 0;
  for (; value >= 1000 && step < BITS.length - 1; step += 1) value /= 1000;
  return `${figure(value)} ${BITS[step]}`;
}

export function percent(value: number): string {
  return `${figure(value)} %`;
}

export function cents(value: number): string {
  const dollars = (value / 100).toLocaleString("en", { style: "currency", currency: "USD" });
  return value === 0 ? "free" : `${dollars.replace(/\.00$/, "")} a month`;
}

/** A stretch of time, in the largest unit that it is whole in. */
export function span(seconds: number): string {
  const units: [number, string][] = [[86_400, "day"], [3600, "hour"], [60, "minute"]];
  const [size, unit] = units.find(([size]) => seconds >= size && seconds % size === 0) ?? [1, "s"];
  const many = seconds / size;
  return unit === "s" ? `${figure(many)} s` : `${count(many)} ${unit}${many === 1 ? "" : "s"}`;
}

export function cores(value: number): string {
  return `${figure(value)} ${value === 1 ? "core" : "cores"}`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function day(instant: string | number): string {
  return DAY.format(new Date(instant));
}

export function moment(instant: string | number): string {
  return MOMENT.format(new Date(instant));
}

/** `in 3 days`, `2 hours ago`. */
export function fromNow(instant: string, now = Date.now()): string {
  const seconds = (Date.parse(instant) - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 90) return AGO.format(Math.round(seconds), "second");
  if (size < 5400) return AGO.format(Math.round(seconds / 60), "minute");
  if (size < 129_600) return AGO.format(Math.round(seconds / 3600), "hour");
  return AGO.format(Math.round(seconds / 86_400), "day");
}
