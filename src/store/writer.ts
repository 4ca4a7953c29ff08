import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import type Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';
import { NO_HEADERS } from '../core/message.ts';
import { CHECKPOINT_PAGES, closeStore, openStore } from './database.ts';
import { isForbidden, spaceOf } from './files.ts';
import { Lanes } from './lanes.ts';
import { Ledger } from './ledger.ts';
import { allMarks, setMark } from './marks.ts';
import type {
  BatchResult,
  LaneState,
  LedgerRow,
  ReadBlob,
  Reply,
  Request,
  Rollback,
  StoreFailure,
  StoreState,
  Watermark,
  WriterSettings,
} from './protocol.ts';
import { BATCH_BYTES_MAX, BatchPacker } from './record.ts';
import { type RetainedLoad, RetainedTable } from './retained-table.ts';
import { type SessionLoad, SessionTable } from './session-table.ts';
import { isCorrupt, isDiskError, storeError } from './store-error.ts';

/**
 * The writer thread. better-sqlite3 is synchronous and a card can stall an fsync for hundreds of milliseconds, so all of
 * SQLite lives here and the event loop of the box never waits for the disk. Requests are served in order; each one that
 * writes is one transaction.
 */

/** How often free space is looked at, records expire and freed pages go back to the file system. */
const SWEEP_MS = 2_000;
/** Free pages given back per sweep; more would stall a commit. */
const VACUUM_PAGES = 512;
/** Free pages below this are left for reuse: giving them back costs writes. */
const VACUUM_ABOVE_PAGES = 4096;
/** Ledger rows that go into one batch of messages; with the longest details they fit in it. */
const DECLARED_AT_ONCE = 64;
/** Sessions of one message to the main thread at the start. */
const SESSIONS_AT_ONCE = 500;
/** A wall clock before this is a clock without a battery, and nothing expires by it. */
const CLOCK_FLOOR_MS = Date.UTC(2026, 0, 1);
/** A clock that was set by more may be wrong, and nothing expires at once. */
const CLOCK_STEP_MS = 3_600_000;

/** SQLite's default, which the store is made with. */
const PAGE_BYTES = 4096;
/** Two rounds of the write-ahead log. */
const TIGHT_BYTES = 16 * 1024 * 1024;
/** Near the reserve: 256 KiB of log. */
const TIGHT_CHECKPOINT_PAGES = 64;
const LOOK_BYTES_MIN = 64 * 1024;
/** A smaller blob is copied: it may share its memory with others. */
const TRANSFER_FROM = 16 * 1024;

/** Disk errors in a row, without a commit between them, after which the file itself is not trusted any more. */
const DISK_ERRORS_MAX = 3;
/** A store that cannot be opened is tried again at each sweep, later more and more seldom: up to this. */
const RETRY_MS_MAX = 60_000;

/** When the store was last opened again within a run: to look at, and a write to try the disk with. */
const REOPENED = 'reopened';

/** What the writer works with while the store is open. */
interface Parts {
  db: Database.Database;
  epoch: string;
  ledger: Ledger;
  lanes: Lanes;
  retained: RetainedTable;
  sessions: SessionTable;
}

class Writer {
  readonly #settings: WriterSettings;
  /** Null while the store cannot be opened: then nothing is kept, and nothing acknowledged. */
  #parts: Parts | null = null;
  #failure: StoreFailure | null = null;
  #space = { fileBytes: 0, freeBytes: 0 };
  #sweep: NodeJS.Timeout | undefined;
  /** Set where the open file is not to be trusted: true where it is damaged. */
  #suspect: { error: unknown; isDamaged: boolean } | null = null;
  #diskErrors = 0;
  /** Near the reserve. */
  #isTight = false;
  /** Written since the last look at the free space, and after how much there is another: a flood fills a disk fast. */
  #unseenBytes = 0;
  #lookAfterBytes = LOOK_BYTES_MIN;
  #clockIsTrusted = true;
  /** Wall clock minus monotonic clock at the last sweep. */
  #clockBaseMs = 0;
  #retry = { atMs: 0, pauseMs: SWEEP_MS };
  /** As of the last opening: a lane keeps its index as long as the box runs, and what it had is not forgotten. */
  #lanesBefore: LaneState[] = [];
  /** The main thread has the retained messages; from then on its own are the ones that count. */
  #hasRetained = false;

  constructor(settings: WriterSettings) {
    this.#settings = settings;
  }

  /** Throws where somebody must mend something first; a disk that fails is waited for. */
  start(): void {
    try {
      this.#open('');
    } catch (error) {
      const failure = this.#fail(error, 'cannot open the store');
      if (
        failure.code === 'store_locked' ||
        isForbidden(this.#settings.folder, error instanceof GatewayError ? error.cause : error)
      )
        throw error;
      post({ kind: 'unavailable', lanes: this.#laneStates(), store: this.state(), failure });
    }
    this.#sweep = setInterval(() => this.sweep(), SWEEP_MS);
  }

  /** Opens the store, or opens it again; `distrust` as in `openStore`. */
  #open(distrust: string): void {
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
      return { ledger, lanes, retained, kept, sessions, stored };
    };
    const { db, epoch, note, parts } = openStore(settings.folder, load, distrust);
    const { ledger, lanes, retained, kept, sessions, stored } = parts;
    this.#parts = { db, epoch, ledger, lanes, retained, sessions };
    const isAgain = this.#lanesBefore.length > 0;
    this.#lanesBefore = lanes.state();
    this.#failure = null;
    this.#suspect = null;
    this.#isTight = false;
    // A disk that had failed is trusted once it has taken a write and its fsync.
    if (isAgain) this.#transaction(() => setMark(db, REOPENED, new Date().toISOString()));
    if (note !== '') this.#transaction(() => ledger.lose('*', 'corrupt', 0, null, null, note));
    this.#look();
    for (const chunk of kept.chunks) post({ kind: 'retained', chunk }, [chunk.buffer as ArrayBuffer]);
    for (let at = 0; at < stored.length; at += SESSIONS_AT_ONCE) {
      post({ kind: 'sessions', sessions: stored.slice(at, at + SESSIONS_AT_ONCE) });
    }
    const isKnown = this.#hasRetained;
    this.#hasRetained = true;
    post({
      kind: 'ready',
      epoch,
      lanes: lanes.state(),
      watermarks: lanes.watermarks(),
      store: this.state(),
      marks: allMarks(db),
      retainedLeft: kept.left,
      retainedKnown: isKnown,
      note,
    });
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
      this.#open(distrust);
      this.#retry = { atMs: 0, pauseMs: SWEEP_MS };
    } catch (error) {
      this.#close();
      if (isDiskError(error instanceof GatewayError ? error.cause : error)) this.#diskErrors++;
      this.#fail(error, 'cannot open the store');
      this.#suspect = null;
      const { pauseMs } = this.#retry;
      this.#retry = { atMs: performance.now() + pauseMs, pauseMs: Math.min(pauseMs * 2, RETRY_MS_MAX) };
      this.report();
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
  #transaction<T>(work: (parts: Parts) => T): T {
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
  #fail(error: unknown, what: string): StoreFailure {
    this.#failure = failureOf(error, what);
    if (this.#parts && (isCorrupt(error) || isDiskError(error))) this.#suspect = { error, isDamaged: isCorrupt(error) };
    return this.#failure;
  }

  commit({ epoch, batches, watermarks, retained, sessions }: Extract<Request, { kind: 'commit' }>): void {
    const start = performance.now();
    let results: BatchResult[];
    let failure: StoreFailure | null = null;
    try {
      results = this.#transaction((parts) => {
        // Those of the store before say nothing of this one.
        if (epoch === parts.epoch) for (const watermark of watermarks) parts.lanes.advance(watermark);
        if (retained) parts.retained.apply(Buffer.from(retained.buffer));
        const appended = batches.map((batch) => parts.lanes.append(batch));
        if (sessions) parts.sessions.apply(sessions, appended);
        return appended;
      });
      this.#failure = null;
      this.#diskErrors = 0;
      this.#unseenBytes += batches.reduce((sum, { length }) => sum + length + PAGE_BYTES, PAGE_BYTES);
    } catch (error) {
      failure = this.#fail(error, 'cannot write to the store');
      results = batches.map(() => ({ first: 0, failure, handed: false }));
    }
    const commitMs = performance.now() - start;
    if (this.#unseenBytes >= this.#lookAfterBytes) this.#lookAround();
    post(
      { kind: 'committed', results, batches, lanes: this.#laneStates(), commitMs, failure },
      batches.map(({ buffer }) => buffer.buffer as ArrayBuffer),
    );
  }

  read(id: number, lane: number, after: number, bytesMax: number): void {
    let blobs: ReadBlob[] = [];
    let end = after;
    try {
      ({ blobs, end } = this.#transaction(({ lanes }) => lanes.read(lane, after, bytesMax)));
    } catch (error) {
      this.#fail(error, 'cannot read from the store');
    }
    post(
      { kind: 'blobs', id, blobs, end },
      blobs.map(({ bytes }) => bytes.buffer as ArrayBuffer).filter((buffer) => buffer.byteLength >= TRANSFER_FROM),
    );
  }

  mark(id: number, name: string, value: string): void {
    let failure: StoreFailure | null = null;
    try {
      this.#transaction(({ db }) => setMark(db, name, value));
    } catch (error) {
      failure = this.#fail(error, 'cannot keep a mark');
    }
    post({ kind: 'marked', id, failure });
  }

  readSession(id: number, session: number, after: number): void {
    try {
      post({ kind: 'deliveries', id, ...this.#transaction(({ sessions }) => sessions.read(session, after)) });
    } catch (error) {
      this.#fail(error, 'cannot read a session from the store');
      // They stay on the disk until the client connects again.
      post({ kind: 'deliveries', id, deliveries: [], through: after, isEnd: true });
    }
  }

  rewind(id: number, lane: number, rollback: Rollback): void {
    let watermark: Watermark | null = null;
    try {
      watermark = this.#transaction(({ lanes }) => lanes.rewind(lane, rollback));
    } catch (error) {
      this.#fail(error, 'cannot take a cursor back');
    }
    post({ kind: 'rewound', id, watermark });
    this.report();
  }

  release(lane: number, end: number): void {
    this.#parts?.lanes.release(lane, end);
  }

  /** Journals a message for each open ledger row and closes the row, in one transaction: each is told exactly once. */
  declare(): void {
    if (!this.#parts || this.#parts.ledger.undeclared === 0) return;
    const { gateway, ledgerLane, ledgerSubject } = this.#settings;
    this.#quietly('cannot declare losses', ({ ledger, lanes, epoch }) => {
      const packer = new BatchPacker(Buffer.from(new ArrayBuffer(BATCH_BYTES_MAX)));
      for (const { declared: _, ...row } of ledger.take(DECLARED_AT_ONCE)) {
        const payload = Buffer.from(JSON.stringify({ gateway, epoch, ...row }));
        assert(packer.add(ledgerSubject, Date.now(), NO_HEADERS, payload));
      }
      const { count, length, newestMs, buffer } = packer;
      const { failure } = lanes.append({ lane: ledgerLane, count, length, newestMs, buffer, reader: 0 });
      // The rows stay open and are tried again at the next turn.
      if (failure) throw new GatewayError('lane_full', failure.message, { hint: failure.hint });
    });
    this.report();
  }

  trustClock(isTrusted: boolean): void {
    this.#clockIsTrusted = isTrusted;
  }

  sweep(): void {
    if (!this.#parts) {
      if (performance.now() >= this.#retry.atMs) {
        this.#try(this.#diskErrors >= DISK_ERRORS_MAX ? (this.#failure?.message ?? '') : '');
      }
      return;
    }
    const nowMs = Date.now();
    const baseMs = nowMs - performance.now();
    // Just set by hours: whether that is right the main thread says before the next sweep.
    const isSteady = Math.abs(baseMs - this.#clockBaseMs) < CLOCK_STEP_MS;
    this.#clockBaseMs = baseMs;
    if (isSteady && this.#clockIsTrusted && nowMs > CLOCK_FLOOR_MS) {
      this.#quietly('cannot expire records', ({ lanes }) => lanes.expire(nowMs, CLOCK_FLOOR_MS));
    }
    if (this.#parts?.lanes.isTrimDue(performance.now())) {
      this.#quietly('cannot trim', ({ lanes }) => lanes.trim(performance.now()));
    }
    const freePages = this.#lookAround();
    try {
      if (freePages > VACUUM_ABOVE_PAGES) this.#parts?.db.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
    } catch (error) {
      this.#fail(error, 'cannot look after the space of the store');
    }
    this.mend();
    this.report();
  }

  /** Work that nobody waits for; its failure is in the state. */
  #quietly(what: string, work: (parts: Parts) => void): void {
    try {
      this.#transaction(work);
    } catch (error) {
      this.#fail(error, what);
    }
  }

  /** The same where an error must not undo what was done before. */
  #lookAround(): number {
    try {
      return this.#look();
    } catch (error) {
      this.#fail(error, 'cannot look after the space of the store');
      return 0;
    }
  }

  /** Returns how many pages of the file are free inside it. */
  #look(): number {
    const { db, lanes } = this.#openParts;
    this.#space = spaceOf(this.#settings.folder);
    const { freeBytes } = this.#space;
    const { reserveBytes } = this.#settings;
    // Near the reserve the log is kept short: what it holds is on the disk twice, and it would eat a small reserve.
    const isTight = freeBytes < reserveBytes + TIGHT_BYTES;
    if (isTight !== this.#isTight) {
      this.#isTight = isTight;
      db.pragma(`wal_autocheckpoint = ${isTight ? TIGHT_CHECKPOINT_PAGES : CHECKPOINT_PAGES}`);
      if (isTight) db.pragma('wal_checkpoint(TRUNCATE)');
    }
    this.#unseenBytes = 0;
    this.#lookAfterBytes = Math.max(LOOK_BYTES_MIN, Math.min(TIGHT_BYTES, (freeBytes - reserveBytes) / 4));
    const freePages = Number(db.pragma('freelist_count', { simple: true }));
    lanes.reserveReached = this.#space.freeBytes < this.#settings.reserveBytes;
    lanes.spareBytes = freePages * PAGE_BYTES;
    return freePages;
  }

  state(): StoreState {
    return {
      ...this.#space,
      reserveReached: this.#parts?.lanes.reserveReached ?? false,
      failure: this.#failure,
      ledger: this.#newestLosses(),
      undeclared: this.#parts?.ledger.undeclared ?? 0,
    };
  }

  #newestLosses(): LedgerRow[] {
    try {
      return this.#parts?.ledger.newest() ?? [];
    } catch (error) {
      this.#fail(error, 'cannot read the ledger');
      return [];
    }
  }

  /** As configured and empty where there is no store. */
  #laneStates(): LaneState[] {
    return this.#parts?.lanes.state() ?? this.#settings.lanes.map(({ name }) => noState(name));
  }

  report(): void {
    post({ kind: 'state', lanes: this.#laneStates(), store: this.state() });
  }

  stop(epoch: string, watermarks: Watermark[]): void {
    clearInterval(this.#sweep);
    this.#quietly('cannot save how far the hub has acknowledged', ({ lanes, epoch: open }) => {
      if (epoch === open) for (const watermark of watermarks) lanes.advance(watermark);
      lanes.save();
    });
    if (!this.#parts) return;
    try {
      closeStore(this.#parts.db, this.#settings.folder);
    } catch (error) {
      // The next start finds the log and goes on from there.
      this.#fail(error, 'cannot close the store');
    }
  }
}

function post(reply: Reply, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(reply, transfer);
}

/** Errors do not cross threads whole; this is what is left of one. */
function failureOf(error: unknown, what: string): StoreFailure {
  if (!(error instanceof GatewayError) && !isSystemError(error)) throw error;
  const { code, message, hint } = error instanceof GatewayError ? error : storeError(error, what);
  return { code: code as StoreFailure['code'], message, hint };
}

/** SQLite and the file system give their errors a code of their own; a mistake of ours has none, or Node's. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && !String(error.code).startsWith('ERR_');
}

function serve(writer: Writer, request: Request): void {
  switch (request.kind) {
    case 'commit':
      writer.commit(request);
      return;
    case 'read':
      writer.read(request.id, request.lane, request.after, request.bytesMax);
      return;
    case 'mark':
      writer.mark(request.id, request.name, request.value);
      return;
    case 'session':
      writer.readSession(request.id, request.session, request.after);
      return;
    case 'rewind':
      writer.rewind(request.id, request.lane, request.rollback);
      return;
    case 'release':
      writer.release(request.lane, request.end);
      return;
    case 'declare':
      writer.declare();
      return;
    case 'clock':
      writer.trustClock(request.isTrusted);
      return;
    case 'state':
      writer.report();
      return;
    case 'stop':
      writer.stop(request.epoch, request.watermarks);
      parentPort?.close();
      return;
  }
}

function noState(name: string): LaneState {
  const none = { depth: 0, bytes: 0, keptBytes: 0, lastSequence: 0, persistedCursor: 0, oldestMs: null };
  return { name, ...none, evicted: 0, expired: 0, refused: 0 };
}

try {
  const writer = new Writer(workerData as WriterSettings);
  writer.start();
  parentPort?.on('message', (request: Request) => {
    serve(writer, request);
    if (request.kind !== 'stop') writer.mend();
  });
} catch (error) {
  post({ kind: 'failed', failure: failureOf(error, 'cannot open the store') });
}
