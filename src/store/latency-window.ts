/** Commits that the figures on the status page look back on. */
const SAMPLES = 512;

/** The newest samples in a ring, for medians and tails without growth. */
export class LatencyWindow {
  readonly #samples = new Float64Array(SAMPLES);
  #count = 0;

  add(ms: number): void {
    this.#samples[this.#count++ % SAMPLES] = ms;
  }

  /** 0 when there is no sample yet. */
  quantile(q: number): number {
    const used = Math.min(this.#count, SAMPLES);
    if (used === 0) return 0;
    const sorted = this.#samples.slice(0, used).sort();
    return sorted[Math.min(used - 1, Math.floor(q * used))] ?? 0;
  }
}
