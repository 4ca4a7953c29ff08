import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import UPlot from 'uplot';
import { Observed, useObserved } from './observed.ts';

const HEIGHT_PX = 64;
/** Plots with this key show the same moment under the pointer. */
const SYNC_KEY = 'history';

export interface PlotProps {
  label: string;
  /** Wall clock in seconds, ascending. */
  times: readonly number[];
  values: readonly (number | null)[];
  /** A value with its unit. */
  format: (value: number) => string;
  /** The axis goes at least to here, so that noise does not look like a mountain. */
  atLeast: number;
}

const scheme = matchMedia('(prefers-color-scheme: dark)');
const isDark = new Observed(scheme.matches);
scheme.addEventListener('change', () => isDark.set(scheme.matches));

/** One measured value over time: a line with what it is now, or was where the pointer is. */
export function Plot(props: PlotProps): JSX.Element {
  const { label, times, values, format } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const dark = useObserved(isDark);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new UPlot(options(element, props.atLeast, setPointed), [[], []], element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [dark, props.atLeast]);
  useEffect(() => plot.current?.setData([times as number[], values as (number | null)[]]), [dark, times, values]);
  const at = pointed !== null && pointed < values.length ? pointed : values.length - 1;
  const value = values[at];
  const seconds = times[at];
  const shown = typeof value === 'number' ? format(value) : '–';
  return (
    <figure class="plot">
      <figcaption>
        <span>{label}</span>
        <span class="plot-time">{pointed === null || seconds === undefined ? '' : timeOf(seconds)}</span>
        <strong>{shown}</strong>
      </figcaption>
      <div ref={box} role="img" aria-label={described(label, values, format)} />
    </figure>
  );
}

function options(element: HTMLElement, atLeast: number, point: (index: number | null) => void): UPlot.Options {
  const style = getComputedStyle(element);
  const stroke = style.getPropertyValue('--accent').trim();
  const line = style.getPropertyValue('--line').trim();
  return {
    width: element.clientWidth,
    height: HEIGHT_PX,
    padding: [4, 0, 2, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC_KEY }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(atLeast, high ?? 0) * 1.05] } },
    axes: [
      { show: false },
      { scale: 'y', size: 0, ticks: { show: false }, values: () => [], grid: { stroke: line, width: 1 }, space: 28 },
    ],
    series: [{}, { stroke, width: 1.5, fill: `${stroke}1f`, points: { show: false } }],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)] },
  };
}

function timeOf(seconds: number): string {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], {
    ...(isToday ? {} : { weekday: 'short' }),
    hour: '2-digit',
    minute: '2-digit',
  });
}

/** What the line shows, for those who don't see it. */
function described(label: string, values: readonly (number | null)[], format: (value: number) => string): string {
  const measured = values.filter((value) => value !== null);
  const [first] = measured;
  if (first === undefined) return `${label}: nothing measured yet`;
  const low = measured.reduce((a, b) => Math.min(a, b), first);
  const high = measured.reduce((a, b) => Math.max(a, b), first);
  return `${label}: between ${format(low)} and ${format(high)}, now ${format(measured.at(-1) ?? first)}`;
}
