import { signal } from "@preact/signals";

import type { Metrics } from "./live";

/** What is drawn live. */
export type Line = "cores" | "megabytes" | "sentPerSecond" | "receivedPerSecond" | "queries";

/** Seconds that the page keeps. */
export const WINDOW_SECONDS = 15 * 60;
/** Seconds without a reading after which a line is broken, as nobody knows what was between. */
const GAP_SECONDS = 15;
/** Readings that are kept at most: one each second, and the breaks between them. */
const MAX_POINTS = 2 * WINDOW_SECONDS;

type Point = { at: number } & Record<Line, number | null>;

/** The readings of the last quarter of an hour, oldest first. A break is a point of nothing. */
export class Series {
  /** Counts up with each change, for who draws it. */
  readonly version = signal(0);
  private points: Point[] = [];
  /** When the page stopped looking, by its own clock; null while it looks. */
  private awaySince: number | null = null;
  /** The shortest time that a reading took from the one clock to the other: how far they are apart, and no less. */
  private lag = Number.POSITIVE_INFINITY;
  private counted: { at: number; sent: number | null; received: number | null } | null = null;

  add(metrics: Metrics): void {
    const at = Date.parse(metrics.at) / 1000;
    const last = this.points.at(-1);
    if (last && at <= last.at) return;
    this.lag = Math.min(this.lag, Date.now() / 1000 - at);
    // The first that comes after a break may still be of before it.
    const isBack = this.awaySince !== null && at + this.lag >= this.awaySince;
    if (last && (isBack || at - last.at > GAP_SECONDS)) {
      this.points.push(nothing((last.at + at) / 2));
      this.counted = null;
    }
    if (isBack) this.awaySince = null;
    const { bytesSent: sent, bytesReceived: received } = metrics.network;
    const seconds = this.counted ? at - this.counted.at : 0;
    this.points.push({
      at,
      cores: metrics.cpu.coresUsed,
      megabytes: metrics.ram.megabytesUsed,
      sentPerSecond: rate(this.counted?.sent, sent, seconds),
      receivedPerSecond: rate(this.counted?.received, received, seconds),
      queries: metrics.database.queriesPerSecond,
    });
    this.counted = { at, sent, received };
    const oldest = at - WINDOW_SECONDS;
    const kept = this.points.findIndex((point) => point.at >= oldest);
    this.points = this.points.slice(Math.max(kept, this.points.length - MAX_POINTS));
    this.version.value += 1;
  }

  /** What comes next is not drawn on from what came last: between them nobody looked. */
  interrupt(): void {
    this.awaySince ??= Date.now() / 1000;
  }

  clear(): void {
    this.points = [];
    this.counted = null;
    this.awaySince = null;
    this.version.value += 1;
  }

  /** Times and the values of some lines, as a chart takes them. */
  columns(lines: readonly Line[]): [number[], ...(number | null)[][]] {
    const times = this.points.map((point) => point.at);
    return [times, ...lines.map((line) => this.points.map((point) => point[line]))];
  }

  newest(line: Line): number | null {
    return this.points.at(-1)?.[line] ?? null;
  }
}

function nothing(at: number): Point {
  return { at, cores: null, megabytes: null, sentPerSecond: null, receivedPerSecond: null, queries: null };
}

/** What was added each second; null before there is something to compare with, and where a month begins anew. */
function rate(before: number | null | undefined, now: number | null, seconds: number): number | null {
  if (before == null || now == null || seconds <= 0 || now < before) return null;
  return (now - before) / seconds;
}
