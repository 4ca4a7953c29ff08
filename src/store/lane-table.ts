import type Database from 'better-sqlite3';
import { Deflater } from './codec.ts';
import { DoubtWindow } from './doubt-window.ts';
import type { Step } from './grace.ts';
import type { Former, LaneSettings, Numbers, Position } from './protocol.ts';

/** A lane in memory of the writer thread; its figures follow a transaction back when that fails. */
export interface Lane {
  readonly id: number;
  readonly settings: LaneSettings;
  lastSequence: number;
  /** Up to here numbers may be in use that are not on disk; 0 for none. See saver.ts. */
  reservedTo: number;
  /** As on the disk: every record up to here is at the hub or in the ledger. */
  cursor: number;
  /** Records in the batches that are kept; those up to the cursor are counted too. */
  records: number;
  bytes: number;
  /** First sequence and time of the oldest batch that the cursor has not wholly passed, 0 where there is none. */
  oldestFirst: number;
  oldestMs: number;
  /** Of these, in batches that the cursor has wholly passed; they are kept for a while (see grace.ts). */
  keptRecords: number;
  keptBytes: number;
  /** Batches since the totals were last written. */
  uncounted: number;
  /** Oldest first; replaced and never changed, so that a copy of the lane keeps its own. */
  steps: readonly Step[];
  doubt: DoubtWindow;
  /** Records behind the cursor may be at the hub alone. */
  isSparse: boolean;
  formers: readonly Former[];
  /** Replaced and never changed, like the steps. See unkept.ts. */
  unkept: readonly Numbers[];
  /** Null where batches are stored as they are. */
  deflater: Deflater | null;
  evicted: number;
  expired: number;
  refused: number;
}

interface Row {
  last_sequence: number;
  cursor: number;
  evicted: number;
  expired: number;
  refused: number;
}

/** The tables `lane` and `position`: what a lane is besides its batches. */
export class LaneTable {
  readonly #db: Database.Database;
  readonly #save: Database.Statement;
  readonly #savePosition: Database.Statement;
  readonly #saveReach: Database.Statement;
  readonly #forgetReach: Database.Statement;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#save = db.prepare(
      'UPDATE lane SET last_sequence = ?, cursor = ?, evicted = ?, expired = ?, refused = ? WHERE id = ?',
    );
    this.#savePosition = db.prepare(
      'INSERT INTO position (lane, stream, created, sequence) VALUES (?, ?, ?, ?) ' +
        'ON CONFLICT (lane, stream) DO UPDATE SET created = excluded.created, sequence = excluded.sequence',
    );
    this.#saveReach = db.prepare('INSERT OR REPLACE INTO reach (lane, stream, sequence, reach) VALUES (?, ?, ?, ?)');
    this.#forgetReach = db.prepare('DELETE FROM reach WHERE lane = ? AND stream = ?');
  }

  /** The number of the lane with this name; it is made where there is none. */
  idOf(name: string): number {
    const row = this.#db.prepare<[string], { id: number }>('SELECT id FROM lane WHERE name = ?').get(name);
    return row?.id ?? Number(this.#db.prepare('INSERT INTO lane (name) VALUES (?)').run(name).lastInsertRowid);
  }

  all(): { id: number; name: string }[] {
    return this.#db.prepare<[], { id: number; name: string }>('SELECT id, name FROM lane ORDER BY id').all();
  }

  /** Without its batches: those figures are 0. */
  load(id: number, settings: LaneSettings): Lane {
    const row = this.#db
      .prepare<[number], Row>('SELECT last_sequence, cursor, evicted, expired, refused FROM lane WHERE id = ?')
      .get(id) ?? { last_sequence: 0, cursor: 0, evicted: 0, expired: 0, refused: 0 };
    const { last_sequence: lastSequence, cursor, evicted, expired, refused } = row;
    const doubt = new DoubtWindow(cursor, settings.bytesMax);
    const empty = {
      reservedTo: 0,
      isSparse: false,
      formers: [],
      unkept: [],
      records: 0,
      bytes: 0,
      keptRecords: 0,
      keptBytes: 0,
      uncounted: 0,
      steps: [],
      oldestFirst: 0,
      oldestMs: 0,
    };
    const deflater = settings.compress ? new Deflater() : null;
    return { id, settings, lastSequence, cursor, ...empty, doubt, deflater, evicted, expired, refused };
  }

  /** The counters also keep the last sequence when every batch is gone. */
  save({ id, lastSequence, reservedTo, cursor, evicted, expired, refused }: Lane): void {
    this.#save.run(Math.max(lastSequence, reservedTo), cursor, evicted, expired, refused, id);
  }

  positions(lane: number): Position[] {
    return this.#db
      .prepare<[number], Required<Position> | (Position & { reach: null })>(
        'SELECT stream, created, position.sequence, reach FROM position ' +
          'LEFT JOIN reach USING (lane, stream, sequence) WHERE lane = ?',
      )
      .all(lane)
      .map(({ reach, ...position }) => (reach === null ? position : { ...position, reach }));
  }

  place(lane: number, { stream, created, sequence, reach }: Position): void {
    this.#savePosition.run(lane, stream, created, sequence);
    if (reach === undefined) this.#forgetReach.run(lane, stream);
    else this.#saveReach.run(lane, stream, sequence, reach);
  }
}
