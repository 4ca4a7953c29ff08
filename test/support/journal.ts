import { join } from 'node:path';
import Database from 'better-sqlite3';
import { silentLog } from '../../src/core/log.ts';
import { type Message, NO_HEADERS } from '../../src/core/message.ts';
import { Journal } from '../../src/store/journal.ts';
import type { JournalLane, JournalOptions } from '../../src/store/journal-types.ts';
import type { LedgerRow } from '../../src/store/losses.ts';
import type { Record } from '../../src/store/record.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';
import { waitFor } from './wait-for.ts';

export type JournalChoices = Partial<Omit<JournalOptions, 'lanes'>> & { lanes?: Partial<JournalLane>[] };

/** Name of the lane that carries the ledger; it is the last of the configured ones. */
export const LEDGER = 'ledger';

const LANE: JournalLane = {
  name: 'default',
  subjects: ['>'],
  replies: 'pass',
  full: 'refuse',
  bytesMax: 64 * 1024 * 1024,
  ageMaxMs: 0,
};

export function journalOptions({ lanes = [{}], ...choices }: JournalChoices & { folder: string }): JournalOptions {
  const all = [...lanes, { name: LEDGER, subjects: [] }].map((lane) => ({ ...LANE, ...lane }));
  return {
    gateway: 'box',
    ledgerLane: all.length - 1,
    ledgerSubject: 'petiole.box.ledger',
    reserveBytes: 0,
    keep: { ms: 0, bytesMax: 0 },
    ...choices,
    lanes: all,
  };
}

/** A journal that is stopped when the scope ends; without a folder it gets one of its own. */
export async function openJournal(scope: Scope, choices: JournalChoices = {}): Promise<Journal> {
  const folder = choices.folder ?? tempDir(scope, 'journal');
  const journal = new Journal(journalOptions({ ...choices, folder }), silentLog);
  atEnd(scope, () => journal.stop());
  await journal.start();
  return journal;
}

export function message(subject: string, payload: string | Buffer, receivedAtMs = Date.now()): Message {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  return {
    subject,
    reply: '',
    headers: NO_HEADERS,
    payload: bytes,
    receivedAtMs,
    origin: { kind: 'box', name: 'test' },
  };
}

export interface Outcome {
  accepted: number[];
  refused: { n: number; error: Error }[];
}

/** Appends messages numbered from `first`, at most `ahead` of them unanswered; resolves when each one has its receipt. */
export function produce(
  journal: Journal,
  lane: number,
  count: number,
  make: (n: number) => Message,
  { first = 1, ahead = 1000 } = {},
): Promise<Outcome> {
  const outcome: Outcome = { accepted: [], refused: [] };
  return new Promise((resolve) => {
    let next = first;
    let waiting = 0;
    const answered = () => {
      waiting--;
      if (waiting === 0 && next === first + count) resolve(outcome);
      else if (waiting < ahead / 2) fill();
    };
    const receipt = {
      accepted: (n: number) => {
        outcome.accepted.push(n);
        answered();
      },
      refused: (n: number, error: Error) => {
        outcome.refused.push({ n, error });
        answered();
      },
    };
    const fill = () => {
      while (waiting < ahead && next < first + count) {
        waiting++;
        const n = next++;
        journal.append(lane, make(n), receipt, n, 0);
      }
    };
    fill();
  });
}

/** Reads a lane to its end as a forwarder would, acknowledging batch by batch. */
export async function drain(journal: Journal, lane: number): Promise<Record[]> {
  const records: Record[] = [];
  const { cursor, lastSequence } = journal.records.resume(lane);
  for (let after = cursor; after < lastSequence; ) {
    const { batches, end } = await journal.records.read(lane, after);
    const before = records.length;
    for (const batch of batches) {
      for (let record = batch.next(); record; record = batch.next()) {
        if (record.sequence > after) records.push(record);
      }
      batch.done();
    }
    if (end === after) {
      const { persistedCursor } = laneOf(journal, lane);
      await waitFor('the cursor on disk', () => laneOf(journal, lane).persistedCursor > persistedCursor);
    }
    after = end;
    const count = records.length - before;
    if (count > 0) journal.records.acknowledge(lane, after, count);
  }
  return records;
}

export function laneOf(journal: Journal, lane: number): ReturnType<Journal['status']>['lanes'][number] {
  const state = journal.status().lanes[lane];
  if (!state) throw new Error(`there is no lane ${lane}`);
  return state;
}

/** The ledger once the writer has reported it, oldest row first. */
export async function ledgerOf(journal: Journal, match: (rows: LedgerRow[]) => boolean): Promise<LedgerRow[]> {
  const rows = () => (journal.status().store?.ledger ?? []).toReversed();
  await waitFor('the ledger', () => match(rows()));
  return rows();
}

/** The file of a journal that is stopped. */
export function openFile(folder: string): Database.Database {
  return new Database(join(folder, 'petiole.db'));
}

/** Every row of the ledger of a journal that is stopped; the status shows only the newest. */
export function storedLedger(folder: string): Omit<LedgerRow, 'atMs' | 'declared'>[] {
  const db = openFile(folder);
  try {
    return db.prepare<[], LedgerRow>('SELECT lane, reason, count, first, last, detail FROM ledger ORDER BY id').all();
  } finally {
    db.close();
  }
}
