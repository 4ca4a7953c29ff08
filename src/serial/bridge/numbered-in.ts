import type { Receipt } from '../../core/router.ts';
import { writeAck, writeNak } from './codec/messages.ts';
import { code, limit, type } from './codec/words.ts';
import type { BoardCounters } from './options.ts';

/** Section 6 of PROTOCOL.md, from board to gateway. */

/** How long a board waits that was refused for want of room. */
const BUSY_MS = 1_000;
/** A gap is named again after this, when a further frame comes. */
const MISSING_AGAIN_MS = 200;
/** Numbers are forgotten in bunches: each costs a statement. */
const FORGET_EVERY = 16;

/** What became of a frame at once: done, on its way to the disk, to be sent again, or refused for good with a code. */
export type Handling = 'done' | 'pending' | 'busy' | { readonly refused: number };

export interface NumberedFrame {
  readonly type: number;
  readonly payload: Uint8Array;
}

export interface NumberedInParts {
  /** Takes a frame in its turn; for `pending` it calls `await` before. */
  handle(number: number, frame: NumberedFrame): Handling;
  send(type: number, payload: Uint8Array): void;
  /** Numbers up to this one do not come again. */
  forget(through: number): void;
  readonly counters: BoardCounters;
}

/** A frame whose messages are on their way to the disk. */
interface Waiting {
  /** Messages without a receipt. */
  left: number;
  isRefused: boolean;
}

/**
 * The numbered frames of one session, over all its channels: hands them on in the order of their numbers, and acknowledges
 * up to where everything is on disk. It is the receipt of the messages; the token is the number.
 */
export class NumberedIn implements Receipt {
  readonly source: string;
  readonly #parts: NumberedInParts;
  #window = 1;
  /** The next number to be handed on. */
  #expected = 0;
  /** Everything below it is done and may be acknowledged. */
  #settled = 0;
  #acknowledged = 0;
  /** Handed on in this run: on their way, or done. What is done stays for a window: it may come again. */
  readonly #handed = new Map<number, Waiting | 'done'>();
  /** Behind a gap. */
  readonly #held = new Map<number, NumberedFrame>();
  /** Missing numbers that were named, and when. */
  readonly #named = new Map<number, number>();
  #refusedNumber: number | null = null;
  #forgotten = 0;
  #isFlushing = false;

  constructor(source: string, parts: NumberedInParts) {
    this.source = source;
    this.#parts = parts;
  }

  /** A channel is open: the board begins with its oldest frame. */
  open(oldest: number, window: number): void {
    this.#window = Math.min(Math.max(window, 1), limit.windowMax);
    this.#expected = oldest;
    this.#settled = oldest;
    this.#acknowledged = oldest;
    this.#forgotten = oldest;
    this.#held.clear();
    this.#named.clear();
    this.#refusedNumber = null;
    for (const number of this.#handed.keys()) if (distance(number, oldest) < 0) this.#handed.delete(number);
    if (oldest > 0) this.#parts.forget(oldest - 1);
    this.#passHanded();
    if (this.#expected !== oldest) this.#acknowledge();
  }

  /** A numbered frame of the open channel. */
  take(sequence: number, frame: NumberedFrame): void {
    const number = this.#numberOf(sequence);
    const ahead = distance(number, this.#expected);
    if (ahead < 0) {
      this.#parts.counters.duplicates++;
      this.#acknowledge(true);
    } else if (ahead >= this.#window) this.#parts.counters.beyondWindow++;
    else if (ahead > 0) this.#hold(number, frame);
    else this.#proceed(frame);
  }

  /** The frame has so many messages on their way. */
  await(number: number, messages: number): void {
    this.#handed.set(number, { left: messages, isRefused: false });
  }

  accepted(number: number): void {
    this.#settle(number, false);
  }

  refused(number: number): void {
    this.#settle(number, true);
  }

  /** The low 16 bits stand for the number that is nearest to the expected one. */
  #numberOf(sequence: number): number {
    const ahead = ((sequence - (this.#expected & 0xffff)) << 16) >> 16;
    return (this.#expected + ahead) >>> 0;
  }

  #hold(number: number, frame: NumberedFrame): void {
    const { counters } = this.#parts;
    if (this.#held.has(number)) counters.duplicates++;
    // The newest, which may be the SKIP in place of the rest. The decoder's buffer is used again.
    this.#held.set(number, { type: frame.type, payload: frame.payload.slice() });
    const nowMs = performance.now();
    for (let missing = this.#expected; missing !== number; missing = (missing + 1) >>> 0) {
      if (this.#held.has(missing) || this.#handed.has(missing) || missing === this.#refusedNumber) continue;
      const namedAtMs = this.#named.get(missing);
      if (namedAtMs !== undefined && nowMs - namedAtMs < MISSING_AGAIN_MS) continue;
      if (namedAtMs === undefined) counters.gaps++;
      this.#named.set(missing, nowMs);
      this.#nak(missing, code.missing, 0);
    }
  }

  /** The expected frame, and what waited for it. */
  #proceed(first: NumberedFrame): void {
    for (let frame: NumberedFrame | undefined = first; frame !== undefined; frame = this.#held.get(this.#expected)) {
      const number = this.#expected;
      if (!this.#handOn(number, frame)) return;
      this.#held.delete(number);
      this.#advance();
      this.#passHanded();
    }
    this.#acknowledge();
  }

  /** False where it counts as not received. */
  #handOn(number: number, frame: NumberedFrame): boolean {
    if (this.#handed.has(number)) {
      this.#parts.counters.duplicates++;
      return true;
    }
    const handling = this.#parts.handle(number, frame);
    if (handling === 'busy') this.#nak(number, code.busy, BUSY_MS);
    else if (typeof handling === 'object') {
      this.#refusedNumber = number;
      this.#nak(number, handling.refused, 0);
    } else {
      if (handling === 'done') this.#handed.set(number, 'done');
      // Gone again where it was refused at once.
      return this.#handed.has(number);
    }
    this.#held.delete(number);
    return false;
  }

  #advance(): void {
    this.#named.delete(this.#expected);
    if (this.#refusedNumber === this.#expected) this.#refusedNumber = null;
    this.#expected = (this.#expected + 1) >>> 0;
  }

  /** What is on its way already need not come again. */
  #passHanded(): void {
    while (this.#handed.has(this.#expected)) this.#advance();
  }

  #settle(number: number, isRefused: boolean): void {
    const waiting = this.#handed.get(number);
    if (waiting === undefined || waiting === 'done') return;
    if (isRefused) waiting.isRefused = true;
    if (--waiting.left > 0) return;
    if (!waiting.isRefused) {
      this.#handed.set(number, 'done');
      this.#acknowledge();
      return;
    }
    // Not kept, for want of room: it comes again, and what followed it and was kept is known when that comes again.
    this.#handed.delete(number);
    if (distance(number, this.#expected) < 0) this.#expected = number;
    this.#nak(number, code.busy, BUSY_MS);
  }

  /** Goes out once for all receipts of a commit. `isAgain`: the board may have missed the last one. */
  #acknowledge(isAgain = false): void {
    while (this.#settled !== this.#expected && this.#handed.get(this.#settled) === 'done') {
      this.#settled = (this.#settled + 1) >>> 0;
    }
    if (isAgain) this.#acknowledged = -1;
    if (this.#isFlushing || this.#acknowledged === this.#settled) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#acknowledged = this.#settled;
      this.#parts.send(type.ack, writeAck((this.#settled - 1) >>> 0));
      this.#forget();
    });
  }

  /** What lies a window behind was acknowledged, or the board could not have gone on. */
  #forget(): void {
    const through = (this.#settled - 1 - this.#window) >>> 0;
    if (distance(through, this.#forgotten) < FORGET_EVERY) return;
    for (let number = this.#forgotten; number !== through; number = (number + 1) >>> 0) this.#handed.delete(number);
    this.#forgotten = through;
    this.#parts.forget(through);
  }

  #nak(sequence: number, why: number, waitMs: number): void {
    const { counters } = this.#parts;
    if (why === code.busy) counters.busy++;
    else if (why !== code.missing) counters.refused++;
    this.#parts.send(type.nak, writeNak({ sequence, code: why, waitMs }));
  }
}

/** How far `a` is ahead of `b`; below 0 where it is behind. */
function distance(a: number, b: number): number {
  return (a - b) | 0;
}
