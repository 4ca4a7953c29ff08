import type Database from 'better-sqlite3';
import { LANE_STRIDE } from './batch-table.ts';

/** Of one lane; beyond that many they are told as one. */
const SPANS_MAX = 1_000;

interface MissingSpan {
  first: number;
  last: number;
  /** Fewer than from first to last where several are told as one. */
  count: number;
}

/**
 * What a salvaged lane lacks behind its cursor and no ledger row tells of. On the way the lane is put in order: a batch
 * that was evicted or expired and came back with an old page goes, and so does one that overlaps another. The lane goes
 * on counting behind the last sequence that is known.
 */
export function missingSpans(db: Database.Database, lane: number, name: string): MissingSpan[] {
  const [low, high] = [lane * LANE_STRIDE, (lane + 1) * LANE_STRIDE];
  db.prepare(
    `DELETE FROM batch WHERE id > ? AND id < ? AND EXISTS (SELECT 1 FROM ledger WHERE lane = ? AND first IS NOT NULL
       AND first <= batch.id - ? AND last >= batch.id - ? + batch.count - 1)`,
  ).run(low, high, name, low, low);
  const row = db
    .prepare<[number], { last_sequence: number; cursor: number }>('SELECT last_sequence, cursor FROM lane WHERE id = ?')
    .get(lane) ?? { last_sequence: 0, cursor: 0 };
  const told = db
    .prepare<[string], { first: number; last: number }>(
      'SELECT first, last FROM ledger WHERE lane = ? AND first IS NOT NULL ORDER BY first',
    )
    .all(name);
  const batches = db
    .prepare<[number, number], { id: number; count: number }>(
      'SELECT id, count FROM batch WHERE id > ? AND id < ? ORDER BY id',
    )
    .all(low, high);
  const remove = db.prepare('DELETE FROM batch WHERE id = ?');
  const missing: MissingSpan[] = [];
  let reached = row.cursor;
  let end = 0;
  const gap = (until: number) => {
    if (until > reached) missing.push(...untold(reached + 1, until, told));
    reached = Math.max(reached, until);
  };
  for (const { id, count } of batches) {
    const first = id - low;
    if (first <= end) {
      remove.run(id);
      continue;
    }
    end = first + count - 1;
    gap(first - 1);
    reached = Math.max(reached, end);
  }
  gap(row.last_sequence);
  db.prepare('UPDATE lane SET last_sequence = ? WHERE id = ?').run(reached, lane);
  if (missing.length <= SPANS_MAX) return missing;
  const count = missing.reduce((sum, span) => sum + span.count, 0);
  return [{ first: missing[0]?.first ?? 0, last: missing.at(-1)?.last ?? 0, count }];
}

/** From `first` to `last` without what the ledger has already; `told` is in order. */
function untold(first: number, last: number, told: readonly { first: number; last: number }[]): MissingSpan[] {
  const spans: MissingSpan[] = [];
  let from = first;
  for (const row of told) {
    if (row.last < from) continue;
    if (row.first > last) break;
    if (row.first > from) spans.push({ first: from, last: row.first - 1, count: row.first - from });
    from = row.last + 1;
  }
  if (from <= last) spans.push({ first: from, last, count: last - from + 1 });
  return spans;
}
