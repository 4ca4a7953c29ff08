import { Ranges } from '../core/ranges.ts';
import type { Commits } from './commits.ts';
import type { Cursors } from './cursors.ts';
import type { LaneStates } from './lane-states.ts';
import type { Loss } from './losses.ts';
import type { Position, Rollback } from './protocol.ts';
import { BatchReader, type Record } from './record.ts';
import type { Saver } from './saver.ts';
import { failureError } from './store-error.ts';
import type { Tail } from './tails.ts';
import type { WriterThread } from './writer-thread.ts';

/** Bytes of one read. */
const READ_BYTES = 256 * 1024;

/** What a read gives: up to `end` the lane has nothing but these batches. */
export interface Stretch {
  batches: BatchReader[];
  end: number;
}

/** What the lanes have, for whoever sends it up or looks at it, and how far the hub has it. Lanes go by their index. */
export class LaneRecords {
  readonly #lanes: LaneStates;
  readonly #commits: Commits;
  readonly #writer: WriterThread;
  readonly #saver: Saver | null;
  readonly #epoch: () => string;

  constructor(lanes: LaneStates, commits: Commits, writer: WriterThread, saver: Saver | null, epoch: () => string) {
    this.#lanes = lanes;
    this.#commits = commits;
    this.#writer = writer;
    this.#saver = saver;
    this.#epoch = epoch;
  }

  get epoch(): string {
    return this.#epoch();
  }

  /** Declares who reads a lane's records as they are committed. */
  follow(lane: number, tail: Tail): void {
    this.#lanes.tails.follow(lane, tail);
  }

  /** Batches behind `after`, oldest first; none at the end of the lane, or of what may be in doubt at once. */
  async read(lane: number, after: number): Promise<Stretch> {
    const { blobs, end } = await this.#writer.ask('blobs', { kind: 'read', lane, after, bytesMax: READ_BYTES });
    if (blobs.length === 0 && this.#lanes.cursors.urge(lane)) this.#commits.schedule();
    const batches = blobs.map(({ first, count, bytes }) => new BatchReader(bufferOf(bytes), first, count));
    return { batches, end };
  }

  /**
   * Records of a lane behind `after`, oldest first, for somebody who only looks: what waits, and of what the hub has what
   * is kept. Rejects where the store is not open.
   */
  async *look(lane: number, after: number): AsyncGenerator<Record> {
    let end = after;
    for (;;) {
      const known = end;
      const looked = await this.#writer.ask('blobs', { kind: 'look', lane, after: known, bytesMax: READ_BYTES });
      for (const { first, count, bytes } of looked.blobs) {
        const batch = new BatchReader(bufferOf(bytes), first, count);
        for (let record = batch.next(); record !== null; record = batch.next()) {
          if (record.sequence > known) yield record;
        }
      }
      end = looked.end;
      if (looked.blobs.length === 0 || end === known) return;
    }
  }

  /** Where a lane stands with the hub. */
  resume(lane: number): ReturnType<Cursors['of']> & { lastSequence: number } {
    const { cursor, positions, isSparse, formers, unkept } = this.#lanes.cursors.of(lane);
    return { cursor, positions, isSparse, formers, unkept, lastSequence: this.lastSequence(lane) };
  }

  /** On disk or only in memory yet. */
  lastSequence(lane: number): number {
    return Math.max(this.#lanes.of(lane)?.lastSequence ?? 0, this.#saver?.given(lane) ?? 0);
  }

  /**
   * Every record of the lane up to `cursor` is at the hub or in the ledger; `count` of them since the last call. Goes to
   * disk with a later commit.
   */
  acknowledge(lane: number, cursor: number, count: number): void {
    const spared = this.#saver?.passed(lane, cursor) ?? 0;
    if (this.#lanes.cursors.acknowledge(lane, cursor, count - spared) || this.#saver?.isShort) this.#commits.schedule();
  }

  /**
   * No record of the lane behind its cursor lies in the stream at or before `position.sequence`. For a stream that the
   * lane meets for the first time it resolves once that is on disk; nothing may be sent there before.
   */
  place(lane: number, position: Position): Promise<void> {
    const { cursors } = this.#lanes;
    const before = cursors.of(lane).positions.find(({ stream }) => stream === position.stream);
    if (!cursors.place(lane, position)) return Promise.resolve();
    return this.#commits.whenDone().catch((error: unknown) => {
      this.#lanes.cursors.displace(lane, position.stream, before);
      throw error;
    });
  }

  /**
   * A stream of the lane has less than it had acknowledged: the lane goes back to before that, as far as it is kept.
   * `isShort` where that is not far enough, and nobody knows what is missing before. Nothing may be under way in the lane.
   * Rejects with store_failed or disk_full: it stays where it is.
   */
  async rewind(lane: number, rollback: Rollback): Promise<{ isBack: boolean; isShort: boolean }> {
    const { cursors } = this.#lanes;
    if (this.#saver?.giveBack(lane)) await this.#commits.whenDone();
    // What had no room there is in the ledger first, so that it is not told of twice.
    if (cursors.isLosing(lane)) await this.#commits.whenDone();
    cursors.hold(lane, true);
    try {
      const { cursor } = cursors.of(lane);
      const answer = await this.#writer.ask('rewound', { kind: 'rewind', lane, cursor, rollback });
      const { watermark, isShort, failure } = answer;
      if (failure) throw failureError(failure);
      // Of what the saver left to the hub alone, not all may be on the disk.
      if (watermark) cursors.rewind({ ...watermark, isSparse: watermark.isSparse || this.#saver !== null });
      return { isBack: watermark !== null && watermark.cursor < cursor, isShort };
    } finally {
      cursors.hold(lane, false);
    }
  }

  /**
   * The streams were read back: of its unkept numbers the lane lacks all but `stored` and what is up to `upTo`. `isAll`: in
   * every stream, so that these are lost. Rejects with store_failed or disk_full: it is to be told again.
   */
  async settle(lane: number, stored: ReadonlySet<number>, upTo: number, isAll: boolean): Promise<void> {
    const { cursors } = this.#lanes;
    const there = new Ranges();
    if (upTo > 0) there.add(1, upTo);
    for (const sequence of stored) there.add(sequence);
    const lacking = cursors.of(lane).unkept.flatMap(([first, last]) => there.missing(first, last));
    const { failure } = await this.#writer.ask('marked', { kind: 'settle', lane, lacking, isAll });
    if (failure) throw failureError(failure);
    cursors.settle(lane, isAll ? [] : lacking);
  }

  /** The reader has forgotten what it did not send; what it may have sent ends at `end`. */
  release(lane: number, end: number): void {
    this.#writer.post({ kind: 'release', lane, end });
  }

  /** A record that the hub will never take: it is in the ledger once the cursor, on disk, has passed it. */
  lose(loss: Loss): void {
    this.#lanes.cursors.lose(loss);
    this.#saver?.lost(loss);
  }
}

/** A buffer comes out of a thread as a plain Uint8Array. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
