import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { NOT_MEASURED } from "../format";

export interface Curve {
  name: string;
  /** The name of a colour of the style sheet: `accent` or `second`. */
  colour: "accent" | "second";
}

export type Columns = [number[], ...(number | null)[][]];

interface ChartProps {
  /** What it shows, for those who cannot see it. */
  summary: string;
  columns: Columns;
  curves: Curve[];
  /** A value of the upright axis, as it is read. */
  format: (value: number) => string;
  /** The stretch of time that is shown, in seconds since 1970; as long as the values where left out. */
  between?: [number, number];
  height?: number;
  /** Called with a stretch that was chosen by dragging. */
  chosen?: (from: number, to: number) => void;
  /** Whether values are told in steps of 1,024, as memory is: the axis takes powers of two. */
  isBinary?: boolean;
}

/** Keeps a line's height where it says nothing. */
const NOTHING = "\u00a0";
const POWERS_OF_TWO = Array.from({ length: 64 }, (_, power) => 2 ** (power - 8));
/** Seconds from which on an axis tells days, and months. */
const DAY = 24 * 3600;
const MONTH = 28 * DAY;
const DARK = "(prefers-color-scheme: dark)";

/** Lines over time. A value that nobody measured breaks the line, and nothing is drawn across. */
export function Chart({ summary, columns, curves, format, between, height = 160, chosen, isBinary = false }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const underPointer = useRef<HTMLElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef({ columns, between, chosen });
  newest.current = { columns, between, chosen };

  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const build = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        options(element, {
          curves,
          format,
          height,
          isBinary,
          newest: () => newest.current,
          tell: (said) => underPointer.current && (underPointer.current.textContent = said),
        }),
        newest.current.columns,
        element,
      );
    };
    build();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    const scheme = matchMedia(DARK);
    scheme.addEventListener("change", build);
    return () => {
      scheme.removeEventListener("change", build);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
    // A chart is built anew where it shows something else, and only given other values where they change.
  }, [curves.map((curve) => curve.name).join(), format, height, isBinary]);

  useEffect(() => plot.current?.setData(columns), [columns, between?.[0], between?.[1]]);

  return (
    <figure class="chart">
      {columns.slice(1).every((values) => values.every((value) => value === null)) && (
        <p class="unmeasured" aria-hidden="true">
          {NOT_MEASURED}
        </p>
      )}
      <div ref={place} role="img" aria-label={summary} data-height={height} />
      <figcaption ref={underPointer} aria-hidden="true">
        {NOTHING}
      </figcaption>
    </figure>
  );
}

interface Shown {
  curves: Curve[];
  format: (value: number) => string;
  height: number;
  isBinary: boolean;
  /** Says what is under the pointer, in a line that always has its place. */
  tell: (said: string) => void;
  newest: () => { between?: [number, number] | undefined; chosen?: ((from: number, to: number) => void) | undefined };
}

function options(element: HTMLElement, shown: Shown): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour("quiet"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
    font: `12px ${style.fontFamily}`,
  };
  const { format, newest } = shown;
  return {
    width: element.clientWidth || 320,
    height: shown.height,
    legend: { show: false },
    cursor: { drag: { x: newest().chosen !== undefined, y: false, setScale: false }, y: false },
    select: { show: newest().chosen !== undefined, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { range: (_, from, to) => newest().between ?? [from ?? 0, to ?? 1] },
      y: { range: (_, __, to) => [0, to > 0 ? to * 1.1 : 1] },
    },
    axes: [
      { ...axis, space: 90, size: 28, values: (_, times, __, ___, step) => times.map((at) => clock(at, step)) },
      {
        ...axis,
        size: 72,
        space: 34,
        values: (_, values) => values.map(format),
        ...(shown.isBinary && { incrs: POWERS_OF_TWO }),
      },
    ],
    series: [
      {},
      ...shown.curves.map((curve) => ({
        label: curve.name,
        stroke: colour(curve.colour),
        width: 1.5,
        // A reading with none beside it is no line.
        points: { show: true, size: 4, filter: alone },
        spanGaps: false,
        ...(curve.colour === "accent" && { fill: colour("accent-soft") }),
      })),
    ],
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          newest().chosen?.(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      setCursor: [(plot) => shown.tell(underPointer(plot, shown))],
    },
  };
}

/** A time as the axis has room for it: the day where days are apart, or where one begins. */
function clock(at: number, step: number): string {
  const time = new Date(at * 1000);
  if (step >= MONTH) return time.toLocaleDateString("en-GB", { month: "short", year: "numeric" });
  const isMidnight = time.getHours() === 0 && time.getMinutes() === 0;
  if (step >= DAY || isMidnight) return time.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const seconds = step < 60 ? { second: "2-digit" as const } : {};
  return time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...seconds });
}

/** The readings with nothing before and nothing behind them. */
function alone(plot: uPlot, line: number): number[] {
  const values = plot.data[line] ?? [];
  const isNothing = (index: number) => values[index] == null;
  return Array.from(values.keys()).filter((at) => !isNothing(at) && isNothing(at - 1) && isNothing(at + 1));
}

/** What is under the pointer, in words. */
function underPointer(plot: uPlot, { curves, format }: Shown): string {
  const index = plot.cursor.idx;
  const at = index == null ? undefined : plot.data[0][index];
  if (index == null || at === undefined) return NOTHING;
  const values = curves.map((curve, line) => {
    const value = plot.data[line + 1]?.[index];
    return `${curve.name} ${value == null ? NOT_MEASURED : format(value)}`;
  });
  return `${new Date(at * 1000).toLocaleString("en-GB")} · ${values.join(" · ")}`;
}
