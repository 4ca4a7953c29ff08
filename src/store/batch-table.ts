import { crc32 } from 'node:zlib';
import type Database from 'better-sqlite3';
import { type Stored, unpack } from './codec.ts';
import type { Span } from './doubt-window.ts';

/**
 * The table of batches, on the writer thread: what came in for a lane between two commits is one row. Lane and first
 * sequence share the row id, so that a lane is one range of the table.
 */
export const LANE_STRIDE = 2 ** 44;
/** LANE_STRIDE * 512 is the largest safe integer. */
export const LANES_MAX = 500;
/** What a row costs besides its blob. */
export const ROW_BYTES = 48;

/** A batch without its records; `bytes` are those of the blob. */
export interface BatchRow extends Span {
  newestMs: number;
}

interface Row {
  id: number;
  count: number;
  newest_ms: number;
  size: number;
}

export class BatchTable {
  readonly #insert: Database.Statement;
  readonly #next: Database.Statement<[number, number], Row>;
  readonly #holding: Database.Statement<[number, number], number | null>;
  readonly #blob: Database.Statement<[number], { crc: number; codec: number; data: Buffer }>;
  readonly #delete: Database.Statement;
  readonly #totals: Database.Statement<[number, number], { records: number; bytes: number }>;
  readonly #last: Database.Statement<[number, number], { id: number; count: number }>;

  constructor(db: Database.Database) {
    this.#insert = db.prepare('INSERT INTO batch (id, count, newest_ms, crc, codec, data) VALUES (?, ?, ?, ?, ?, ?)');
    this.#next = db.prepare(
      'SELECT id, count, newest_ms, length(data) AS size FROM batch WHERE id > ? AND id < ? ORDER BY id LIMIT 1',
    );
    this.#holding = db
      .prepare<[number, number], number | null>('SELECT max(id) FROM batch WHERE id <= ? AND id > ?')
      .pluck() as unknown as Database.Statement<[number, number], number | null>;
    this.#blob = db.prepare('SELECT crc, codec, data FROM batch WHERE id = ?');
    this.#delete = db.prepare('DELETE FROM batch WHERE id = ?');
    this.#totals = db.prepare(
      `SELECT coalesce(sum(count), 0) AS records, coalesce(sum(length(data) + ${ROW_BYTES}), 0) AS bytes ` +
        'FROM batch WHERE id > ? AND id < ?',
    );
    this.#last = db.prepare('SELECT id, count FROM batch WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1');
  }

  insert(lane: number, first: number, count: number, newestMs: number, { codec, data }: Stored): void {
    this.#insert.run(lane * LANE_STRIDE + first, count, newestMs, crc32(data), codec, data);
  }

  /** The oldest batch that begins behind `after`. */
  next(lane: number, after: number): BatchRow | null {
    const row = this.#next.get(lane * LANE_STRIDE + after, (lane + 1) * LANE_STRIDE);
    return row ? present(row, lane) : null;
  }

  /** The batches that hold something behind `after`, oldest first. */
  *behind(lane: number, after: number): Generator<BatchRow> {
    const base = lane * LANE_STRIDE;
    // The batch that `after` lies in begins at or before it.
    let id = Math.max(base, (this.#holding.get(base + after + 1, base) ?? base) - 1);
    for (;;) {
      const row = this.#next.get(id, base + LANE_STRIDE);
      if (!row) return;
      id = row.id;
      const batch = present(row, lane);
      if (batch.first + batch.count - 1 > after) yield batch;
    }
  }

  /** The records of a batch; null where they are not what was written, or are gone. */
  read(lane: number, first: number): Buffer | null {
    const row = this.#blob.get(lane * LANE_STRIDE + first);
    return row && crc32(row.data) === row.crc ? unpack(row.codec, row.data) : null;
  }

  delete(lane: number, first: number): void {
    this.#delete.run(lane * LANE_STRIDE + first);
  }

  /**
   * Records, and bytes with what the rows cost, of the batches that begin behind `after` and before `before`. Looks at
   * each of them.
   */
  totals(lane: number, after: number, before = LANE_STRIDE): { records: number; bytes: number } {
    return this.#totals.get(lane * LANE_STRIDE + after, lane * LANE_STRIDE + before) ?? { records: 0, bytes: 0 };
  }

  /** The last sequence in the table, 0 where there is no batch. */
  lastSequence(lane: number): number {
    const row = this.#last.get(lane * LANE_STRIDE, (lane + 1) * LANE_STRIDE);
    return row ? row.id - lane * LANE_STRIDE + row.count - 1 : 0;
  }
}

function present({ id, count, newest_ms, size }: Row, lane: number): BatchRow {
  return { first: id - lane * LANE_STRIDE, count, bytes: size, newestMs: newest_ms };
}
