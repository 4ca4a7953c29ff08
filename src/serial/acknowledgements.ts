import type { DiscardCause } from './framing/framer.ts';

/** What is no frame that a device waits for an answer to. */
const noFrames = new Set<string>(['noise', 'cut', 'bad_length'] satisfies DiscardCause[]);

/** A frame of which not all messages are committed yet. */
interface Open {
  /** Messages under way, and one for as long as the frame is being taken apart. */
  left: number;
  isRefused: boolean;
  /** Of its messages still under way, in order of publishing: what counts against the bound. */
  readonly bytes: number[];
}

export interface Answers {
  /** Bytes to write; empty for none. */
  readonly accepted: Buffer;
  readonly refused: Buffer;
}

/**
 * Receipts for devices that wait for one: `accepted` once every message of a frame is committed, `refused` where one
 * was not, or where the frame was no good. In the order of the frames.
 */
export class Acknowledgements {
  readonly #answers: Answers;
  readonly #write: (bytes: Buffer) => void;
  /** By frame number, in order. */
  readonly #open = new Map<number, Open>();
  #current = 0;

  constructor(answers: Answers, write: (bytes: Buffer) => void) {
    this.#answers = answers;
    this.#write = write;
  }

  /** A frame begins; the one before is all published. */
  begin(frame: number): void {
    this.flush();
    this.#current = frame;
    this.#open.set(frame, { left: 1, isRefused: false, bytes: [] });
  }

  add(frame: number, bytes: number): void {
    const open = this.#open.get(frame);
    if (open === undefined) return;
    open.left++;
    open.bytes.push(bytes);
  }

  /** Everything of the current frame is published. */
  flush(): void {
    if (this.#current === 0) return;
    const frame = this.#current;
    this.#current = 0;
    this.#settle(frame);
  }

  /** Bytes of the oldest message of the frame that is still under way. */
  bytesOf(frame: number): number {
    return this.#open.get(frame)?.bytes.shift() ?? 0;
  }

  accepted(frame: number): void {
    this.#settle(frame);
  }

  refused(frame: number): void {
    const open = this.#open.get(frame);
    if (open !== undefined) open.isRefused = true;
    this.#settle(frame);
  }

  /** The frame could not be decoded, or a frame's check failed. */
  bad(frame: number, cause: string): void {
    const open = frame === this.#current ? this.#open.get(frame) : undefined;
    if (open !== undefined) open.isRefused = true;
    else if (!noFrames.has(cause) && this.#answers.refused.length > 0) this.#write(this.#answers.refused);
  }

  #settle(frame: number): void {
    const open = this.#open.get(frame);
    if (open === undefined) return;
    open.left--;
    // A lane may commit before another: the device counts on the order of its frames.
    for (const [number, first] of this.#open) {
      if (first.left > 0) return;
      this.#open.delete(number);
      const answer = first.isRefused ? this.#answers.refused : this.#answers.accepted;
      if (answer.length > 0) this.#write(answer);
    }
  }
}
