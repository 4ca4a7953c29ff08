import type Database from 'better-sqlite3';
import { Ranges } from '../core/ranges.ts';
import type { BatchTable } from './batch-table.ts';
import type { Lane } from './lane-table.ts';
import { type Ledger, toldNumbers } from './ledger.ts';
import { deleteMeta, metaOf, setMeta } from './meta.ts';
import type { Numbers } from './protocol.ts';
import { asSpans } from './salvage-gaps.ts';

/**
 * What lies behind a lane's cursor, was acknowledged all the same, and is not in the store, on the writer thread: the
 * cursor went back over it, or a crash lost how far it was. The hub alone had it, because the saver wrote it nowhere or a
 * damaged file lost it once it was acknowledged. Whether the hub has it still is known once its streams are read back;
 * until then a row of `meta` keeps the numbers, whatever stops the box. Those that are nowhere are declared.
 */
const UNKEPT = 'unkept ';
const DETAIL = 'the hub lost what it had acknowledged, and the box keeps it no more';

export class UnkeptNumbers {
  readonly #db: Database.Database;
  readonly #batches: BatchTable;
  readonly #ledger: Ledger;

  constructor(db: Database.Database, batches: BatchTable, ledger: Ledger) {
    this.#db = db;
    this.#batches = batches;
    this.#ledger = ledger;
  }

  load({ id }: Lane): readonly Numbers[] {
    const value = metaOf(this.#db, UNKEPT + id);
    return value === null ? [] : (JSON.parse(value) as Numbers[]);
  }

  /** These had been acknowledged, and the cursor is before them again. */
  note(lane: Lane, first: number, last: number): void {
    const known = toldNumbers(this.#db, lane.settings.name);
    for (const batch of this.#batches.behind(lane.id, first - 1)) known.add(batch.first, batch.first + batch.count - 1);
    const unkept = new Ranges();
    for (const numbers of [...lane.unkept, ...known.missing(first, last)]) unkept.add(...numbers);
    this.#save(lane, [...unkept]);
  }

  /** The hub lacks these of them; `isAll`: and has the others, so that these are lost. */
  settle(lane: Lane, lacking: readonly Numbers[], isAll: boolean): void {
    this.#save(lane, isAll ? [] : lacking);
    if (!isAll) return;
    const { name } = lane.settings;
    const told = toldNumbers(this.#db, name);
    const lost = lacking.flatMap(([first, last]) => told.missing(first, last));
    for (const { first, last, count } of asSpans(lost))
      this.#ledger.lose(name, 'forgotten', count, first, last, DETAIL);
  }

  #save(lane: Lane, unkept: readonly Numbers[]): void {
    lane.unkept = unkept;
    const key = UNKEPT + lane.id;
    if (unkept.length === 0) deleteMeta(this.#db, key);
    else setMeta(this.#db, key, JSON.stringify(unkept));
  }
}
