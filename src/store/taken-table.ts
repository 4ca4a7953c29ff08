import type Database from 'better-sqlite3';
import type { BatchResult, TakenChanges, TakenNumber } from './protocol.ts';

/** Numbers that a source may send again although the journal has what they stand for; see taken.ts. On the writer thread. */
export class TakenTable {
  readonly #db: Database.Database;
  readonly #insert: Database.Statement;
  readonly #forget: Database.Statement;
  readonly #drop: Database.Statement;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#insert = db.prepare('INSERT OR IGNORE INTO taken (source, number, lane) VALUES (?, ?, ?)');
    this.#forget = db.prepare('DELETE FROM taken WHERE source = ? AND number <= ?');
    this.#drop = db.prepare('DELETE FROM taken WHERE source = ?');
  }

  load(): TakenNumber[] {
    return this.#db.prepare<[], TakenNumber>('SELECT source, number, lane FROM taken').all();
  }

  /** False where it was there already. */
  note(source: string, number: number, lane: string): boolean {
    return this.#insert.run(source, number, lane).changes > 0;
  }

  /** Within the transaction of a commit; `results` say which of its batches are kept. */
  apply({ dropped, forgotten, noted }: TakenChanges, results: readonly BatchResult[]): void {
    for (const source of dropped) this.#drop.run(source);
    for (const { source, through } of forgotten) this.#forget.run(source, through);
    for (const { source, number, lane, batch } of noted) {
      if (!results[batch]?.failure) this.#insert.run(source, number, lane);
    }
  }
}
