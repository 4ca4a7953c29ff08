import type { BatchTable } from './batch-table.ts';
import type { Span } from './doubt-window.ts';
import type { Lane } from './lane-table.ts';

/**
 * What transactions do to the doubt windows of the lanes, on the writer thread. A window is shared between a lane and its
 * saved copy: so what is to be done to it at the end, either way, is kept here.
 */
export class Doubt {
  readonly #batches: BatchTable;
  #afterCommit: (() => void)[] = [];
  #afterRollback: (() => void)[] = [];

  constructor(batches: BatchTable) {
    this.#batches = batches;
  }

  /** Called around every transaction. */
  begin(): void {
    this.#afterCommit = [];
    this.#afterRollback = [];
  }

  rollback(): void {
    for (const undo of this.#afterRollback.reverse()) undo();
  }

  committed(): void {
    for (const apply of this.#afterCommit) apply();
    this.#afterCommit = [];
  }

  /** After a crash, what the window can have held is taken to have been sent. */
  fill(lane: Lane): void {
    for (const batch of this.#batches.behind(lane.id, lane.cursor)) if (!lane.doubt.admit(batch)) return;
  }

  /**
   * True where the reader may have a new batch from memory: all before it is in the doubt window and it finds room there
   * itself. At once and not after the commit, because a later batch of the same commit may evict.
   */
  hand(lane: Lane, span: Span): boolean {
    if (lane.doubt.end < lane.lastSequence || !lane.doubt.admit(span)) return false;
    this.#afterRollback.push(() => lane.doubt.release(lane.cursor, span.first - 1));
    return true;
  }

  /** The reader has had it from the saver: it is in doubt, whatever the bounds say. */
  sent(lane: Lane, span: Span): void {
    const before = Math.max(lane.doubt.end, span.first - 1);
    if (span.first + span.count - 1 <= lane.doubt.end) return;
    lane.doubt.add(span);
    this.#afterRollback.push(() => lane.doubt.release(lane.cursor, before));
  }

  /** The cursor has moved, once that is on disk. */
  advance(lane: Lane, cursor: number): void {
    this.#afterCommit.push(() => lane.doubt.advance(cursor));
  }

  /** What may be at the hub ends at `end`: the rest may be evicted again, that must not. Outside of a transaction. */
  release(lane: Lane, end: number): void {
    lane.doubt.release(lane.cursor, end);
    if (lane.doubt.end >= end) return;
    for (const batch of this.#batches.behind(lane.id, lane.doubt.end)) {
      if (batch.first > end) return;
      lane.doubt.add(batch);
    }
  }
}
