import type Database from 'better-sqlite3';
import { setMeta } from './meta.ts';

/**
 * Small values by name that outlive the process, among the other rows of `meta`. Bounded by who sets them: one for each
 * configured consumer.
 */
const PREFIX = 'mark ';

export function setMark(db: Database.Database, name: string, value: string): void {
  setMeta(db, PREFIX + name, value);
}

export function allMarks(db: Database.Database): [name: string, value: string][] {
  const sql = 'SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?';
  const rows = db.prepare<[number, string], { key: string; value: string }>(sql).all(PREFIX.length, PREFIX);
  return rows.map(({ key, value }) => [key.slice(PREFIX.length), value]);
}
