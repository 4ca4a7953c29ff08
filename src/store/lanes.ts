import assert from 'node:assert/strict';
import type Database from 'better-sqlite3';
import { type BatchRow, BatchTable, LANES_MAX, ROW_BYTES } from './batch-table.ts';
import { Codec } from './codec.ts';
import { Doubt } from './doubt.ts';
import { formersIn } from './former-epochs.ts';
import { Grace } from './grace.ts';
import { blobsOf, type LaneBlobs } from './lane-blobs.ts';
import { LaneRoom } from './lane-room.ts';
import { type Lane, LaneTable } from './lane-table.ts';
import type { Ledger } from './ledger.ts';
import type {
  BatchResult,
  CommitBatch,
  KeepSettings,
  LaneSettings,
  LaneState,
  Numbers,
  Reservation,
  Rollback,
  Watermark,
} from './protocol.ts';
import { ReservedNumbers } from './reserved-numbers.ts';
import { Rewinding, type Rewound } from './rewinding.ts';
import { Totals } from './totals.ts';
import { UnkeptNumbers } from './unkept.ts';

/**
 * The lanes in SQLite, on the writer thread. A lane is a run of batches in one table; a batch is what came in between
 * two commits. Whole batches are appended, trimmed once the hub has acknowledged them, evicted and expired.
 */
export class Lanes {
  readonly #db: Database.Database;
  readonly #ledger: Ledger;
  readonly #table: LaneTable;
  readonly #batches: BatchTable;
  readonly #doubt: Doubt;
  readonly #grace: Grace;
  readonly #totals: Totals;
  readonly #reserved: ReservedNumbers;
  readonly #unkept: UnkeptNumbers;
  readonly #rewinding: Rewinding;
  #formersOf: ReturnType<typeof formersIn> = () => [];
  #lanes: Lane[] = [];
  #saved: Lane[] = [];
  readonly room: LaneRoom;

  constructor(db: Database.Database, ledger: Ledger, keep: KeepSettings) {
    this.#db = db;
    this.#ledger = ledger;
    this.#table = new LaneTable(db);
    this.#batches = new BatchTable(db);
    this.#doubt = new Doubt(this.#batches);
    this.#grace = new Grace(db, keep);
    this.#totals = new Totals(db, this.#batches);
    this.#reserved = new ReservedNumbers(db, this.#batches, ledger);
    this.#unkept = new UnkeptNumbers(db, this.#batches, ledger);
    this.#rewinding = new Rewinding(this.#table, this.#grace, this.#unkept, ledger);
    this.room = new LaneRoom(this.#batches, this.#grace, ledger, {
      save: (lane) => this.#save(lane),
      lookAtOldest: (lane) => this.#lookAtOldest(lane),
    });
  }

  /**
   * Finds or makes the configured lanes; lanes that only the store knows follow while they have records. `before`: the
   * lanes at the last opening, which keep their order; what they had and the store has no more is lost.
   */
  load(settings: readonly LaneSettings[], before: readonly LaneState[] = []): void {
    this.#formersOf = formersIn(this.#db);
    // Nothing is appended to one that is not configured; what it holds still goes up, and nothing need be evicted.
    const unconfigured = (name: string) => ({ name, bytesMax: Infinity, ageMaxMs: 0, full: 'refuse' as const });
    const all = [...settings, ...before.slice(settings.length).map(({ name }) => unconfigured(name))];
    const lanes = all.map((lane) => this.#load(this.#table.idOf(lane.name), lane));
    for (const [index, { lastSequence }] of before.entries()) this.#missTail(lanes[index], lastSequence);
    const known = new Set(all.map((lane) => lane.name));
    for (const { id, name } of this.#table.all()) {
      if (known.has(name)) continue;
      const left = this.#load(id, unconfigured(name));
      if (left.records > 0) lanes.push(left);
    }
    assert(lanes.every((lane) => lane.id <= LANES_MAX));
    this.#lanes = lanes;
  }

  #load(id: number, settings: LaneSettings): Lane {
    const lane = this.#table.load(id, settings);
    lane.lastSequence = Math.max(lane.lastSequence, this.#batches.lastSequence(id));
    this.#lookAtOldest(lane);
    this.#totals.load(lane);
    this.#grace.load(lane, performance.now());
    if (this.#table.positions(id).length > 0) this.#doubt.fill(lane);
    const given = this.#reserved.load(lane);
    lane.isSparse = given !== null;
    lane.formers = this.#formersOf(settings.name);
    lane.unkept = this.#unkept.load(lane);
    if (given !== null) this.#unkept.note(lane, lane.cursor + 1, given);
    return lane;
  }

  #missTail(lane: Lane | undefined, lastSequence: number): void {
    if (!lane || lane.lastSequence >= lastSequence) return;
    const [first, count] = [lane.lastSequence + 1, lastSequence - lane.lastSequence];
    this.#ledger.lose(lane.settings.name, 'corrupt', count, first, lastSequence, 'no longer in the store');
    lane.lastSequence = lastSequence;
    this.#save(lane);
  }

  /** Takes over how far numbers may be given that are not on disk yet. */
  reserve({ lane: index, given, to }: Reservation): void {
    const lane = this.#lane(index);
    lane.lastSequence = Math.max(lane.lastSequence, given);
    lane.reservedTo = Math.max(lane.reservedTo, to);
    this.#reserved.note(lane, given, lane.reservedTo);
    this.#save(lane);
  }

  /** At the stop: where only these figures survive, they tell what is missing. `given`: last numbers given, by lane. */
  save(given: readonly number[]): void {
    for (const [index, lane] of this.#lanes.entries()) {
      lane.lastSequence = Math.max(lane.lastSequence, given[index] ?? 0);
      if (lane.reservedTo > 0) this.#reserved.clear(lane);
      lane.reservedTo = 0;
      this.#save(lane);
    }
  }

  watermarks(): Watermark[] {
    return this.#lanes.map((lane, index) => this.#watermark(lane, index));
  }

  #watermark({ id, cursor, isSparse, formers, unkept }: Lane, lane: number): Watermark {
    const isTorn = isSparse || unkept.length > 0;
    return { lane, cursor, isSparse: isTorn, formers, unkept, positions: this.#table.positions(id), losses: [] };
  }

  /** Called around every transaction, so that the figures in memory go back with it. */
  begin(): void {
    this.#saved = this.#lanes.map((lane) => ({ ...lane }));
    this.#doubt.begin();
  }

  rollback(): void {
    this.#lanes = this.#saved;
    this.#doubt.rollback();
  }

  committed(): void {
    this.#doubt.committed();
  }

  append(batch: CommitBatch): BatchResult {
    const lane = this.#lane(batch.lane);
    const plain = batch.buffer.subarray(0, batch.length);
    const stored = lane.deflater?.pack(plain) ?? { codec: Codec.plain, data: plain };
    const need = stored.data.length + ROW_BYTES;
    const full = this.room.make(lane, need, this.#lanes);
    if (full) {
      lane.refused += batch.count;
      this.#ledger.lose(lane.settings.name, 'refused', batch.count, null, null, full.message);
      this.#save(lane);
      return { first: 0, failure: full, handed: false };
    }
    const { count, after = 0, isNumbered = false } = batch;
    const first = isNumbered ? after + 1 : Math.max(lane.lastSequence, after) + 1;
    const span = { first, count, bytes: stored.data.length };
    const handed = batch.reader > 0 && this.#doubt.hand(lane, span);
    if (isNumbered) this.#doubt.sent(lane, span);
    this.#batches.insert(lane.id, first, batch.count, batch.newestMs, stored);
    const isLate = first < lane.lastSequence;
    lane.lastSequence = Math.max(lane.lastSequence, first + count - 1);
    lane.records += batch.count;
    lane.bytes += need;
    // A start counts only what is behind the last sequence of the totals.
    if (isLate) this.#totals.save(lane);
    else this.#totals.grown(lane);
    if (lane.oldestFirst === 0) {
      lane.oldestFirst = first;
      lane.oldestMs = batch.newestMs;
    }
    this.room.taken(need);
    return { first, failure: null, handed };
  }

  /** Takes over what the hub has acknowledged; batches that the cursor has wholly passed are kept for a while. */
  advance(watermark: Watermark): void {
    const lane = this.#lane(watermark.lane);
    for (const { reason, count, first, last, detail } of watermark.losses) {
      this.#ledger.lose(lane.settings.name, reason, count, first, last, detail);
    }
    const nowMs = performance.now();
    if (watermark.cursor > lane.cursor) this.#grace.begin(lane, this.#table.positions(lane.id), nowMs);
    for (const position of watermark.positions) this.#table.place(lane.id, position);
    if (watermark.cursor <= lane.cursor) return;
    lane.cursor = watermark.cursor;
    this.#doubt.advance(lane, watermark.cursor);
    let row = lane.oldestFirst > 0 ? this.#batches.next(lane.id, lane.oldestFirst - 1) : null;
    for (; row && row.first + row.count - 1 <= lane.cursor; row = this.#batches.next(lane.id, row.first)) {
      lane.keptRecords += row.count;
      lane.keptBytes += row.bytes + ROW_BYTES;
    }
    this.#lookAtOldest(lane);
    this.#grace.note(lane, watermark.positions, nowMs);
    this.room.trimOne(lane, nowMs);
    this.#save(lane);
  }

  /** Deletes what is too old. `floorMs`: see LaneRoom. */
  expire(nowMs: number, floorMs: number): void {
    this.room.expire(this.#lanes, nowMs, floorMs);
  }

  /** Now and then: deletes what was kept long enough, and all that is kept where the disk needs the space. */
  trim(nowMs: number): void {
    this.room.trim(this.#lanes, nowMs);
  }

  /** True where `trim` has something to do. */
  isTrimDue(nowMs: number): boolean {
    return this.room.isTrimDue(this.#lanes, nowMs);
  }

  /** Takes `cursor`, as it is in memory, back to before what a stream has lost. */
  rewind(index: number, cursor: number, rollback: Rollback): Rewound {
    const lane = this.#lane(index);
    const isShort = this.#rewinding.rewind(lane, cursor, rollback);
    if (isShort === null) return { watermark: null, isShort: false };
    this.#lookAtOldest(lane);
    this.#totals.recount(lane);
    this.#save(lane);
    return { watermark: this.#watermark(lane, index), isShort };
  }

  /** See UnkeptNumbers. */
  settle(index: number, lacking: readonly Numbers[], isAll: boolean): void {
    this.#unkept.settle(this.#lane(index), lacking, isAll);
  }

  /**
   * Blobs behind `after`, checked; a damaged one is declared lost and passed over, so it runs in a transaction. `end`: up
   * to here the lane has nothing else.
   */
  read(index: number, after: number, bytesMax: number): LaneBlobs {
    const lane = this.#lane(index);
    const damaged = (batch: BatchRow): void => {
      this.room.drop(lane, batch, 'corrupt', 'the checksum of the stored batch is wrong');
      this.#save(lane);
    };
    return blobsOf(this.#batches, lane, after, bytesMax, (batch) => lane.doubt.admit(batch), damaged);
  }

  /** The same for somebody who only looks: nothing changes by it, and a damaged blob is passed over. */
  look(index: number, after: number, bytesMax: number): LaneBlobs {
    const nothing = (): void => undefined;
    return blobsOf(this.#batches, this.#lane(index), after, bytesMax, () => true, nothing);
  }

  /** What may be at the hub ends at `end`: the rest may be evicted again, that must not. */
  release(index: number, end: number): void {
    this.#doubt.release(this.#lane(index), end);
  }

  state(): LaneState[] {
    return this.#lanes.map((lane) => ({
      name: lane.settings.name,
      depth:
        lane.records - lane.keptRecords - (lane.oldestFirst > 0 ? Math.max(0, lane.cursor - lane.oldestFirst + 1) : 0),
      bytes: lane.bytes - lane.keptBytes,
      keptBytes: lane.keptBytes,
      lastSequence: lane.lastSequence,
      persistedCursor: lane.cursor,
      oldestMs: lane.oldestFirst > 0 ? lane.oldestMs : null,
      evicted: lane.evicted,
      expired: lane.expired,
      refused: lane.refused,
    }));
  }

  #lookAtOldest(lane: Lane): void {
    const { value: row } = this.#batches.behind(lane.id, lane.cursor).next();
    lane.oldestFirst = row?.first ?? 0;
    lane.oldestMs = row?.newestMs ?? 0;
  }

  #save(lane: Lane): void {
    this.#table.save(lane);
    this.#totals.save(lane);
  }

  #lane(index: number): Lane {
    const lane = this.#lanes[index];
    assert(lane, `lane ${index} exists`);
    return lane;
  }
}
