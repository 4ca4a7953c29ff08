import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';
import { BatchTable, LANES_MAX } from './batch-table.ts';
import { Codec } from './codec.ts';
import { openStore } from './database.ts';
import { FILE, noteEnded } from './files.ts';
import { LaneTable } from './lane-table.ts';
import { Ledger } from './ledger.ts';
import type { LedgerRow } from './losses.ts';
import { metaOf } from './meta.ts';
import type { Position } from './protocol.ts';
import { BATCH_BYTES_MAX, BatchPacker, BatchReader, type Record } from './record.ts';
import { sqliteCode, storeError } from './store-error.ts';
import { forgetTotal } from './totals.ts';

/**
 * The store of a box that is stopped, for the `petiole journal` commands. It takes the same exclusive lock as a running
 * box, so neither can change it under the other.
 */

/** Another box's lane begins with this; the rest is `<gateway>.<epoch>.<lane>`, the identity that its records keep. */
export const FOREIGN = '@';

export interface LaneSummary {
  name: string;
  /** Records that the hub is not known to have. */
  depth: number;
  bytes: number;
  lastSequence: number;
  cursor: number;
  evicted: number;
  expired: number;
  refused: number;
  positions: Position[];
}

export interface Damage {
  lane: string;
  first: number;
  last: number;
  what: string;
}

/** Where an imported lane comes from and how far the hub is known to have it. */
export interface LaneOrigin {
  /** `<gateway>.<epoch>.<lane>`. */
  identity: string;
  /** The hub has, or was told to miss, everything up to here. */
  cursor: number;
  positions: readonly Position[];
}

export class StoreFile {
  readonly path: string;
  readonly #db: Database.Database;
  readonly #lanes: LaneTable;
  readonly #batches: BatchTable;

  private constructor(path: string, db: Database.Database) {
    this.path = path;
    this.#db = db;
    this.#lanes = new LaneTable(db);
    this.#batches = new BatchTable(db);
  }

  /** Throws store_locked while a box runs on it, store_failed where there is none. */
  static open(folder: string): StoreFile {
    const path = join(folder, FILE);
    if (!existsSync(path)) {
      const hint = 'give the folder with --data, or the configuration with --config';
      throw new GatewayError('store_failed', `there is no journal in ${folder}`, { hint, retriable: false });
    }
    try {
      const db = new Database(path, { timeout: 0, fileMustExist: true });
      db.pragma('locking_mode = EXCLUSIVE');
      db.pragma('synchronous = FULL');
      // Takes the lock now rather than in the middle of the work.
      db.exec('BEGIN IMMEDIATE; COMMIT');
      return new StoreFile(path, db);
    } catch (error) {
      throw lockedOr(error, path);
    }
  }

  /** The same, made where there is none: what another box left is put there. */
  static make(folder: string): StoreFile {
    const path = join(folder, FILE);
    return new StoreFile(path, openStore(folder, () => undefined).db);
  }

  close(): void {
    // Closing takes the log in; the next start must not miss it.
    noteEnded(dirname(this.path));
    this.#db.close();
  }

  get epoch(): string {
    return metaOf(this.#db, 'epoch') ?? '';
  }

  lanes(): LaneSummary[] {
    return this.#lanes.all().map(({ id, name }) => {
      const lane = this.#lanes.load(id, { name, bytesMax: Infinity, ageMaxMs: 0, full: 'refuse' });
      const lastSequence = Math.max(lane.lastSequence, this.#batches.lastSequence(id));
      let depth = 0;
      for (const { first, count } of this.#batches.behind(id, lane.cursor)) {
        depth += first + count - 1 - Math.max(first - 1, lane.cursor);
      }
      const { cursor, evicted, expired, refused } = lane;
      const { bytes } = this.#batches.totals(id, 0);
      return {
        name,
        depth,
        bytes,
        lastSequence,
        cursor,
        evicted,
        expired,
        refused,
        positions: this.#lanes.positions(id),
      };
    });
  }

  /** All rows, oldest first. */
  ledger(): LedgerRow[] {
    return new Ledger(this.#db).all();
  }

  /** Every record behind `after`, in order; a batch that can't be read goes to `damaged` and is passed over. */
  *records(lane: string, after: number, damaged: (damage: Damage) => void): Generator<Record> {
    const id = this.#lanes.idOf(lane);
    for (const { first, count } of this.#batches.behind(id, after)) {
      const last = first + count - 1;
      const data = this.#batches.read(id, first);
      if (!data) {
        damaged({ lane, first, last, what: 'the checksum is wrong' });
        continue;
      }
      const reader = new BatchReader(data, first, count);
      try {
        for (let record = reader.next(); record; record = reader.next()) if (record.sequence > after) yield record;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        damaged({ lane, first, last, what: error.message });
      }
    }
  }

  /** What SQLite says of the file: 'ok', or what is wrong with it. */
  integrity(): string[] {
    return this.#db.prepare('PRAGMA integrity_check(20)').pluck().all().map(String);
  }

  /**
   * Lets go of everything of a lane up to `through`; what the hub does not have is declared lost with `why`, or with null
   * is somewhere else. Gives how many records that were.
   */
  trim(lane: string, through: number, why: string | null): number {
    const id = this.#lanes.idOf(lane);
    const state = this.#lanes.load(id, { name: lane, bytesMax: Infinity, ageMaxMs: 0, full: 'refuse' });
    const end = Math.min(through, Math.max(state.lastSequence, this.#batches.lastSequence(id)));
    let gone = 0;
    this.#db.transaction(() => {
      const ledger = new Ledger(this.#db);
      for (const { first, count } of [...this.#batches.behind(id, 0)]) {
        const last = Math.min(first + count - 1, end);
        const from = Math.max(first, state.cursor + 1);
        if (last >= from) {
          gone += last - from + 1;
          if (why !== null) ledger.lose(lane, 'evicted', last - from + 1, from, last, why);
        }
        if (first + count - 1 <= end) this.#batches.delete(id, first);
      }
      forgetTotal(this.#db, id);
      if (end > state.cursor) this.#lanes.save({ ...state, cursor: end });
    })();
    return gone;
  }

  /** Gives freed space back to the file system. */
  vacuum(): void {
    this.#db.pragma('incremental_vacuum');
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
  }

  /**
   * Takes records of another box in a lane that keeps their identity and numbers, so that the hub is asked what it has of
   * them before they go up. Records that were imported before are passed over. Gives how many were new.
   */
  takeIn(origin: LaneOrigin, records: Iterable<Record>): number {
    const name = FOREIGN + origin.identity;
    let taken = 0;
    const id = this.#lanes.idOf(name);
    if (id > LANES_MAX) throw new GatewayError('store_failed', `the journal has ${LANES_MAX} lanes already`);
    const state = this.#lanes.load(id, { name, bytesMax: Infinity, ageMaxMs: 0, full: 'refuse' });
    const isNew = state.lastSequence === 0;
    if (isNew) {
      state.cursor = origin.cursor;
      state.lastSequence = origin.cursor;
      for (const position of origin.positions) this.#lanes.place(id, position);
    }
    const packing = new Packing(({ first, count, newestMs, data }) => {
      this.#batches.insert(id, first, count, newestMs, { codec: Codec.plain, data });
    });
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      for (const record of records) {
        if (record.sequence <= state.lastSequence) continue;
        packing.add(record);
        state.lastSequence = record.sequence;
        taken++;
      }
      packing.end();
      this.#lanes.save(state);
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
    return taken;
  }
}

interface Packed {
  first: number;
  count: number;
  newestMs: number;
  data: Buffer;
}

/** Packs records into batches of consecutive numbers. */
class Packing {
  readonly #full: (packed: Packed) => void;
  #packer: BatchPacker | null = null;
  #first = 0;

  constructor(full: (packed: Packed) => void) {
    this.#full = full;
  }

  add(record: Record): void {
    const { sequence, subject, receivedAtMs, headers, payload } = record;
    const follows = this.#packer !== null && sequence === this.#first + this.#packer.count;
    if (follows && this.#packer?.add(subject, receivedAtMs, headers, payload)) return;
    this.end();
    const bytes = Math.max(BATCH_BYTES_MAX, BatchPacker.sizeOf(subject, headers.length, payload.length));
    this.#packer = new BatchPacker(Buffer.from(new ArrayBuffer(bytes)), BATCH_BYTES_MAX);
    this.#first = sequence;
    this.#packer.add(subject, receivedAtMs, headers, payload);
  }

  end(): void {
    if (!this.#packer) return;
    const { count, newestMs, buffer, length } = this.#packer;
    this.#full({ first: this.#first, count, newestMs, data: buffer.subarray(0, length) });
    this.#packer = null;
  }
}

function lockedOr(error: unknown, path: string): GatewayError {
  const code = sqliteCode(error);
  if (code === 'SQLITE_BUSY' || code === 'SQLITE_LOCKED') {
    return new GatewayError('store_locked', `a box is running on ${path}`, {
      retriable: false,
      cause: error,
      hint: 'stop it for this: systemctl stop petiole',
    });
  }
  return storeError(error, `cannot open ${path}`);
}
