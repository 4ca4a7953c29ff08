/** A limit of messages and bytes per second over all lanes; 0 means none. */
export class Pace {
  readonly #messagesPerS: number;
  readonly #bytesPerS: number;
  #messages = 0;
  #bytes = 0;
  #atMs = 0;

  constructor(limit: { messagesPerSecond: number; bytesPerSecond: number }) {
    this.#messagesPerS = limit.messagesPerSecond;
    this.#bytesPerS = limit.bytesPerSecond;
  }

  /** True where there is no limit. */
  get isFree(): boolean {
    return this.#messagesPerS === 0 && this.#bytesPerS === 0;
  }

  /** Milliseconds to wait before a message of this size may go; 0 takes it. The balance may go below zero once. */
  take(bytes: number, nowMs: number): number {
    if (this.isFree) return 0;
    const elapsedS = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    // A tenth of a second may be saved up, so that the rate holds and packets still go out together.
    this.#messages = Math.min(this.#messages + elapsedS * this.#messagesPerS, Math.max(1, this.#messagesPerS * 0.1));
    this.#bytes = Math.min(this.#bytes + elapsedS * this.#bytesPerS, Math.max(1, this.#bytesPerS * 0.1));
    const forMessages = this.#messagesPerS > 0 && this.#messages < 1 ? (1 - this.#messages) / this.#messagesPerS : 0;
    const forBytes = this.#bytesPerS > 0 && this.#bytes < 1 ? (1 - this.#bytes) / this.#bytesPerS : 0;
    const waitS = Math.max(forMessages, forBytes);
    if (waitS > 0) return Math.ceil(waitS * 1000);
    this.#messages -= 1;
    this.#bytes -= bytes;
    return 0;
  }
}
