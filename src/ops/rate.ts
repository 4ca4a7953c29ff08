/** Seconds that a rate looks back: long enough to read calmly, short enough to see a sensor stop. */
export const RATE_WINDOW_S = 10;

/**
 * Events per second over the last ten seconds: one bucket a second, no timer, O(1) for each `add`. Take `nowMs` from a
 * clock that doesn't jump (`performance.now()`); one that steps back counts into the newest bucket.
 */
export class RateMeter {
  /** The window and the second that has just begun. */
  readonly #buckets = new Float64Array(RATE_WINDOW_S + 1);
  #sum = 0;
  /** Number of the newest second; -1 before the first call. */
  #second = -1;
  #firstMs = 0;

  add(count: number, nowMs: number): void {
    this.#advance(nowMs);
    const slot = this.#second % this.#buckets.length;
    this.#buckets[slot] = (this.#buckets[slot] ?? 0) + count;
    this.#sum += count;
  }

  perSecond(nowMs: number): number {
    if (this.#second < 0) return 0;
    this.#advance(nowMs);
    const oldestMs = Math.max(this.#firstMs, (this.#second - RATE_WINDOW_S) * 1000);
    // A meter younger than a second would call its first message a thousand a second.
    const spanMs = Math.max(1000, nowMs - oldestMs);
    return (this.#sum * 1000) / spanMs;
  }

  #advance(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    if (second <= this.#second) return;
    if (this.#second < 0) this.#firstMs = nowMs;
    const stale = Math.min(second - this.#second, this.#buckets.length);
    for (let i = 0; i < stale; i++) {
      const slot = (second - i) % this.#buckets.length;
      this.#sum -= this.#buckets[slot] ?? 0;
      this.#buckets[slot] = 0;
    }
    this.#second = second;
  }
}

/** What `forecast` needs to know of a lane. */
export interface LaneFlow {
  depth: number;
  bytes: number;
  bytesMax: number;
  rateInPerS: number;
  rateOutPerS: number;
}

/**
 * When a lane will be full or empty at its present rates, in seconds; null where it isn't on its way there. A record's
 * size is taken from the mean of those that are kept.
 */
export function forecast(lane: LaneFlow): { timeToFullS: number | null; timeToEmptyS: number | null } {
  const growthPerS = lane.rateInPerS - lane.rateOutPerS;
  if (lane.depth === 0 || growthPerS === 0) return { timeToFullS: null, timeToEmptyS: null };
  if (growthPerS < 0) return { timeToFullS: null, timeToEmptyS: lane.depth / -growthPerS };
  const recordBytes = lane.bytes / lane.depth;
  const freeBytes = Math.max(0, lane.bytesMax - lane.bytes);
  return { timeToFullS: recordBytes === 0 ? null : freeBytes / (recordBytes * growthPerS), timeToEmptyS: null };
}
