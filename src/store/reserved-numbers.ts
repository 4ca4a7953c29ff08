import type Database from 'better-sqlite3';
import type { BatchTable } from './batch-table.ts';
import type { Lane } from './lane-table.ts';
import type { Ledger } from './ledger.ts';
import { deleteMeta, metaOf, setMeta } from './meta.ts';

/**
 * Numbers that the saver may give before anything is on disk, on the writer thread. The lane's row has the end of them as
 * its last sequence, so that whoever opens the store after a crash, this release or the one before, goes on behind it;
 * a row of `meta` has where they begin, so that those of which the disk knows nothing are declared.
 */
export const RESERVED = 'reserved ';
/** Ledger rows of one lane and start; what is behind the last of them is one more. */
const HOLES_MAX = 64;
const DETAIL = 'set aside in memory when the box stopped without warning: no receipt was given, or the hub has them';

export class ReservedNumbers {
  readonly #db: Database.Database;
  readonly #batches: BatchTable;
  readonly #ledger: Ledger;

  constructor(db: Database.Database, batches: BatchTable, ledger: Ledger) {
    this.#db = db;
    this.#batches = batches;
    this.#ledger = ledger;
  }

  note(lane: Lane, given: number, to: number): void {
    setMeta(this.#db, RESERVED + lane.id, JSON.stringify([given, to]));
  }

  /** All that were given are used, and no more: the store is closed in order. */
  clear(lane: Lane): void {
    deleteMeta(this.#db, RESERVED + lane.id);
  }

  /**
   * After a crash: declares those that are not on the disk and that the cursor has not passed. Gives up to where numbers
   * were used by then: what the disk lacks of these, the hub had taken. Null where none were set aside.
   */
  load(lane: Lane): number | null {
    const value = metaOf(this.#db, RESERVED + lane.id);
    if (value === null) return null;
    const [given, to] = JSON.parse(value) as [number, number];
    let after = Math.max(given, lane.cursor);
    let holes = 0;
    for (const { first, count } of this.#batches.behind(lane.id, after)) {
      if (first > to || holes === HOLES_MAX) break;
      if (first > after + 1) holes++;
      this.#declare(lane, after + 1, first - 1);
      after = first + count - 1;
    }
    this.#declare(lane, after + 1, to);
    this.clear(lane);
    return given;
  }

  #declare(lane: Lane, first: number, last: number): void {
    if (first > last) return;
    this.#ledger.lose(lane.settings.name, 'unassigned', last - first + 1, first, last, DETAIL);
  }
}
