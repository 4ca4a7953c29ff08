import type Database from 'better-sqlite3';
import { LANE_STRIDE } from './batch-table.ts';
import { toldNumbers } from './ledger.ts';
import type { Numbers } from './protocol.ts';

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
  const told = toldNumbers(db, name);
  const batches = db
    .prepare<[number, number], { id: number; count: number }>(
      'SELECT id, count FROM batch WHERE id > ? AND id < ? ORDER BY id',
    )
    .all(low, high);
  const remove = db.prepare('DELETE FROM batch WHERE id = ?');
  const missing: Numbers[] = [];
  let reached = row.cursor;
  let end = 0;
  const gap = (until: number) => {
    missing.push(...told.missing(reached + 1, until));
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
  return asSpans(missing);
}

/** To be told of: one by one, or where there are too many as one. */
export function asSpans(numbers: readonly Numbers[]): MissingSpan[] {
  const spans = numbers.map(([first, last]) => ({ first, last, count: last - first + 1 }));
  if (spans.length <= SPANS_MAX) return spans;
  const count = spans.reduce((sum, span) => sum + span.count, 0);
  return [{ first: spans[0]?.first ?? 0, last: spans.at(-1)?.last ?? 0, count }];
}
