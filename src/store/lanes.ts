import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import type Database from 'better-sqlite3';
import { DoubtWindow, type Span } from './doubt-window.ts';
import type { Ledger } from './ledger.ts';
import type {
  BatchResult,
  CommitBatch,
  LaneSettings,
  LaneState,
  Position,
  ReadBlob,
  StoreFailure,
  Watermark,
} from './protocol.ts';

/**
 * The lanes in SQLite, on the writer thread. A lane is a run of batches in one table; a batch is what came in between
 * two commits. Whole batches are appended, trimmed once the hub has acknowledged them, evicted and expired.
 */

/** Lane and first sequence share the row id, so that a lane is one range of the table. */
const LANE_STRIDE = 2 ** 44;
/** LANE_STRIDE * 512 is the largest safe integer. */
export const LANES_MAX = 500;
/** What a row costs besides its blob. */
const ROW_BYTES = 48;

interface Lane {
  readonly id: number;
  readonly settings: LaneSettings;
  lastSequence: number;
  cursor: number;
  /** Records in the batches that are kept; those up to the cursor are counted too. */
  records: number;
  bytes: number;
  /** First sequence and time of the oldest batch, 0 when the lane is empty. */
  oldestFirst: number;
  oldestMs: number;
  doubt: DoubtWindow;
  evicted: number;
  expired: number;
  refused: number;
}

interface BatchRow {
  id: number;
  count: number;
  newest_ms: number;
  size: number;
}

export class Lanes {
  readonly #db: Database.Database;
  readonly #ledger: Ledger;
  #lanes: Lane[] = [];
  #saved: Lane[] = [];
  /** The doubt windows are shared between a lane and its saved copy: what is done to them at the end, either way. */
  #afterCommit: (() => void)[] = [];
  #afterRollback: (() => void)[] = [];
  /** Set by the writer from its last look at the file system. */
  reserveReached = false;
  /** Bytes of the file that are free inside it: under the reserve, all lanes together may still fill these. */
  spareBytes = 0;

  readonly #insert: Database.Statement;
  readonly #oldest: Database.Statement<[number, number], BatchRow>;
  readonly #holding: Database.Statement<[number, number], number | null>;
  readonly #delete: Database.Statement;
  readonly #deleteRange: Database.Statement;
  readonly #saveLane: Database.Statement;
  readonly #savePosition: Database.Statement;

  constructor(db: Database.Database, ledger: Ledger) {
    this.#db = db;
    this.#ledger = ledger;
    this.#insert = db.prepare('INSERT INTO batch (id, count, newest_ms, crc, codec, data) VALUES (?, ?, ?, ?, 0, ?)');
    this.#oldest = db.prepare(
      'SELECT id, count, newest_ms, length(data) AS size FROM batch WHERE id > ? AND id < ? ORDER BY id LIMIT 1',
    );
    this.#holding = db
      .prepare<[number, number], number | null>('SELECT max(id) FROM batch WHERE id <= ? AND id > ?')
      .pluck() as unknown as Database.Statement<[number, number], number | null>;
    this.#delete = db.prepare('DELETE FROM batch WHERE id = ?');
    this.#deleteRange = db.prepare('DELETE FROM batch WHERE id >= ? AND id < ?');
    this.#saveLane = db.prepare(
      'UPDATE lane SET last_sequence = ?, cursor = ?, evicted = ?, expired = ?, refused = ? WHERE id = ?',
    );
    this.#savePosition = db.prepare(
      'INSERT INTO position (lane, stream, created, sequence) VALUES (?, ?, ?, ?) ' +
        'ON CONFLICT (lane, stream) DO UPDATE SET created = excluded.created, sequence = excluded.sequence',
    );
  }

  /** Finds or makes the configured lanes; lanes that only the store knows follow while they have records. */
  load(settings: readonly LaneSettings[]): void {
    const find = this.#db.prepare<[string], { id: number }>('SELECT id FROM lane WHERE name = ?');
    const make = this.#db.prepare('INSERT INTO lane (name) VALUES (?)');
    const lanes = settings.map((lane) =>
      this.#loadLane(find.get(lane.name)?.id ?? Number(make.run(lane.name).lastInsertRowid), lane),
    );
    const known = new Set(settings.map((lane) => lane.name));
    for (const row of this.#db.prepare<[], { id: number; name: string }>('SELECT id, name FROM lane').all()) {
      if (known.has(row.name)) continue;
      // Nothing is appended to it any more; what it holds still goes up, and nothing need be evicted.
      const left = this.#loadLane(row.id, { name: row.name, bytesMax: Infinity, ageMaxMs: 0, full: 'refuse' });
      if (left.records > 0) lanes.push(left);
    }
    assert(lanes.every((lane) => lane.id <= LANES_MAX));
    this.#lanes = lanes;
  }

  #loadLane(id: number, settings: LaneSettings): Lane {
    const row = this.#db
      .prepare<[number], { last_sequence: number; cursor: number; evicted: number; expired: number; refused: number }>(
        'SELECT last_sequence, cursor, evicted, expired, refused FROM lane WHERE id = ?',
      )
      .get(id);
    assert(row);
    const total = this.#db
      .prepare<[number, number], { records: number; bytes: number; last: number; batches: number }>(
        'SELECT coalesce(sum(count), 0) AS records, coalesce(sum(length(data)), 0) AS bytes, count(*) AS batches, ' +
          'coalesce(max(id), 0) AS last FROM batch WHERE id > ? AND id < ?',
      )
      .get(id * LANE_STRIDE, (id + 1) * LANE_STRIDE);
    assert(total);
    const lane: Lane = {
      id,
      settings,
      lastSequence: row.last_sequence,
      cursor: row.cursor,
      records: total.records,
      bytes: total.bytes + total.batches * ROW_BYTES,
      oldestFirst: 0,
      oldestMs: 0,
      doubt: new DoubtWindow(row.cursor, settings.bytesMax),
      evicted: row.evicted,
      expired: row.expired,
      refused: row.refused,
    };
    if (total.last > 0) {
      const last = this.#db
        .prepare<[number], { count: number }>('SELECT count FROM batch WHERE id = ?')
        .get(total.last);
      lane.lastSequence = Math.max(lane.lastSequence, total.last - id * LANE_STRIDE + (last?.count ?? 0) - 1);
    }
    this.#lookAtOldest(lane);
    if (this.positions(id).length > 0) this.#fillDoubt(lane);
    return lane;
  }

  /** After a crash, what the window can have held is taken to have been sent. */
  #fillDoubt(lane: Lane): void {
    for (const span of this.#spans(lane, lane.cursor)) if (!lane.doubt.admit(span)) return;
  }

  /** The batches that hold something behind `after`, oldest first. */
  *#spans(lane: Lane, after: number): Generator<Span & { id: number }> {
    const base = lane.id * LANE_STRIDE;
    // The batch that `after` lies in begins at or before it.
    let id = Math.max(base, (this.#holding.get(base + after + 1, base) ?? base) - 1);
    for (;;) {
      const row = this.#oldest.get(id, base + LANE_STRIDE);
      if (!row) return;
      id = row.id;
      const first = row.id - base;
      if (first + row.count - 1 > after) yield { id, first, count: row.count, bytes: row.size };
    }
  }

  positions(lane: number): Position[] {
    return this.#db
      .prepare<[number], Position>('SELECT stream, created, sequence FROM position WHERE lane = ?')
      .all(lane);
  }

  watermarks(): Watermark[] {
    return this.#lanes.map(({ id, cursor }, lane) => ({ lane, cursor, positions: this.positions(id), losses: [] }));
  }

  /** Called around every transaction, so that the figures in memory go back with it. */
  begin(): void {
    this.#saved = this.#lanes.map((lane) => ({ ...lane }));
    this.#afterCommit = [];
    this.#afterRollback = [];
  }

  rollback(): void {
    this.#lanes = this.#saved;
    for (const undo of this.#afterRollback.reverse()) undo();
  }

  committed(): void {
    for (const apply of this.#afterCommit) apply();
    this.#afterCommit = [];
  }

  append(batch: CommitBatch): BatchResult {
    const lane = this.#lane(batch.lane);
    const need = batch.length + ROW_BYTES;
    const full = this.#makeRoom(lane, need);
    if (full) {
      lane.refused += batch.count;
      this.#ledger.lose(lane.settings.name, 'refused', batch.count, null, null, full.message);
      this.#save(lane);
      return { first: 0, failure: full, handed: false };
    }
    const first = lane.lastSequence + 1;
    const handed = batch.reader > 0 && this.#hand(lane, { first, count: batch.count, bytes: batch.length });
    const data = batch.buffer.subarray(0, batch.length);
    this.#insert.run(lane.id * LANE_STRIDE + first, batch.count, batch.newestMs, crc32(data), data);
    lane.lastSequence += batch.count;
    lane.records += batch.count;
    lane.bytes += need;
    if (lane.oldestFirst === 0) {
      lane.oldestFirst = first;
      lane.oldestMs = batch.newestMs;
    }
    this.spareBytes = Math.max(0, this.spareBytes - need);
    return { first, failure: null, handed };
  }

  /**
   * True where the reader may have a new batch from memory: all before it is in the doubt window and it finds room there
   * itself. At once and not after the commit, because a later batch of the same commit may evict.
   */
  #hand(lane: Lane, span: Span): boolean {
    if (lane.doubt.end < lane.lastSequence || !lane.doubt.admit(span)) return false;
    this.#afterRollback.push(() => lane.doubt.release(lane.cursor, span.first - 1));
    return true;
  }

  /** Null when there is room, after eviction where the lane allows it. */
  #makeRoom(lane: Lane, need: number): StoreFailure | null {
    const { name, bytesMax, full } = lane.settings;
    // Under the reserve a lane may use the pages that its evictions and trims have freed, but the file may not grow.
    const limit = this.reserveReached ? Math.min(bytesMax, lane.bytes + this.spareBytes) : bytesMax;
    if (lane.bytes + need <= limit) return null;
    if (full === 'drop-oldest' && need <= limit) {
      while (lane.bytes + need > limit && this.#evictOldest(lane));
      if (lane.bytes + need <= limit) return null;
    }
    if (this.reserveReached) {
      return {
        code: 'disk_full',
        message: `lane ${name} may not grow: the free-space reserve of the disk is reached`,
        hint: 'free space on the disk of gateway.data, or lower journal.reserve',
      };
    }
    return {
      code: 'lane_full',
      message: `lane ${name} is full (${lane.bytes} of ${bytesMax} bytes)`,
      hint: 'bring the link to the hub back, raise max_bytes of the lane, or set full: drop-oldest',
    };
  }

  #evictOldest(lane: Lane): boolean {
    const row = this.#oldest.get(this.#key(lane, lane.doubt.end), (lane.id + 1) * LANE_STRIDE);
    if (!row) return false;
    lane.evicted += this.#drop(lane, row, 'evicted', 'the lane was full');
    this.#save(lane);
    return true;
  }

  /**
   * Deletes batches older than the lane's age limit. `nowMs` must be a trusted clock; what was stamped before `floorMs`
   * was stamped by a clock that was not, so its age is unknown and it stays.
   */
  expire(nowMs: number, floorMs: number): void {
    for (const lane of this.#lanes) {
      if (lane.settings.ageMaxMs === 0) continue;
      for (;;) {
        const row = this.#oldest.get(this.#key(lane, lane.doubt.end), (lane.id + 1) * LANE_STRIDE);
        if (!row || row.newest_ms >= nowMs - lane.settings.ageMaxMs || row.newest_ms < floorMs) break;
        lane.expired += this.#drop(lane, row, 'expired', 'older than max_age of the lane');
        this.#save(lane);
      }
    }
  }

  /** Declares a batch lost and deletes it; counts only what the cursor has not passed. */
  #drop(lane: Lane, row: BatchRow, reason: 'evicted' | 'expired' | 'corrupt', detail: string): number {
    const first = Math.max(row.id - lane.id * LANE_STRIDE, lane.cursor + 1);
    const last = row.id - lane.id * LANE_STRIDE + row.count - 1;
    const count = last - first + 1;
    if (count > 0) this.#ledger.lose(lane.settings.name, reason, count, first, last, detail);
    this.#delete.run(row.id);
    lane.records -= row.count;
    lane.bytes -= row.size + ROW_BYTES;
    this.#lookAtOldest(lane);
    return Math.max(count, 0);
  }

  /** Takes over what the hub has acknowledged, and deletes the batches that the cursor has wholly passed. */
  advance(watermark: Watermark): void {
    const lane = this.#lane(watermark.lane);
    for (const { reason, count, first, last, detail } of watermark.losses) {
      this.#ledger.lose(lane.settings.name, reason, count, first, last, detail);
    }
    for (const { stream, created, sequence } of watermark.positions) {
      this.#savePosition.run(lane.id, stream, created, sequence);
    }
    if (watermark.cursor <= lane.cursor) return;
    lane.cursor = watermark.cursor;
    this.#afterCommit.push(() => lane.doubt.advance(watermark.cursor));
    let until = 0;
    let id = lane.id * LANE_STRIDE;
    for (;;) {
      const row = this.#oldest.get(id, this.#key(lane, lane.cursor + 1));
      if (!row || row.id - lane.id * LANE_STRIDE + row.count - 1 > lane.cursor) break;
      id = row.id;
      until = row.id + 1;
      lane.records -= row.count;
      lane.bytes -= row.size + ROW_BYTES;
    }
    if (until > 0) this.#deleteRange.run(lane.id * LANE_STRIDE, until);
    this.#lookAtOldest(lane);
    this.#save(lane);
  }

  /**
   * Blobs behind `after`, checked; a damaged one is declared lost and passed over, so it runs in a transaction. `end`: up
   * to here the lane has nothing else.
   */
  read(index: number, after: number, bytesMax: number): { blobs: ReadBlob[]; end: number } {
    const lane = this.#lane(index);
    const select = this.#db.prepare<[number], { crc: number; codec: number; data: Buffer }>(
      'SELECT crc, codec, data FROM batch WHERE id = ?',
    );
    const blobs: ReadBlob[] = [];
    let bytes = 0;
    let end = after;
    for (const span of this.#spans(lane, after)) {
      if (blobs.length > 0 && bytes + span.bytes > bytesMax) return { blobs, end };
      if (!lane.doubt.admit(span)) return { blobs, end };
      end = span.first + span.count - 1;
      const row = select.get(span.id);
      assert(row);
      if (row.codec !== 0 || crc32(row.data) !== row.crc) {
        const damaged = { id: span.id, count: span.count, newest_ms: 0, size: span.bytes };
        this.#drop(lane, damaged, 'corrupt', 'the checksum of the stored batch is wrong');
        this.#save(lane);
        continue;
      }
      bytes += span.bytes;
      blobs.push({ first: span.first, count: span.count, bytes: row.data });
    }
    return { blobs, end: lane.lastSequence };
  }

  /** What may be at the hub ends at `end`: the rest may be evicted again, that must not. */
  release(index: number, end: number): void {
    const lane = this.#lane(index);
    lane.doubt.release(lane.cursor, end);
    if (lane.doubt.end >= end) return;
    for (const span of this.#spans(lane, lane.doubt.end)) {
      if (span.first > end) return;
      lane.doubt.add(span);
    }
  }

  state(): LaneState[] {
    return this.#lanes.map((lane) => ({
      name: lane.settings.name,
      depth: lane.records - (lane.oldestFirst > 0 ? Math.max(0, lane.cursor - lane.oldestFirst + 1) : 0),
      bytes: lane.bytes,
      lastSequence: lane.lastSequence,
      persistedCursor: lane.cursor,
      oldestMs: lane.oldestFirst > 0 ? lane.oldestMs : null,
      evicted: lane.evicted,
      expired: lane.expired,
      refused: lane.refused,
    }));
  }

  #lookAtOldest(lane: Lane): void {
    const row = this.#oldest.get(lane.id * LANE_STRIDE, (lane.id + 1) * LANE_STRIDE);
    lane.oldestFirst = row ? row.id - lane.id * LANE_STRIDE : 0;
    lane.oldestMs = row?.newest_ms ?? 0;
  }

  /** The counters also keep the last sequence when every batch is gone. */
  #save(lane: Lane): void {
    this.#saveLane.run(lane.lastSequence, lane.cursor, lane.evicted, lane.expired, lane.refused, lane.id);
  }

  #key(lane: Lane, sequence: number): number {
    return lane.id * LANE_STRIDE + sequence;
  }

  #lane(index: number): Lane {
    const lane = this.#lanes[index];
    assert(lane, `lane ${index} exists`);
    return lane;
  }
}
