/** Captures kept, newest last: enough to see whether errors are alike. */
const CAPTURES_MAX = 8;

/** What was on the line around one error. */
export interface Capture {
  readonly atMs: number;
  readonly cause: string;
  readonly detail: string;
  /** Bytes before and after the error, in order. */
  readonly bytes: Buffer;
}

/**
 * A port's flight recorder: the last bytes in a ring, and around each error a copy of them. Errors that follow while one
 * is still being recorded belong to it, so that a flood of garbage costs nothing.
 */
export class Recorder {
  readonly #ring: Buffer;
  #written = 0;
  #captures: Capture[] = [];
  #open: { atMs: number; cause: string; detail: string; until: number } | null = null;

  /** `bytes`: of the ring; a capture is as long. 0 turns it off. */
  constructor(bytes: number) {
    this.#ring = Buffer.alloc(bytes);
  }

  add(chunk: Buffer): void {
    const size = this.#ring.length;
    if (size === 0) return;
    const kept = chunk.length > size ? chunk.subarray(chunk.length - size) : chunk;
    const at = (this.#written + chunk.length - kept.length) % size;
    const first = Math.min(kept.length, size - at);
    kept.copy(this.#ring, at, 0, first);
    kept.copy(this.#ring, 0, first);
    this.#written += chunk.length;
    if (this.#open !== null && this.#written >= this.#open.until) this.#finish();
  }

  /** Something was no good: half a ring more is recorded, then it is a capture. */
  mark(atMs: number, cause: string, detail: string): void {
    if (this.#open !== null || this.#ring.length === 0) return;
    this.#open = { atMs, cause, detail, until: this.#written + this.#ring.length / 2 };
  }

  /** The newest captures, with the one that is still open as far as it goes. */
  get captures(): readonly Capture[] {
    return this.#open === null ? this.#captures : [...this.#captures, { ...this.#open, bytes: this.latest() }];
  }

  /** The bytes in the ring, oldest first. */
  latest(): Buffer {
    const size = this.#ring.length;
    if (this.#written <= size) return Buffer.from(this.#ring.subarray(0, this.#written));
    const at = this.#written % size;
    return Buffer.concat([this.#ring.subarray(at), this.#ring.subarray(0, at)]);
  }

  #finish(): void {
    if (this.#open === null) return;
    const { atMs, cause, detail } = this.#open;
    this.#captures = [...this.#captures, { atMs, cause, detail, bytes: this.latest() }].slice(-CAPTURES_MAX);
    this.#open = null;
  }
}
