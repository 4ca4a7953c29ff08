import type Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';
import { closeStore, openStore } from './database.ts';
import { FreeSpace } from './free-space.ts';
import { Lanes } from './lanes.ts';
import { Ledger } from './ledger.ts';
import type { LedgerRow } from './losses.ts';
import { allMarks, setMark } from './marks.ts';
import type { LaneState, Reply, StoreFailure, StoreState, WriterSettings } from './protocol.ts';
import { type RetainedLoad, RetainedTable } from './retained-table.ts';
import { type SessionLoad, SessionTable } from './session-table.ts';
import { isCorrupt, isDiskError, storeError } from './store-error.ts';
import { TakenTable } from './taken-table.ts';

/** Sessions of one message to the main thread at the start. */
const SESSIONS_AT_ONCE = 500;
/** How often the writer sweeps: looks at the space, expires and trims, and tries a store again that could not be opened. */
export const SWEEP_MS = 2_000;
/** A wall clock before this is a clock without a battery, and nothing expires by it. */
export const CLOCK_FLOOR_MS = Date.UTC(2026, 0, 1);

/** Disk errors in a row, without a commit between them, after which the file itself is not trusted any more. */
const DISK_ERRORS_MAX = 3;
/** A store that cannot be opened is tried again at each sweep, later more and more seldom: up to this. */
const RETRY_MS_MAX = 60_000;

/** When the store was last opened again within a run: to look at, and a write to try the disk with. */
const REOPENED = 'reopened';

/** What the writer works with while the store is open. */
export interface Parts {
  db: Database.Database;
  epoch: string;
  ledger: Ledger;
  lanes: Lanes;
  retained: RetainedTable;
  sessions: SessionTable;
  taken: TakenTable;
}

export type Post = (reply: Reply, transfer?: ArrayBuffer[]) => void;

/**
 * The store's file through its life in the writer thread: opened, distrusted after an error, closed and opened anew,
 * waited for where the disk fails; and the space around it. Every change is one `transaction`.
 */
export class HeldStore {
  readonly #settings: WriterSettings;
  readonly #post: Post;
  readonly #space: FreeSpace;
  /** Null while the store cannot be opened: then nothing is kept, and nothing acknowledged. */
  #parts: Parts | null = null;
  #failure: StoreFailure | null = null;
  /** Set where the open file is not to be trusted: true where it is damaged. */
  #suspect: { error: unknown; isDamaged: boolean } | null = null;
  #diskErrors = 0;
  #retry = { atMs: 0, pauseMs: SWEEP_MS };
  /** As of the last opening: a lane keeps its index as long as the box runs, and what it had is not forgotten. */
  #lanesBefore: LaneState[] = [];
  /** The main thread has the retained messages; from then on its own are the ones that count. */
  #hasRetained = false;

  constructor(settings: WriterSettings, post: Post) {
    this.#settings = settings;
    this.#post = post;
    this.#space = new FreeSpace(settings);
  }

  /** A flood fills a disk fast: whether enough was written for another look at the space. */
  get isLookDue(): boolean {
    return this.#space.isLookDue;
  }

  /** Null while the store cannot be opened. */
  get parts(): Parts | null {
    return this.#parts;
  }

  /** Opens the store, or opens it again; `distrust` as in `openStore`. */
  open(distrust = ''): void {
    const settings = this.#settings;
    // What loading touches is part of the check: a file that was cut off opens and then lacks pages.
    const load = (db: Database.Database) => {
      const ledger = new Ledger(db);
      const lanes = new Lanes(db, ledger, settings.keep);
      const retained = new RetainedTable(db);
      const sessions = new SessionTable(db);
      let stored: SessionLoad[] = [];
      let kept: RetainedLoad = { chunks: [], left: 0 };
      db.transaction(() => {
        lanes.load(settings.lanes, this.#lanesBefore);
        const nowMs = Date.now();
        if (settings.retained && !this.#hasRetained) {
          kept = retained.load(settings.retained, nowMs > CLOCK_FLOOR_MS ? nowMs : 0);
        }
        if (settings.sessions && !this.#hasRetained) stored = sessions.load();
      }).immediate();
      return { ledger, lanes, retained, kept, sessions, stored, taken: new TakenTable(db) };
    };
    const { db, epoch, note, parts } = openStore(settings.folder, load, distrust);
    const { ledger, lanes, retained, kept, sessions, stored, taken } = parts;
    this.#parts = { db, epoch, ledger, lanes, retained, sessions, taken };
    const isAgain = this.#lanesBefore.length > 0;
    this.#lanesBefore = lanes.state();
    this.#failure = null;
    this.#suspect = null;
    this.#space.isTight = false;
    // A disk that had failed is trusted once it has taken a write and its fsync.
    if (isAgain) this.transaction(() => setMark(db, REOPENED, new Date().toISOString()));
    if (note !== '') this.transaction(() => ledger.lose('*', 'corrupt', 0, null, null, note));
    this.#space.look(this.#openParts);
    for (const chunk of kept.chunks) this.#post({ kind: 'retained', chunk }, [chunk.buffer as ArrayBuffer]);
    for (let at = 0; at < stored.length; at += SESSIONS_AT_ONCE) {
      this.#post({ kind: 'sessions', sessions: stored.slice(at, at + SESSIONS_AT_ONCE) });
    }
    const isKnown = this.#hasRetained;
    this.#hasRetained = true;
    this.#post({
      kind: 'ready',
      epoch,
      lanes: lanes.state(),
      watermarks: lanes.watermarks(),
      store: this.state(),
      marks: allMarks(db),
      taken: taken.load(),
      retainedLeft: kept.left,
      retainedKnown: isKnown,
      note,
    });
  }

  /** A commit of these batches went well. */
  wrote(batches: readonly { readonly length: number }[]): void {
    this.#failure = null;
    this.#diskErrors = 0;
    this.#space.wrote(batches);
  }

  /** Where there is no store, tries again if it is time. */
  retry(): void {
    if (performance.now() < this.#retry.atMs) return;
    this.#try(this.#diskErrors >= DISK_ERRORS_MAX ? (this.#failure?.message ?? '') : '');
  }

  /** Between two requests: a file that is not trusted is closed and opened anew, whatever that makes of it. */
  mend(): void {
    if (!this.#suspect) return;
    const { error, isDamaged } = this.#suspect;
    this.#diskErrors++;
    const isWorn = this.#diskErrors >= DISK_ERRORS_MAX;
    const why = error instanceof Error ? error.message : String(error);
    this.#close();
    this.#try(isDamaged || isWorn ? why : '');
  }

  #try(distrust: string): void {
    try {
      this.open(distrust);
      this.#retry = { atMs: 0, pauseMs: SWEEP_MS };
    } catch (error) {
      this.#close();
      if (isDiskError(error instanceof GatewayError ? error.cause : error)) this.#diskErrors++;
      this.fail(error, 'cannot open the store');
      this.#suspect = null;
      const { pauseMs } = this.#retry;
      this.#retry = { atMs: performance.now() + pauseMs, pauseMs: Math.min(pauseMs * 2, RETRY_MS_MAX) };
      this.#post({ kind: 'state', lanes: this.laneStates(), store: this.state() });
    }
  }

  /** What SQLite still holds of a failed file is not to be written back; it tries, and may fail again. */
  #close(): void {
    if (this.#parts) this.#lanesBefore = this.#parts.lanes.state();
    try {
      this.#parts?.db.close();
    } catch {
      // The file is opened anew in any case.
    }
    this.#parts = null;
  }

  /** The open store; throws why there is none. */
  get #openParts(): Parts {
    if (this.#parts) return this.#parts;
    const { code = 'store_failed', message = 'the store is not open', hint = '' } = this.#failure ?? {};
    throw new GatewayError(code, message, { hint });
  }

  /** One transaction; figures in memory follow it back when it fails. */
  transaction<T>(work: (parts: Parts) => T): T {
    const parts = this.#openParts;
    const { db, lanes, ledger } = parts;
    lanes.begin();
    try {
      db.exec('BEGIN IMMEDIATE');
      const result = work(parts);
      db.exec('COMMIT');
      lanes.committed();
      return result;
    } catch (error) {
      lanes.rollback();
      // A second error says nothing that the first did not.
      try {
        // SQLite has already rolled back after some errors, such as a full disk.
        if (db.inTransaction) db.exec('ROLLBACK');
        ledger.reload();
      } catch {
        this.#suspect = { error, isDamaged: isCorrupt(error) };
      }
      throw error;
    }
  }

  /** Keeps what the world did to us for the status, and hands it on; a mistake of ours goes through. */
  fail(error: unknown, what: string): StoreFailure {
    this.#failure = failureOf(error, what);
    if (this.#parts && (isCorrupt(error) || isDiskError(error))) this.#suspect = { error, isDamaged: isCorrupt(error) };
    return this.#failure;
  }

  /** Work that nobody waits for; its failure is in the state. */
  quietly(what: string, work: (parts: Parts) => void): void {
    try {
      this.transaction(work);
    } catch (error) {
      this.fail(error, what);
    }
  }

  /** The same where an error must not undo what was done before. */
  lookAround(): number {
    try {
      return this.#space.look(this.#openParts);
    } catch (error) {
      this.fail(error, 'cannot look after the space of the store');
      return 0;
    }
  }

  state(): StoreState {
    return {
      ...this.#space.state,
      reserveReached: this.#parts?.lanes.room.reserveReached ?? false,
      failure: this.#failure,
      ledger: this.#newestLosses(),
      undeclared: this.#parts?.ledger.undeclared ?? 0,
    };
  }

  #newestLosses(): LedgerRow[] {
    try {
      return this.#parts?.ledger.newest() ?? [];
    } catch (error) {
      this.fail(error, 'cannot read the ledger');
      return [];
    }
  }

  /** As configured and empty where there is no store. */
  laneStates(): LaneState[] {
    return this.#parts?.lanes.state() ?? this.#settings.lanes.map(({ name }) => noState(name));
  }

  /** For good: with all that is in the log in the file. The next start finds what could not be moved. */
  end(): void {
    if (!this.#parts) return;
    try {
      closeStore(this.#parts.db, this.#settings.folder);
    } catch (error) {
      this.fail(error, 'cannot close the store');
    }
  }
}

/** Errors do not cross threads whole; this is what is left of one. */
export function failureOf(error: unknown, what: string): StoreFailure {
  if (!(error instanceof GatewayError) && !isSystemError(error)) throw error;
  const { code, message, hint } = error instanceof GatewayError ? error : storeError(error, what);
  return { code: code as StoreFailure['code'], message, hint };
}

/** SQLite and the file system give their errors a code of their own; a mistake of ours has none, or Node's. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && !String(error.code).startsWith('ERR_');
}

function noState(name: string): LaneState {
  const none = { depth: 0, bytes: 0, keptBytes: 0, lastSequence: 0, persistedCursor: 0, oldestMs: null };
  return { name, ...none, evicted: 0, expired: 0, refused: 0 };
}
