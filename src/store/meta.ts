import type Database from 'better-sqlite3';

/** The table `meta`: single values of a store by their key, written in whatever transaction is open. */

/** Null where there is none. */
export function metaOf(db: Database.Database, key: string): string | null {
  return db.prepare<[string], string>('SELECT value FROM meta WHERE key = ?').pluck().get(key) ?? null;
}

export function setMeta(db: Database.Database, key: string, value: string): void {
  db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
}

/** True where there was one. */
export function deleteMeta(db: Database.Database, key: string): boolean {
  return db.prepare('DELETE FROM meta WHERE key = ?').run(key).changes > 0;
}
