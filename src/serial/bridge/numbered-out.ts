import { code } from './codec/words.ts';

/** Section 6 of PROTOCOL.md, from gateway to board: one frame at a time. */

const RETRY_MS = 1_000;
const TRIES_MAX = 5;
/** Frames that wait: what a board takes in a minute of a slow line. */
const QUEUE_MAX = 64;
/** The first number of a channel. */
const FIRST = 1;

export interface OutgoingFrame {
  readonly type: number;
  /** Made when its turn comes: the time that is left for an answer is another then. Null: it is not wanted any more. */
  payload(): Uint8Array | null;
  /** The board has it, or why it has not; called once. `null` for acknowledged, else a code; -1: no answer or no channel. */
  done(fault: number | null): void;
  /** Where it was not sent when its channel ended, it is for the next one. */
  readonly survives?: boolean;
}

export const NO_ANSWER = -1;

export interface NumberedOutParts {
  send(type: number, number: number, payload: Uint8Array, isRepeat: boolean): void;
  /** The board does not answer: it is asked for a new HELLO. */
  gaveUp(): void;
}

interface Current {
  readonly frame: OutgoingFrame;
  readonly payload: Uint8Array;
  tries: number;
}

export class NumberedOut {
  readonly #parts: NumberedOutParts;
  readonly #queue: OutgoingFrame[] = [];
  #current: Current | null = null;
  #number = FIRST;
  #timer: NodeJS.Timeout | undefined;
  #isOpen = false;
  #isHeld = false;
  #hasGivenUp = false;

  constructor(parts: NumberedOutParts) {
    this.#parts = parts;
  }

  get waiting(): number {
    return this.#queue.length + (this.#current === null ? 0 : 1);
  }

  /** A frame had no answer: what follows it would be thrown away, so that nothing is sent before the next channel. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp;
  }

  /** False where the queue is full or no channel is open: then `done` is not called. */
  add(frame: OutgoingFrame): boolean {
    if (!this.#isOpen || this.#queue.length >= QUEUE_MAX) return false;
    this.#queue.push(frame);
    if (this.#current === null) this.#next();
    return true;
  }

  /** A channel was offered. Nothing is sent before the board is heard on it, or has had the time for it. */
  open(): void {
    this.close(true);
    this.#isOpen = true;
    this.#isHeld = true;
    this.#hasGivenUp = false;
    this.#number = FIRST;
    this.#timer = setTimeout(() => this.release(), RETRY_MS);
  }

  /** What waits will not reach the board, or nobody knows whether it did. `isFollowed`: another channel comes. */
  close(isFollowed = false): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    const waiting = this.#queue.splice(0);
    const stays = ({ survives }: OutgoingFrame) => isFollowed && survives === true;
    this.#queue.push(...waiting.filter(stays));
    const gone = waiting.filter((frame) => !stays(frame));
    if (this.#current !== null) gone.unshift(this.#current.frame);
    this.#current = null;
    for (const frame of gone) frame.done(NO_ANSWER);
  }

  /** The board sleeps: it gets nothing until it is heard. */
  hold(): void {
    this.#isHeld = true;
    clearTimeout(this.#timer);
  }

  /** The board was heard. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    clearTimeout(this.#timer);
    if (this.#current === null) this.#next();
    else this.#transmit(this.#current.tries > 0);
  }

  ack(sequence: number): void {
    if (sequence === (this.#number & 0xffff)) this.#finish(null);
  }

  nak(sequence: number, why: number, waitMs: number): void {
    if (sequence !== (this.#number & 0xffff) || this.#current === null) return;
    if (why !== code.busy && why !== code.missing) this.#finish(why);
    else {
      this.#current.tries = 0;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#transmit(true), why === code.busy ? Math.max(waitMs, 1) : 0);
    }
  }

  #next(): void {
    if (this.#isHeld || this.#hasGivenUp) return;
    for (let frame = this.#queue.shift(); frame !== undefined; frame = this.#queue.shift()) {
      const payload = frame.payload();
      if (payload === null) continue;
      this.#current = { frame, payload, tries: 0 };
      this.#transmit(false);
      return;
    }
  }

  #transmit(isRepeat: boolean): void {
    const current = this.#current;
    if (current === null || this.#isHeld) return;
    if (current.tries === TRIES_MAX) {
      this.#hasGivenUp = true;
      this.#finish(NO_ANSWER);
      this.#parts.gaveUp();
      return;
    }
    current.tries++;
    this.#timer = setTimeout(() => this.#transmit(true), RETRY_MS);
    this.#parts.send(current.frame.type, this.#number, current.payload, isRepeat);
  }

  #finish(fault: number | null): void {
    const current = this.#current;
    if (current === null) return;
    clearTimeout(this.#timer);
    this.#current = null;
    this.#number = (this.#number + 1) >>> 0;
    current.frame.done(fault);
    if (this.#isOpen && this.#current === null) this.#next();
  }
}
