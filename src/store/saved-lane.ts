import assert from 'node:assert/strict';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { Gathering } from './gathering.ts';
import type { Loss } from './losses.ts';
import type { BatchResult, CommitBatch, Reservation } from './protocol.ts';
import type { Spared } from './spared.ts';

/** Numbers reserved ahead for each lane, renewed when half are used: with the cursor, one small commit each 4,096. */
const RESERVED_AHEAD = 8_192;
/** After a hold that was too short the lane goes to disk at once for this long: a slow hub must not slow receipts down. */
const REST_MS = 5_000;

/** What arrived for one lane in one turn of the loop, numbered and handed to the reader. */
export interface Held {
  readonly lane: number;
  readonly gathering: Gathering;
  readonly batches: CommitBatch[];
  readonly results: BatchResult[];
  readonly count: number;
  readonly last: number;
  readonly atMs: number;
  /** The hub will never take some of it. */
  isLost: boolean;
  state: 'held' | 'writing' | 'settled';
}

/** What goes into a commit: `held` was numbered before, null where the writer numbers. */
export interface Part {
  readonly gathering: Gathering;
  readonly batches: CommitBatch[];
  readonly held: Held | null;
}

/** What the saver holds of one lane, oldest first, and which numbers it may give and has given. See saver.ts. */
export class SavedLane {
  readonly #lane: number;
  readonly #successor: () => Gathering;
  /** Arrived in this turn of the loop; null for nothing. */
  #open: Gathering | null = null;
  #held: Held[] = [];
  #given = 0;
  /** Up to here numbers may be given without being on disk. */
  #reservedTo = 0;
  /** A commit is under way in which the writer numbers some: the next number is not known. */
  #isBusy = false;
  /** What is held goes to disk. */
  #isDue = false;
  #restsUntilMs = 0;

  /** `successor` makes an empty gathering. */
  constructor(lane: number, successor: () => Gathering) {
    this.#lane = lane;
    this.#successor = successor;
  }

  /** Last number given, on disk or not. */
  get given(): number {
    return this.#given;
  }

  /** Over all that has no receipt yet and is not in a commit. */
  sum(of: (gathering: Gathering) => number): number {
    let sum = this.#open ? of(this.#open) : 0;
    for (const { gathering, state } of this.#held) if (state === 'held') sum += of(gathering);
    return sum;
  }

  add(message: Message, receipt: Receipt | null, token: number, reached: number): void {
    this.#open ??= this.#successor();
    this.#open.add(this.#lane, message, receipt, token, reached);
  }

  /** Whether something has arrived that can be numbered here and now. */
  mayHold(nowMs: number): boolean {
    if (!this.#open || this.#isBusy || this.#isDue || nowMs < this.#restsUntilMs) return false;
    return this.#given + this.#open.count <= this.#reservedTo;
  }

  /** Numbers what has arrived. */
  hold(nowMs: number): Held {
    const gathering = this.#open;
    assert(gathering);
    this.#open = null;
    const batches: CommitBatch[] = [];
    const results: BatchResult[] = [];
    for (const batch of gathering.batches(() => 0)) {
      // Of its own memory: the buffer is large and goes on to the next batch, and the writer gets a copy of this.
      const buffer = Buffer.from(new ArrayBuffer(batch.length));
      batch.buffer.copy(buffer, 0, 0, batch.length);
      gathering.recycle(batch.buffer);
      batches.push({ ...batch, buffer, after: this.#given, isNumbered: true });
      results.push({ first: this.#given + 1, failure: null, handed: true });
      this.#given += batch.count;
    }
    const of = { lane: this.#lane, gathering, batches, results, count: gathering.count, last: this.#given };
    const held: Held = { ...of, atMs: nowMs, isLost: false, state: 'held' };
    this.#held.push(held);
    return held;
  }

  /** Hands out the receipts up to `cursor`; what was not written is `kept`. Gives how many records that was. */
  passed(cursor: number, kept: Spared): number {
    let spared = 0;
    while (this.#held[0] && this.#held[0].last <= cursor && !this.#held[0].isLost) {
      const held = this.#held.shift() as Held;
      if (held.state === 'held') {
        spared += held.count;
        kept.keep(this.#lane, held.batches, performance.now());
      }
      held.state = 'settled';
      held.gathering.settle(held.results);
    }
    return spared;
  }

  /** Holds what was `kept` again, to be written with all that is held. True where there is any. */
  giveBack(kept: Spared): boolean {
    for (const batch of kept.take(this.#lane).toReversed()) {
      const { count, after = 0 } = batch;
      const results = [{ first: after + 1, failure: null, handed: true }];
      const of = { lane: this.#lane, gathering: this.#successor(), batches: [batch], results, count };
      this.#held.unshift({ ...of, last: after + count, atMs: performance.now(), isLost: false, state: 'held' });
    }
    this.#isDue = this.#held.length > 0;
    return this.#isDue;
  }

  /** The hub will never take these. True where some of it is held: that goes to disk. */
  lose({ first, last }: Loss): boolean {
    let isHeld = false;
    for (const held of this.#held) {
      if (held.last < (first ?? 0) || (held.results[0]?.first ?? 0) > (last ?? 0)) continue;
      held.isLost = true;
      this.#isDue = true;
      isHeld = true;
    }
    return isHeld;
  }

  /** For how long the oldest may still be held, 0 or less where that is over; Infinity where nothing is held. */
  leftMs(holdMs: number, nowMs: number): number {
    const first = this.#held.find(({ state }) => state === 'held');
    return first ? first.atMs + holdMs - nowMs : Infinity;
  }

  /** It was held too long: it goes to disk, and for a while so does what comes after it. */
  rest(nowMs: number): void {
    this.#isDue = true;
    this.#restsUntilMs = nowMs + REST_MS;
  }

  /** All that is held goes to disk. */
  writeAll(): void {
    if (this.#held.length > 0) this.#isDue = true;
  }

  /** Whether a commit should begin for what is here. */
  get isDue(): boolean {
    return this.#open !== null || (this.#isDue && this.#held.some(({ state }) => state === 'held'));
  }

  /** What goes into the commit that begins now; `isAlso`: something newer of the lane is in it. */
  take(isAlso: boolean, readerOf: (lane: number) => number): Part[] {
    const parts: Part[] = [];
    const isNewer = this.#open !== null || isAlso;
    if (this.#isDue || isNewer) {
      for (const held of this.#held) {
        held.state = 'writing';
        parts.push({ gathering: held.gathering, batches: held.batches, held });
      }
      this.#isDue = false;
    }
    if (this.#open) {
      const batches = this.#open.batches(readerOf).map((batch) => ({ ...batch, after: this.#given }));
      parts.push({ gathering: this.#open, batches, held: null });
    }
    this.#isBusy = isNewer;
    this.#open = null;
    return parts;
  }

  /** The commit kept nothing: it is tried again with the next one. */
  tryAgain(held: Held): void {
    held.state = 'held';
    this.#isDue = true;
  }

  settle(held: Held, results: readonly BatchResult[]): void {
    this.#held = this.#held.filter((one) => one !== held);
    held.state = 'settled';
    held.gathering.settle(results);
  }

  /** After each commit: the writer has numbered up to here. */
  learn(lastSequence: number): void {
    this.#given = Math.max(this.#given, lastSequence);
    this.#isBusy = false;
  }

  /** Whether numbers should be reserved even if nothing else is committed. */
  get isShort(): boolean {
    return this.#given + RESERVED_AHEAD / 2 > this.#reservedTo;
  }

  get reservation(): Reservation {
    const first = this.#held.find(({ state }) => state === 'held')?.results[0]?.first;
    // What is held is not given as far as the disk knows: it may still come, and nothing may pass it by.
    const given = first === undefined ? this.#given : first - 1;
    return { lane: this.#lane, given, to: this.#given + RESERVED_AHEAD };
  }

  /** The reservation is on the disk. */
  reserved(to: number): void {
    this.#reservedTo = Math.max(this.#reservedTo, to);
  }

  /** The store was opened: it knows of no reservation. */
  unreserve(): void {
    this.#reservedTo = 0;
  }
}
