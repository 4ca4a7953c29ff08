import type Database from 'better-sqlite3';
import type { HistoryPoint } from './protocol.ts';

/**
 * What the box was like over the last hour, day and week: points by span. Each span keeps its newest points and no more,
 * by their number, so that a clock that jumps does not make it grow.
 */

/** Writes points and takes away the oldest beyond `pointsMax` of their span. In a transaction. */
export function keepHistory(
  db: Database.Database,
  points: readonly HistoryPoint[],
  pointsMax: readonly number[],
): void {
  const insert = db.prepare<[number, number, string]>(
    'INSERT INTO history (span, at_ms, data) VALUES (?, ?, ?) ON CONFLICT (span, at_ms) DO UPDATE SET data = excluded.data',
  );
  for (const { span, atMs, data } of points) insert.run(span, atMs, data);
  const trim = db.prepare<[number, number, number]>(
    'DELETE FROM history WHERE span = ? AND at_ms <= ' +
      '(SELECT at_ms FROM history WHERE span = ? ORDER BY at_ms DESC LIMIT 1 OFFSET ?)',
  );
  for (const [span, max] of pointsMax.entries()) trim.run(span, span, max);
}

/** Oldest first. */
export function readHistory(db: Database.Database, span: number): HistoryPoint[] {
  const sql = 'SELECT span, at_ms AS atMs, data FROM history WHERE span = ? ORDER BY at_ms';
  return db.prepare<[number], HistoryPoint>(sql).all(span);
}
