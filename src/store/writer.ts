import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import type Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';
import { NO_HEADERS } from '../core/message.ts';
import { openStore } from './database.ts';
import { spaceOf } from './files.ts';
import { Lanes } from './lanes.ts';
import { Ledger } from './ledger.ts';
import { allMarks, setMark } from './marks.ts';
import type {
  BatchResult,
  CommitBatch,
  ReadBlob,
  Reply,
  Request,
  StoreFailure,
  StoreState,
  Watermark,
  WriterSettings,
} from './protocol.ts';
import { BATCH_BYTES_MAX, BatchPacker } from './record.ts';
import { type RetainedLoad, RetainedTable } from './retained-table.ts';
import { storeError } from './store-error.ts';

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
/** A wall clock before this is a clock without a battery, and nothing expires by it. */
const CLOCK_FLOOR_MS = Date.UTC(2026, 0, 1);

/** SQLite's default, which the store is made with. */
const PAGE_BYTES = 4096;
/** A smaller blob is copied: it may share its memory with others. */
const TRANSFER_FROM = 16 * 1024;

class Writer {
  readonly #settings: WriterSettings;
  #db: Database.Database;
  readonly epoch: string;
  #ledger: Ledger;
  #lanes: Lanes;
  readonly #retained: RetainedTable;
  #failure: StoreFailure | null = null;
  #space = { fileBytes: 0, freeBytes: 0 };
  #sweep: NodeJS.Timeout | undefined;

  constructor(settings: WriterSettings) {
    this.#settings = settings;
    // What loading touches is part of the check: a file that was cut off opens and then lacks pages.
    const { db, epoch, note, parts } = openStore(settings.folder, (opened) => {
      const ledger = new Ledger(opened);
      const lanes = new Lanes(opened, ledger);
      const retained = new RetainedTable(opened);
      let kept: RetainedLoad = { chunks: [], left: 0 };
      const load = () => {
        lanes.load(settings.lanes);
        const nowMs = Date.now();
        if (settings.retained) kept = retained.load(settings.retained, nowMs > CLOCK_FLOOR_MS ? nowMs : 0);
      };
      opened.transaction(load).immediate();
      return { ledger, lanes, retained, kept };
    });
    this.#db = db;
    this.epoch = epoch;
    this.#ledger = parts.ledger;
    this.#lanes = parts.lanes;
    this.#retained = parts.retained;
    if (note !== '') this.#transaction(() => this.#ledger.lose('*', 'corrupt', 0, null, null, note));
    this.#look();
    this.#sweep = setInterval(() => this.sweep(), SWEEP_MS);
    for (const chunk of parts.kept.chunks) post({ kind: 'retained', chunk }, [chunk.buffer as ArrayBuffer]);
    post({
      kind: 'ready',
      epoch,
      lanes: this.#lanes.state(),
      watermarks: this.#lanes.watermarks(),
      store: this.state(),
      marks: allMarks(this.#db),
      retainedLeft: parts.kept.left,
      note,
    });
  }

  /** One transaction; figures in memory follow it back when it fails. */
  #transaction<T>(work: () => T): T {
    this.#lanes.begin();
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#db.exec('COMMIT');
      this.#lanes.committed();
      return result;
    } catch (error) {
      this.#lanes.rollback();
      // SQLite has already rolled back after some errors, such as a full disk.
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      this.#ledger.reload();
      throw error;
    }
  }

  /** Keeps what the world did to us for the status, and hands it on; a mistake of ours goes through. */
  #fail(error: unknown, what: string): StoreFailure {
    this.#failure = failureOf(error, what);
    return this.#failure;
  }

  commit(batches: CommitBatch[], watermarks: Watermark[], retained: Uint8Array | null): void {
    const start = performance.now();
    let results: BatchResult[];
    let failure: StoreFailure | null = null;
    try {
      results = this.#transaction(() => {
        for (const watermark of watermarks) this.#lanes.advance(watermark);
        if (retained) this.#retained.apply(Buffer.from(retained.buffer));
        return batches.map((batch) => this.#lanes.append(batch));
      });
      this.#failure = null;
    } catch (error) {
      failure = this.#fail(error, 'cannot write to the store');
      results = batches.map(() => ({ first: 0, failure, handed: false }));
    }
    const commitMs = performance.now() - start;
    post(
      { kind: 'committed', results, batches, lanes: this.#lanes.state(), commitMs, failure },
      batches.map(({ buffer }) => buffer.buffer as ArrayBuffer),
    );
  }

  read(id: number, lane: number, after: number, bytesMax: number): void {
    let blobs: ReadBlob[] = [];
    let end = after;
    try {
      ({ blobs, end } = this.#transaction(() => this.#lanes.read(lane, after, bytesMax)));
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
      this.#transaction(() => setMark(this.#db, name, value));
    } catch (error) {
      failure = this.#fail(error, 'cannot keep a mark');
    }
    post({ kind: 'marked', id, failure });
  }

  release(lane: number, end: number): void {
    this.#lanes.release(lane, end);
  }

  /** Journals a message for each open ledger row and closes the row, in one transaction: each is told exactly once. */
  declare(): void {
    if (this.#ledger.undeclared === 0) return;
    const { gateway, ledgerLane, ledgerSubject } = this.#settings;
    this.#quietly('cannot declare losses', () => {
      const packer = new BatchPacker(Buffer.from(new ArrayBuffer(BATCH_BYTES_MAX)));
      for (const { declared: _, ...row } of this.#ledger.take(DECLARED_AT_ONCE)) {
        const payload = Buffer.from(JSON.stringify({ gateway, epoch: this.epoch, ...row }));
        assert(packer.add(ledgerSubject, Date.now(), NO_HEADERS, payload));
      }
      const { count, length, newestMs, buffer } = packer;
      const { failure } = this.#lanes.append({ lane: ledgerLane, count, length, newestMs, buffer, reader: 0 });
      // The rows stay open and are tried again at the next turn.
      if (failure) throw new GatewayError('lane_full', failure.message, { hint: failure.hint });
    });
    this.report();
  }

  sweep(): void {
    const nowMs = Date.now();
    if (nowMs > CLOCK_FLOOR_MS) {
      this.#quietly('cannot expire records', () => this.#lanes.expire(nowMs, CLOCK_FLOOR_MS));
    }
    try {
      const freePages = this.#look();
      if (freePages > VACUUM_ABOVE_PAGES) this.#db.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
    } catch (error) {
      this.#fail(error, 'cannot look after the space of the store');
    }
    this.report();
  }

  /** Work that nobody waits for; its failure is in the state. */
  #quietly(what: string, work: () => void): void {
    try {
      this.#transaction(work);
    } catch (error) {
      this.#fail(error, what);
    }
  }

  /** Returns how many pages of the file are free inside it. */
  #look(): number {
    this.#space = spaceOf(this.#settings.folder);
    const freePages = Number(this.#db.pragma('freelist_count', { simple: true }));
    this.#lanes.reserveReached = this.#space.freeBytes < this.#settings.reserveBytes;
    this.#lanes.spareBytes = freePages * PAGE_BYTES;
    return freePages;
  }

  state(): StoreState {
    return {
      ...this.#space,
      reserveReached: this.#lanes.reserveReached,
      failure: this.#failure,
      ledger: this.#ledger.newest(),
      undeclared: this.#ledger.undeclared,
    };
  }

  report(): void {
    post({ kind: 'state', lanes: this.#lanes.state(), store: this.state() });
  }

  stop(watermarks: Watermark[]): void {
    clearInterval(this.#sweep);
    this.#quietly('cannot save how far the hub has acknowledged', () => {
      for (const watermark of watermarks) this.#lanes.advance(watermark);
    });
    this.#db.close();
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
      writer.commit(request.batches, request.watermarks, request.retained);
      return;
    case 'read':
      writer.read(request.id, request.lane, request.after, request.bytesMax);
      return;
    case 'mark':
      writer.mark(request.id, request.name, request.value);
      return;
    case 'release':
      writer.release(request.lane, request.end);
      return;
    case 'declare':
      writer.declare();
      return;
    case 'state':
      writer.report();
      return;
    case 'stop':
      writer.stop(request.watermarks);
      parentPort?.close();
      return;
  }
}

try {
  const writer = new Writer(workerData as WriterSettings);
  parentPort?.on('message', (request: Request) => serve(writer, request));
} catch (error) {
  post({ kind: 'failed', failure: failureOf(error, 'cannot open the store') });
}
