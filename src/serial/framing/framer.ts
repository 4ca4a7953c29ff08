import { FrameCheck } from '../checks.ts';
import type { FramingOptions } from '../options.ts';

/**
 * Why bytes were thrown away:
 * - noise: outside of any frame, where the next one should begin
 * - overlong: a frame longer than it may be, such as a line without an end
 * - bad_length: a length field that no frame can have
 * - bad_escape, bad_code: an escape or a COBS code that the encoding does not have
 * - bad_check: sum or CRC differ
 * - short: too short to hold its own check
 * - cut: half a frame, when the line fell silent or was closed
 */
export const discardCauses = [
  'noise',
  'overlong',
  'bad_length',
  'bad_escape',
  'bad_code',
  'bad_check',
  'short',
  'cut',
] as const;
export type DiscardCause = (typeof discardCauses)[number];

export interface FrameSink {
  /** One frame's content, without what frames it and without its check. Valid during the call only. */
  frame(content: Buffer): void;
  /** `count` bytes were thrown away. */
  discarded(cause: DiscardCause, count: number): void;
}

/** Bytes are taken in slices of this size, so that a huge read does not make the buffer grow with it. */
const SLICE_BYTES = 64 * 1024;
/** First size of the buffer: a few frames of nearly every device. */
const FIRST_BYTES = 1024;
/**
 * How many bytes of checks may be computed again for each byte that came in, while looking for the next frame byte by
 * byte. Where noise asks for more, whole candidates are dropped instead of single bytes, so that the CPU time of
 * garbage has a bound.
 */
const RESYNC_WORK = 32;
const CR = 0x0d;
const LF = 0x0a;

/**
 * A streaming framer: bytes in, frames out, whatever the reads cut them into. It holds one frame at most.
 * Every byte that came in is in a frame, in what frames it, discarded with a cause, or pending.
 */
export abstract class Framer {
  protected readonly options: FramingOptions;
  protected readonly sink: FrameSink;
  protected readonly check: FrameCheck | null;
  /** Bytes from `start` to `end` are not taken yet; those before `seen` have been looked at in vain. */
  protected bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  protected start = 0;
  protected end = 0;
  protected seen = 0;
  #credit = 0;

  constructor(options: FramingOptions, sink: FrameSink) {
    this.options = options;
    this.sink = sink;
    this.check = options.check === null ? null : new FrameCheck(options.check);
  }

  /** Bytes of a frame that is not complete yet. */
  get pending(): number {
    return this.end - this.start;
  }

  push(chunk: Buffer): void {
    for (let from = 0; from < chunk.length; from += SLICE_BYTES) {
      const to = Math.min(chunk.length, from + SLICE_BYTES);
      this.#append(chunk, from, to);
      this.#credit = Math.min(this.#credit + (to - from) * RESYNC_WORK, this.options.bytesMax * RESYNC_WORK);
      this.scan();
    }
  }

  /** The line has been silent for the configured gap, or was closed. */
  idle(): void {
    this.discard('cut', this.pending);
  }

  /** Takes what it can of the bytes from `start` to `end`. */
  protected abstract scan(): void;

  /** Forgets the next `count` bytes. */
  protected take(count: number): void {
    this.start += count;
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
    }
    this.seen = this.start;
  }

  protected discard(cause: DiscardCause, count: number): void {
    if (count === 0) return;
    this.take(count);
    this.sink.discarded(cause, count);
  }

  /** Hands on the content of a frame of `length` wire bytes at `start`, or discards it where its check fails. */
  protected deliver(content: Buffer, length: number): void {
    const { check } = this;
    if (content.length > this.options.bytesMax) this.discard('overlong', length);
    else if (check === null) {
      this.take(length);
      this.sink.frame(content);
    } else if (content.length < check.length) this.discard('short', length);
    else if (!check.holds(content)) this.discard('bad_check', length);
    else {
      this.take(length);
      this.sink.frame(content.subarray(0, content.length - check.length));
    }
  }

  /** As `deliver`, for framings that find the next frame by trying every byte: a failed check costs one byte only. */
  protected deliverOrSlide(content: Buffer, length: number): void {
    const { check } = this;
    if (check !== null && !check.holds(content)) {
      this.#credit -= length;
      this.discard('bad_check', this.#credit < 0 ? length : 1);
    } else this.deliver(content, length);
  }

  /** Throws away what stands before the first word of a frame; false where the bytes end before it is whole. */
  protected findStart(word: Buffer): boolean {
    if (word.length === 0) return this.pending > 0;
    const at = this.view().indexOf(word);
    if (at >= 0) {
      this.between(at);
      return true;
    }
    // The last bytes may be the beginning of the word.
    let kept = Math.min(word.length - 1, this.pending);
    while (kept > 0 && !this.bytes.subarray(this.end - kept, this.end).equals(word.subarray(0, kept))) kept--;
    this.between(this.pending - kept);
    return false;
  }

  /** Throws away what stands between two frames; line ends there are no noise. */
  protected between(count: number): void {
    if (count === 0) return;
    let noise = 0;
    for (let i = this.start; i < this.start + count; i++) {
      if (this.bytes[i] !== CR && this.bytes[i] !== LF) noise++;
    }
    this.take(count);
    if (noise > 0) this.sink.discarded('noise', noise);
  }

  /** The bytes not taken yet. */
  protected view(): Buffer {
    return this.bytes.subarray(this.start, this.end);
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const count = to - from;
    if (this.end + count > this.bytes.length) {
      const pending = this.pending;
      // Moved to the front, into a larger buffer only where it must be.
      const size = Math.max(this.bytes.length, 2 ** Math.ceil(Math.log2(pending + count)));
      const target = size > this.bytes.length ? Buffer.allocUnsafe(size) : this.bytes;
      this.bytes.copy(target, 0, this.start, this.end);
      this.seen -= this.start;
      this.bytes = target;
      this.start = 0;
      this.end = pending;
    }
    chunk.copy(this.bytes, this.end, from, to);
    this.end += count;
  }
}
