import type Database from 'better-sqlite3';
import { Ranges } from '../core/ranges.ts';
import type { LedgerRow, Reason } from './losses.ts';

/** Longer details, in which a hub may quote itself, are cut. */
const DETAIL_LENGTH_MAX = 256;
/** Rows that the status page gets; older ones stay in the store. */
const ROWS_SHOWN = 100;
/** Declared rows that are kept: the hub has them, the box shows the newest. */
const ROWS_KEPT = 10_000;

interface Row extends Omit<LedgerRow, 'declared'> {
  id: number;
  declared: number;
}

const COLUMNS = 'id, lane, reason, count, first, last, at_ms AS atMs, detail, declared';

/**
 * What will not reach the hub, on the writer thread. A row stays open until its message is journaled; as long as it is,
 * losses that touch it grow it, so that a flood of evictions during an outage is one row.
 */
export class Ledger {
  readonly #db: Database.Database;
  #undeclared: number;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#undeclared = Number(db.prepare('SELECT count(*) FROM ledger WHERE declared = 0').pluck().get());
  }

  get undeclared(): number {
    return this.#undeclared;
  }

  /** Call inside the transaction that loses the records. */
  lose(lane: string, reason: Reason, count: number, first: number | null, last: number | null, detail: string): void {
    const atMs = Date.now();
    const why = detail.slice(0, DETAIL_LENGTH_MAX);
    const open = this.#db
      .prepare<[string, string], Row>(
        `SELECT ${COLUMNS} FROM ledger WHERE declared = 0 AND lane = ? AND reason = ? ORDER BY id DESC LIMIT 1`,
      )
      .get(lane, reason);
    const touches = open && (first === null ? open.first === null : open.last === first - 1);
    if (open && touches) {
      this.#db
        .prepare('UPDATE ledger SET count = count + ?, last = ?, at_ms = ? WHERE id = ?')
        .run(count, last, atMs, open.id);
      return;
    }
    this.#db
      .prepare('INSERT INTO ledger (lane, reason, count, first, last, at_ms, detail) VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(lane, reason, count, first, last, atMs, why);
    this.#undeclared++;
  }

  /** Hands out the open rows and closes them; the caller journals their messages in the same transaction. */
  take(limit: number): LedgerRow[] {
    const rows = this.#db
      .prepare<[number], Row>(`SELECT ${COLUMNS} FROM ledger WHERE declared = 0 ORDER BY id LIMIT ?`)
      .all(limit);
    this.#db.prepare('UPDATE ledger SET declared = 1 WHERE declared = 0 AND id <= ?').run(rows.at(-1)?.id ?? 0);
    this.#db.prepare('DELETE FROM ledger WHERE declared = 1 AND id <= (SELECT max(id) FROM ledger) - ?').run(ROWS_KEPT);
    this.#undeclared -= rows.length;
    return rows.map(present);
  }

  /** After a rollback the table is as it was; so is the count. */
  reload(): void {
    this.#undeclared = Number(this.#db.prepare('SELECT count(*) FROM ledger WHERE declared = 0').pluck().get());
  }

  /** Every row that is kept, oldest first. */
  all(): LedgerRow[] {
    return this.#db.prepare<[], Row>(`SELECT ${COLUMNS} FROM ledger ORDER BY id`).all().map(present);
  }

  newest(): LedgerRow[] {
    return this.#db
      .prepare<[number], Row>(`SELECT ${COLUMNS} FROM ledger ORDER BY id DESC LIMIT ?`)
      .all(ROWS_SHOWN)
      .map(present);
  }
}

/** The numbers of a lane that a row tells of. */
export function toldNumbers(db: Database.Database, lane: string): Ranges {
  const rows = db
    .prepare<[string], { first: number; last: number }>(
      'SELECT first, last FROM ledger WHERE lane = ? AND first IS NOT NULL ORDER BY first',
    )
    .all(lane);
  const told = new Ranges();
  for (const { first, last } of rows) told.add(first, last);
  return told;
}

function present({ id: _, declared, ...row }: Row): LedgerRow {
  return { ...row, declared: declared === 1 };
}
