import assert from 'node:assert/strict';
import type { Loss } from './losses.ts';
import type { Former, Numbers, Position, Watermark } from './protocol.ts';

/** Acknowledged records after which a cursor goes to disk with the next commit; trim in chunks costs fewer writes. */
const RIDE_RECORDS = 1_000;
/** And after which it goes alone. Well below the doubt window, so that a drain never waits for it. */
const ALONE_RECORDS = 4_096;
/** A cursor that lags less rides along after this time; the reconcile step covers what a crash makes of the lag. */
const RIDE_MS = 60_000;
/** Where nothing comes in to ride with, it goes alone after this time, so that the space is freed. */
const ALONE_MS = 120_000;

interface Cursor {
  cursor: number;
  /** Records that it has passed in this run. Sequences don't tell: where some were evicted there are holes. */
  passed: number;
  /** The same at the cursor that is on disk, then at those on their way there. */
  marks: { cursor: number; passed: number }[];
  /** As in the last watermark that was sent to the writer. */
  saved: number;
  savedAtMs: number;
  positions: Position[];
  isSparse: boolean;
  readonly formers: readonly Former[];
  /** See unkept.ts. */
  unkept: readonly Numbers[];
  /** What the cursor is about to pass without its being at the hub: as many as are in flight at the most. */
  losses: Loss[];
  /** Goes to disk at once: a stream is new, something was lost, or a reader waits. */
  urgent: boolean;
  /** The writer is about to take it back: nothing of it may be written meanwhile. */
  isHeld: boolean;
}

/**
 * How far the hub has acknowledged each lane, and when that is worth a write to the card. Times are monotonic
 * milliseconds: the wall clock of a box may jump.
 */
export class Cursors {
  readonly #cursors: Cursor[];

  constructor(watermarks: readonly Watermark[], nowMs: number) {
    this.#cursors = watermarks.map(({ cursor, positions, isSparse = false, formers = [], unkept = [] }) => ({
      cursor,
      isSparse,
      formers,
      unkept,
      passed: 0,
      marks: [{ cursor, passed: 0 }],
      saved: cursor,
      savedAtMs: nowMs,
      positions,
      losses: [],
      urgent: false,
      isHeld: false,
    }));
  }

  of(lane: number): Readonly<Pick<Cursor, 'cursor' | 'isSparse' | 'formers' | 'unkept'>> & {
    positions: readonly Position[];
  } {
    return this.#at(lane);
  }

  /** True where the cursor should be written even if no message comes along. */
  acknowledge(lane: number, cursor: number, count: number): boolean {
    const entry = this.#at(lane);
    assert(cursor >= entry.cursor);
    entry.cursor = cursor;
    entry.passed += count;
    if (entry.losses.some(({ last }) => passed(last, cursor))) entry.urgent = true;
    return entry.urgent || cursor - entry.saved >= ALONE_RECORDS;
  }

  /** The writer's word on which cursor is on disk. */
  persisted(lane: number, cursor: number): void {
    const { marks } = this.#at(lane);
    const reached = marks.findIndex((mark) => mark.cursor === cursor);
    if (reached > 0) marks.splice(0, reached);
  }

  /** Records between the cursor on disk and the one here. */
  unsaved(lane: number): number {
    const { passed, marks } = this.#at(lane);
    return passed - (marks[0]?.passed ?? 0);
  }

  /** Goes to the ledger in the commit in which the cursor passes it; the same loss may be named again until then. */
  lose(loss: Loss): void {
    const { losses } = this.#at(loss.lane);
    if (!losses.some(({ first }) => first === loss.first)) losses.push(loss);
  }

  /** True where the position must be on disk before anything is sent to that stream. */
  place(lane: number, position: Position): boolean {
    const entry = this.#at(lane);
    const known = entry.positions.find(({ stream }) => stream === position.stream);
    entry.positions = [...entry.positions.filter((other) => other !== known), position];
    if (known?.created === position.created) return false;
    entry.urgent = true;
    return true;
  }

  /** Takes `place` back, because it did not get to disk: the stream's position is what it was before. */
  displace(lane: number, stream: string, before: Position | undefined): void {
    const entry = this.#at(lane);
    entry.positions = entry.positions.filter((other) => other.stream !== stream);
    if (before) entry.positions.push(before);
  }

  /** The watermarks worth writing now. `riding`: messages are committed anyway. */
  due(riding: boolean, nowMs: number): Watermark[] {
    const due: Watermark[] = [];
    this.#cursors.forEach((entry, lane) => {
      if (entry.isHeld) return;
      const lag = entry.cursor - entry.saved;
      const age = nowMs - entry.savedAtMs;
      const worth = lag >= (riding ? RIDE_RECORDS : ALONE_RECORDS) || (lag > 0 && age > (riding ? RIDE_MS : ALONE_MS));
      if (worth || entry.urgent) due.push(this.#take(entry, lane, nowMs));
    });
    return due;
  }

  all(nowMs: number): Watermark[] {
    return this.#cursors.map((entry, lane) => this.#take(entry, lane, nowMs));
  }

  hold(lane: number, isHeld: boolean): void {
    this.#at(lane).isHeld = isHeld;
  }

  /** The cursor on disk is an earlier one from now on. */
  rewind({ lane, cursor, positions, isSparse, unkept = [] }: Watermark): void {
    const entry = this.#at(lane);
    entry.unkept = unkept;
    entry.isSparse ||= isSparse === true;
    entry.cursor = cursor;
    entry.saved = cursor;
    entry.passed = 0;
    entry.marks = [{ cursor, passed: 0 }];
    entry.positions = positions;
    entry.urgent = false;
  }

  /** What is left of them once more is known. */
  settle(lane: number, unkept: readonly Numbers[]): void {
    this.#at(lane).unkept = unkept;
  }

  /** True where the cursor has passed losses that are not in the ledger yet: they go there with the next commit. */
  isLosing(lane: number): boolean {
    const entry = this.#at(lane);
    const isLosing = entry.losses.some(({ last }) => passed(last, entry.cursor));
    entry.urgent ||= isLosing;
    return isLosing;
  }

  /** A reader waits for the doubt window to move: the cursor goes to disk at once if it has moved at all. */
  urge(lane: number): boolean {
    const entry = this.#at(lane);
    if (entry.cursor > entry.saved) entry.urgent = true;
    return entry.urgent;
  }

  /** The write failed: what it carried is due again. */
  restore(watermarks: readonly Watermark[]): void {
    for (const { lane, losses } of watermarks) {
      const entry = this.#at(lane);
      entry.marks.splice(1);
      entry.saved = 0;
      entry.urgent = true;
      entry.losses.unshift(...losses);
    }
  }

  #take(entry: Cursor, lane: number, nowMs: number): Watermark {
    entry.saved = entry.cursor;
    entry.savedAtMs = nowMs;
    entry.urgent = false;
    const { cursor, passed: count } = entry;
    if (entry.marks.at(-1)?.cursor !== cursor) entry.marks.push({ cursor, passed: count });
    const losses = entry.losses.filter(({ last }) => passed(last, cursor));
    if (losses.length > 0) entry.losses = entry.losses.filter(({ last }) => !passed(last, cursor));
    return { lane, cursor, positions: entry.positions.slice(), losses };
  }

  #at(lane: number): Cursor {
    const entry = this.#cursors[lane];
    assert(entry, `lane ${lane} exists`);
    return entry;
  }
}

function passed(last: number | null, cursor: number): boolean {
  return last !== null && last <= cursor;
}
