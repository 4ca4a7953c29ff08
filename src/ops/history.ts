import { type History, type HistorySeries, type HistorySpan, historySeries, historySpans } from './api.ts';

/** Of each span, how far its points are apart, and how many are kept. */
const STEPS: Readonly<Record<HistorySpan, { readonly stepS: number; readonly pointsMax: number }>> = {
  hour: { stepS: 10, pointsMax: 360 },
  day: { stepS: 120, pointsMax: 720 },
  week: { stepS: 900, pointsMax: 672 },
};
/** What is gathered is written together: 144 commits a day, and a power cut costs the plots ten minutes. */
const KEEP_EVERY_MS = 600_000;

export type Figures = Readonly<Record<HistorySeries, number | null>>;

/** A point as the store has it: the figures in the order of `historySeries`. */
export interface StoredPoint {
  readonly span: number;
  readonly atMs: number;
  readonly data: string;
}

export interface HistoryStore {
  keepHistory(points: readonly StoredPoint[], pointsMax: readonly number[]): void;
  history(span: number): Promise<StoredPoint[]>;
}

interface Sum {
  startMs: number;
  counts: number[];
  sums: number[];
}

/**
 * The last hour, day and week of the box. Points of the longer spans are means over their step. In memory is only what
 * has not been written yet.
 */
export class HistoryKeeper {
  readonly #store: HistoryStore;
  #unwritten: StoredPoint[] = [];
  readonly #sums = new Map<HistorySpan, Sum>();
  #keptAtMs: number | null = null;

  constructor(store: HistoryStore) {
    this.#store = store;
  }

  /** `nowMs` from a clock that doesn't jump, for when to write. */
  add(atMs: number, nowMs: number, figures: Figures): void {
    const values = historySeries.map((name) => figures[name]);
    for (const [span, name] of historySpans.entries()) {
      const means = name === 'hour' ? values : this.#mean(name, atMs, values);
      if (means !== null) this.#unwritten.push({ span, atMs, data: JSON.stringify(means.map(rounded)) });
    }
    this.#keptAtMs ??= nowMs;
    if (nowMs - this.#keptAtMs >= KEEP_EVERY_MS) this.keep(nowMs);
  }

  /** Writes what has gathered. */
  keep(nowMs: number): void {
    if (this.#unwritten.length === 0) return;
    this.#store.keepHistory(
      this.#unwritten,
      historySpans.map((span) => STEPS[span].pointsMax),
    );
    this.#unwritten = [];
    this.#keptAtMs = nowMs;
  }

  async read(span: HistorySpan): Promise<History> {
    const { stepS, pointsMax } = STEPS[span];
    const number = historySpans.indexOf(span);
    // Read first: what is written meanwhile would be missed otherwise.
    const unwritten = this.#unwritten.filter((point) => point.span === number);
    const points = [...(await this.#store.history(number)), ...unwritten].slice(-pointsMax);
    const rows = points.map(({ data }) => JSON.parse(data) as (number | null)[]);
    const series = historySeries.map((name, place) => [name, rows.map((row) => row[place] ?? null)]);
    return { span, stepS, atMs: points.map(({ atMs }) => atMs), series: Object.fromEntries(series) };
  }

  /** The mean over a step once it is over; null before. */
  #mean(span: HistorySpan, atMs: number, values: readonly (number | null)[]): (number | null)[] | null {
    const stepMs = STEPS[span].stepS * 1000;
    const sum = this.#sums.get(span) ?? { startMs: atMs, counts: values.map(() => 0), sums: values.map(() => 0) };
    for (const [place, value] of values.entries()) {
      if (value === null) continue;
      sum.sums[place] = (sum.sums[place] ?? 0) + value;
      sum.counts[place] = (sum.counts[place] ?? 0) + 1;
    }
    // Also where the clock was set back.
    if (Math.abs(atMs - sum.startMs) < stepMs) {
      this.#sums.set(span, sum);
      return null;
    }
    this.#sums.delete(span);
    return sum.sums.map((total, place) => (sum.counts[place] ? total / (sum.counts[place] ?? 1) : null));
  }
}

/** Five digits are more than a plot shows. */
function rounded(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(5));
}
