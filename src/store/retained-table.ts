import type Database from 'better-sqlite3';
import type { RetainedLimits } from './protocol.ts';
import { costOf, packedBytes, packRows, type RetainedRow, unpackRows } from './retained-rows.ts';

/** Rows of one message to the main thread: it takes them in without holding up its loop. */
const CHUNK_BYTES = 256 * 1024;

/** What the main thread gets at the start. */
export interface RetainedLoad {
  chunks: Buffer[];
  /** Rows beyond the limits: they stay on the disk for a box with higher ones. */
  left: number;
}

/** The retained messages in SQLite, on the writer thread. */
export class RetainedTable {
  readonly #db: Database.Database;
  readonly #set: Database.Statement;
  readonly #clear: Database.Statement;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#set = db.prepare(
      'INSERT INTO retained (subject, headers, payload, qos, client, at_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ' +
        'ON CONFLICT (subject) DO UPDATE SET headers = excluded.headers, payload = excluded.payload, ' +
        'qos = excluded.qos, client = excluded.client, at_ms = excluded.at_ms, expires_ms = excluded.expires_ms',
    );
    this.#clear = db.prepare('DELETE FROM retained WHERE subject = ?');
  }

  /** Deletes what has expired by `nowMs` (0: the clock is not to be trusted), and packs the rest within the limits. */
  load({ countMax, bytesMax }: RetainedLimits, nowMs: number): RetainedLoad {
    if (nowMs > 0) {
      this.#db.prepare('DELETE FROM retained WHERE expires_ms > 0 AND expires_ms <= ?').run(nowMs);
    }
    const select = this.#db.prepare<[], RetainedRow>(
      'SELECT subject, headers, payload, qos, client, at_ms AS atMs, expires_ms AS expiresMs FROM retained',
    );
    const chunks: Buffer[] = [];
    let rows: RetainedRow[] = [];
    let chunkBytes = 0;
    let count = 0;
    let bytes = 0;
    for (const row of select.iterate()) {
      bytes += costOf(row);
      if (count === countMax || bytes > bytesMax) break;
      count++;
      rows.push(row);
      chunkBytes += packedBytes(row);
      if (chunkBytes < CHUNK_BYTES) continue;
      chunks.push(packRows(rows));
      rows = [];
      chunkBytes = 0;
    }
    if (rows.length > 0) chunks.push(packRows(rows));
    return { chunks, left: this.#count() - count };
  }

  #count(): number {
    return this.#db.prepare<[], { count: number }>('SELECT count(*) AS count FROM retained').get()?.count ?? 0;
  }

  /** Within the transaction of a commit. */
  apply(changes: Buffer): void {
    for (const { subject, headers, payload, qos, client, atMs, expiresMs } of unpackRows(changes)) {
      if (payload.length === 0) this.#clear.run(subject);
      else this.#set.run(subject, headers, payload, qos, client, atMs, expiresMs);
    }
  }
}
