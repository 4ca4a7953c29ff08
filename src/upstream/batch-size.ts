/** JetStream commits a thousand messages at once; one of them is the watermark. */
const BATCH_RECORDS_MAX = 999;

/** How many records a lane puts into one batch: fewer on a link that does not carry them in the time for an answer. */
export class BatchSize {
  #max: number;
  readonly #most: number;

  constructor(window: number) {
    this.#most = Math.min(window, BATCH_RECORDS_MAX);
    this.#max = this.#most;
  }

  get max(): number {
    return this.#max;
  }

  tooLong(): void {
    this.#max = Math.max(1, this.#max >> 1);
  }

  fits(): void {
    this.#max = Math.min(this.#most, this.#max * 2);
  }
}
