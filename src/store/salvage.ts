import { crc32 } from 'node:zlib';
import type Database from 'better-sqlite3';
import { LANE_STRIDE, LANES_MAX } from './batch-table.ts';
import { noteFormer } from './former-epochs.ts';
import { deleteMeta } from './meta.ts';
import { PageFile, type Row, type Value } from './page-file.ts';
import { RESERVED } from './reserved-numbers.ts';
import { missingSpans } from './salvage-gaps.ts';

/**
 * Copies what is readable in a damaged store into a new one. The trees are walked as far as they hold together, so that
 * each page is known by its table; where they do not, pages that nothing leads to are taken by the shape of their rows.
 * A batch counts only when its checksum is right.
 */

/** The box takes data within 10 s whatever it finds: what is not copied by then stays in the file that is kept aside. */
const SALVAGE_MS_MAX = 6_000;
/** Keys of `meta` that say what a store is; the new one has its own. */
const OWN_KEYS = ['epoch', 'schema', 'readable_by'];
/** Bytes of one transaction. */
const TRANSACTION_BYTES = 8 * 1024 * 1024;
/** A tree of this depth holds more than any disk. */
const DEPTH_MAX = 12;

export interface Salvaged {
  batches: number;
  records: number;
  /** Rows of other tables: lanes, positions, retained messages, sessions, the ledger. */
  rows: number;
  /** The epoch of the damaged store, '' where that is lost. */
  epoch: string;
  /** The disk would not give some pages, or time was up. */
  note: string;
}

interface Table {
  name: string;
  insert: Database.Statement;
  /** Columns in the order of a record. */
  columns: string[];
  hasRowid: boolean;
  /** Place of the INTEGER PRIMARY KEY, which a record has as NULL; -1 for none. */
  alias: number;
}

export function salvage(path: string, db: Database.Database): Salvaged {
  const file = new PageFile(path);
  try {
    return new Salvage(file, db).run();
  } finally {
    file.close();
  }
}

class Salvage {
  readonly #file: PageFile;
  readonly #db: Database.Database;
  readonly #tables: Map<string, Table>;
  readonly #tableOf = new Map<number, string>();
  readonly #result: Salvaged = { batches: 0, records: 0, rows: 0, epoch: '', note: '' };
  readonly #deadline = performance.now() + SALVAGE_MS_MAX;
  #isTorn = false;
  #bytes = 0;

  constructor(file: PageFile, db: Database.Database) {
    this.#file = file;
    this.#db = db;
    this.#tables = tablesOf(db);
  }

  run(): Salvaged {
    this.#label();
    this.#db.exec('BEGIN IMMEDIATE');
    const isLate = this.#copy((page) => this.#tableOf.has(page)) || (this.#isTorn && this.#copy(() => true));
    for (const lane of this.#lanes()) this.#mend(lane);
    const ends = this.#db.prepare<[], { name: string; last_sequence: number }>('SELECT name, last_sequence FROM lane');
    if (this.#result.epoch !== '') noteFormer(this.#db, this.#result.epoch, ends.all());
    this.#db.exec('COMMIT');
    const notes = [
      isLate ? 'time was up before all of it was read' : '',
      this.#file.unreadable > 0 ? `${this.#file.unreadable} pages could not be read` : '',
    ];
    this.#result.note = notes.filter((note) => note !== '').join(', ');
    return this.#result;
  }

  /** Which table a page belongs to, from the schema on the first page. */
  #label(): void {
    this.#walk(1, 'sqlite_schema', 0);
    for (const [page, table] of [...this.#tableOf]) {
      if (table !== 'sqlite_schema') continue;
      for (const { values } of this.#file.rows(page)) {
        const [type, name, , root] = values;
        if (type === 'table' && typeof root === 'number' && this.#tables.has(String(name)))
          this.#walk(root, String(name), 0);
      }
    }
    if (![...this.#tableOf.values()].includes('batch')) this.#isTorn = true;
  }

  #walk(page: number, table: string, depth: number): void {
    if (this.#tableOf.has(page) || depth > DEPTH_MAX) {
      this.#isTorn = true;
      return;
    }
    const kind = this.#file.page(page)?.[page === 1 ? 100 : 0];
    if (kind !== 0x0d && kind !== 0x05 && kind !== 0x0a && kind !== 0x02) {
      this.#isTorn = true;
      return;
    }
    this.#tableOf.set(page, table);
    for (const child of this.#file.children(page)) this.#walk(child, table, depth + 1);
  }

  /** True where time was up. */
  #copy(wants: (page: number) => boolean): boolean {
    for (let page = 1; page <= this.#file.count; page++) {
      if (performance.now() > this.#deadline) return true;
      const name = this.#tableOf.get(page);
      if (!wants(page) || name === 'sqlite_schema') continue;
      for (const row of this.#file.rows(page)) this.#take(name ?? shapeOf(row), row);
    }
    return false;
  }

  #take(name: string | null, row: Row): void {
    const table = name === null ? undefined : this.#tables.get(name);
    if (!table || row.values.length > table.columns.length) return;
    if (name === 'meta' && row.values[0] === 'epoch') this.#result.epoch = String(row.values[1]);
    if (name === 'meta' && OWN_KEYS.includes(String(row.values[0]))) return;
    if (name === 'batch' && !isSound(row)) return;
    const values = table.columns.map((_, i) => (i === table.alias ? row.rowid : (row.values[i] ?? null)));
    const size = row.values.reduce((sum: number, value) => sum + (Buffer.isBuffer(value) ? value.length : 16), 0);
    let changes: number;
    try {
      ({ changes } = table.insert.run(...values));
    } catch (error) {
      // A row that breaks a rule of its table is not what was written.
      if (error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_CONSTRAINT')) return;
      throw error;
    }
    if (changes === 0) return;
    if (name === 'batch') {
      this.#result.batches++;
      this.#result.records += Number(row.values[1]);
    } else this.#result.rows++;
    this.#bytes += size;
    if (this.#bytes < TRANSACTION_BYTES) return;
    this.#bytes = 0;
    this.#db.exec('COMMIT; BEGIN IMMEDIATE');
  }

  /** Lanes that have a row or batches; those without a row get one under a name that says so. */
  #lanes(): { id: number; name: string }[] {
    this.#db.exec(
      `INSERT INTO lane (id, name) SELECT DISTINCT id / ${LANE_STRIDE}, 'salvaged-' || (id / ${LANE_STRIDE}) FROM batch ` +
        `WHERE id / ${LANE_STRIDE} NOT IN (SELECT id FROM lane)`,
    );
    return this.#db.prepare<[], { id: number; name: string }>('SELECT id, name FROM lane').all();
  }

  /** Puts the lane's numbers in order, and what is missing between them into the ledger. */
  #mend({ id, name }: { id: number; name: string }): void {
    const gaps = missingSpans(this.#db, id, name);
    // Numbers that the saver had set aside are among them: told of here, and not once more at the start.
    const isSaved = deleteMeta(this.#db, RESERVED + id);
    const detail = `not readable any more in the damaged store${isSaved ? ', or at the hub alone, or never used' : ''}`;
    const insert = this.#db.prepare(
      "INSERT INTO ledger (lane, reason, count, first, last, at_ms, detail) VALUES (?, 'corrupt', ?, ?, ?, ?, ?)",
    );
    for (const { first, last, count } of gaps) {
      insert.run(name, count, first, last, Date.now(), detail);
    }
  }
}

/** Of the new store, whose tables the damaged one had too. */
function tablesOf(db: Database.Database): Map<string, Table> {
  const schema = db.prepare<[], { name: string; sql: string }>(
    "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
  );
  const tables = new Map<string, Table>();
  for (const { name, sql } of schema.all()) {
    const info = db.pragma(`table_info(${name})`) as { name: string; type: string; pk: number }[];
    const hasRowid = !/WITHOUT\s+ROWID/i.test(sql);
    // Without a rowid the key's columns come first in a record.
    const keys = info.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
    const ordered = hasRowid ? info : [...keys, ...info.filter(({ pk }) => pk === 0)];
    const alias = hasRowid && keys.length === 1 && keys[0]?.type === 'INTEGER' ? ordered.indexOf(keys[0]) : -1;
    const columns = ordered.map((column) => column.name);
    const marks = columns.map(() => '?').join(', ');
    const insert = db.prepare(`INSERT OR IGNORE INTO ${name} (${columns.join(', ')}) VALUES (${marks})`);
    tables.set(name, { name, insert, columns, hasRowid, alias });
  }
  return tables;
}

/** The tables whose rows nothing else looks like; null where it can't be told. */
function shapeOf({ rowid, values }: Row): string | null {
  const shape = values.map(kindOf).join('');
  if (shape === '-iiiib' && rowid >= LANE_STRIDE) return 'batch';
  if (shape === '-tiiiii' && rowid > 0 && rowid <= LANES_MAX) return 'lane';
  if (shape === 'tbbitii') return 'retained';
  if (shape === 'itti' && rowid === 0) return 'position';
  if (shape === 'itii' && rowid === 0) return 'reach';
  if (shape === 'iiiiiittbb' && rowid === 0) return 'delivery';
  return null;
}

function kindOf(value: Value): string {
  if (value === null) return '-';
  if (typeof value === 'number') return 'i';
  return typeof value === 'string' ? 't' : 'b';
}

/** The checksum is that of the bytes as they are stored. */
function isSound({ rowid, values }: Row): boolean {
  const [, count, , crc, , data] = values;
  const lane = Math.floor(rowid / LANE_STRIDE);
  if (lane < 1 || lane > LANES_MAX || !Number.isInteger(count) || Number(count) < 1) return false;
  return Buffer.isBuffer(data) && crc32(data) === crc;
}
