import type { FilterOptions } from './options.ts';

/**
 * Series (one field of one subject) that filters remember. A port with more of them reports the others unfiltered: that
 * costs traffic and loses nothing.
 */
export const SERIES_MAX = 10_000;

/** Average, minimum and maximum of a field over a window, and of how many values. */
export interface WindowValue {
  avg: number;
  min: number;
  max: number;
  count: number;
}

interface Series {
  readonly options: FilterOptions;
  value: unknown;
  reportedAtMs: number;
  window: { sum: number; min: number; max: number; count: number; openedAtMs: number } | null;
}

/**
 * What is worth reporting of a device's values. Times are of a clock that does not jump. A value that is not reported is
 * counted by the caller, not lost: the device said nothing new.
 */
export class Filter {
  readonly #byField: ReadonlyMap<string, FilterOptions>;
  readonly #series = new Map<string, Series>();

  constructor(options: readonly FilterOptions[]) {
    this.#byField = new Map(options.map((one) => [one.field, one]));
  }

  /** How many series are remembered. */
  get size(): number {
    return this.#series.size;
  }

  /** Whether a field has a filter, of its own or by '*'. */
  covers(field: string): boolean {
    return this.#byField.has(field) || this.#byField.has('*');
  }

  /** The value to report now (a WindowValue at the end of a window), or undefined for nothing. */
  pass(subject: string, field: string, value: unknown, nowMs: number): unknown {
    const options = this.#byField.get(field) ?? this.#byField.get('*');
    if (options === undefined) return value;
    const key = `${subject} ${field}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      if (this.#series.size >= SERIES_MAX) return value;
      series = { options, value: undefined, reportedAtMs: Number.NEGATIVE_INFINITY, window: null };
      this.#series.set(key, series);
    }
    if (options.windowMs > 0 && typeof value === 'number') return gather(series, value, nowMs);
    if (!isDue(series, value, nowMs)) return undefined;
    series.value = value;
    series.reportedAtMs = nowMs;
    return value;
  }
}

function isDue({ options, value: before, reportedAtMs }: Series, value: unknown, nowMs: number): boolean {
  const { onChange, deadBand, deadBandUnit, intervalMinMs, intervalMaxMs } = options;
  if (before === undefined) return true;
  const silentMs = nowMs - reportedAtMs;
  if (intervalMaxMs > 0 && silentMs >= intervalMaxMs) return true;
  if (silentMs < intervalMinMs) return false;
  if (deadBand > 0 && typeof value === 'number' && typeof before === 'number') {
    const band = deadBandUnit === 'percent' ? (Math.abs(before) * deadBand) / 100 : deadBand;
    return Math.abs(value - before) > band;
  }
  if (onChange || deadBand > 0) return !isSame(before, value);
  // With only the longest interval, the rest is what it is for.
  return intervalMaxMs === 0 || intervalMinMs > 0;
}

function isSame(a: unknown, b: unknown): boolean {
  return typeof a === 'object' && a !== null ? JSON.stringify(a) === JSON.stringify(b) : Object.is(a, b);
}

/** A window is reported by the first value behind its end: a device that fell silent has nothing to average. */
function gather(series: Series, value: number, nowMs: number): WindowValue | undefined {
  const { window, options } = series;
  if (window !== null && nowMs - window.openedAtMs < options.windowMs) {
    window.sum += value;
    window.min = Math.min(window.min, value);
    window.max = Math.max(window.max, value);
    window.count++;
    return undefined;
  }
  series.window = { sum: value, min: value, max: value, count: 1, openedAtMs: nowMs };
  if (window === null) return undefined;
  const { sum, min, max, count } = window;
  return { avg: Number((sum / count).toPrecision(12)), min, max, count };
}
