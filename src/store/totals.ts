import type Database from 'better-sqlite3';
import type { BatchTable } from './batch-table.ts';
import type { Lane } from './lane-table.ts';

/**
 * What the batches of a lane add up to, in a small table, so that a start with gigabytes waiting looks at a few rows. It
 * is written with the lane's row, and now and then while a lane only grows; batches behind it are counted at the start.
 */

/** Batches that a start has to look at, at the most. */
const UNCOUNTED_MAX = 1_024;

interface Row {
  reached: number;
  records: number;
  bytes: number;
  kept_records: number;
  kept_bytes: number;
}

export class Totals {
  readonly #batches: BatchTable;
  readonly #save: Database.Statement;
  readonly #load: Database.Statement<[number, number, number, number], Row>;

  constructor(db: Database.Database, batches: BatchTable) {
    this.#batches = batches;
    this.#save = db.prepare(
      'INSERT OR REPLACE INTO total (lane, reached, records, bytes, kept_records, kept_bytes, cursor, evicted, expired) ' +
        'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#load = db.prepare(
      'SELECT reached, records, bytes, kept_records, kept_bytes FROM total ' +
        'WHERE lane = ? AND cursor = ? AND evicted = ? AND expired = ?',
    );
  }

  /** Sets the figures of a lane that was just loaded; its oldest batch is known. */
  load(lane: Lane): void {
    const { id, cursor, evicted, expired } = lane;
    const row = this.#load.get(id, cursor, evicted, expired);
    const { records, bytes } = this.#batches.totals(id, row?.reached ?? 0);
    lane.records = (row?.records ?? 0) + records;
    lane.bytes = (row?.bytes ?? 0) + bytes;
    lane.keptRecords = row?.kept_records ?? 0;
    lane.keptBytes = row?.kept_bytes ?? 0;
    if (!row) this.recount(lane);
  }

  /** What is kept is all before the oldest batch that the cursor has not wholly passed. */
  recount(lane: Lane): void {
    const before = lane.oldestFirst > 0 ? this.#batches.totals(lane.id, 0, lane.oldestFirst) : lane;
    lane.keptRecords = before.records;
    lane.keptBytes = before.bytes;
  }

  save(lane: Lane): void {
    const { id, lastSequence, records, bytes, keptRecords, keptBytes, cursor, evicted, expired } = lane;
    this.#save.run(id, lastSequence, records, bytes, keptRecords, keptBytes, cursor, evicted, expired);
    lane.uncounted = 0;
  }

  /** A batch has come in. */
  grown(lane: Lane): void {
    if (++lane.uncounted >= UNCOUNTED_MAX) this.save(lane);
  }
}

/** For who changes batches without a Lane: the next start counts them anew. */
export function forgetTotal(db: Database.Database, lane: number): void {
  const known = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'total'").get();
  if (known) db.prepare('DELETE FROM total WHERE lane = ?').run(lane);
}
