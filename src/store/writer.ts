import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import { GatewayError } from '../core/errors.ts';
import { NO_HEADERS } from '../core/message.ts';
import { isForbidden } from './files.ts';
import { failureOf, HeldStore } from './held-store.ts';
import { keepHistory, readHistory } from './history-table.ts';
import type { Lanes } from './lanes.ts';
import { setMark } from './marks.ts';
import type { BatchResult, HistoryPoint, ReadBlob, Reply, Request, StoreFailure, WriterSettings } from './protocol.ts';
import { BATCH_BYTES_MAX, BatchPacker } from './record.ts';
import type { Rewound } from './rewinding.ts';
import { Upkeep } from './upkeep.ts';

/**
 * The writer thread. better-sqlite3 is synchronous and a card can stall an fsync for hundreds of milliseconds, so all of
 * SQLite lives here and the event loop of the box never waits for the disk. Requests are served in order; each one that
 * writes is one transaction.
 */

/** Ledger rows that go into one batch of messages; with the longest details they fit in it. */
const DECLARED_AT_ONCE = 64;
/** A smaller blob is copied: it may share its memory with others. */
const TRANSFER_FROM = 16 * 1024;

/** No lane took what stood behind a number: the ledger has it. */
const LOST = '*';

class Writer {
  readonly #settings: WriterSettings;
  readonly #store: HeldStore;
  readonly #upkeep: Upkeep;

  constructor(settings: WriterSettings) {
    this.#settings = settings;
    this.#store = new HeldStore(settings, post);
    this.#upkeep = new Upkeep(this.#store, () => this.report());
  }

  /** Throws where somebody must mend something first; a disk that fails is waited for. */
  start(): void {
    try {
      this.#store.open();
    } catch (error) {
      const failure = this.#store.fail(error, 'cannot open the store');
      if (
        failure.code === 'store_locked' ||
        isForbidden(this.#settings.folder, error instanceof GatewayError ? error.cause : error)
      )
        throw error;
      post({ kind: 'unavailable', lanes: this.#store.laneStates(), store: this.#store.state(), failure });
    }
    this.#upkeep.start();
  }

  commit(request: Extract<Request, { kind: 'commit' }>): void {
    const { epoch, batches, held, watermarks, retained, sessions, taken, reserved } = request;
    const start = performance.now();
    const undeclared = this.#undeclared;
    let results: BatchResult[];
    let failure: StoreFailure | null = null;
    try {
      results = this.#store.transaction((parts) => {
        // Those of the store before say nothing of this one.
        const isSame = epoch === parts.epoch;
        if (isSame) for (const watermark of watermarks) parts.lanes.advance(watermark);
        for (const reservation of reserved) parts.lanes.reserve(reservation);
        if (retained) parts.retained.apply(Buffer.from(retained.buffer));
        const appended = batches.map((batch) => parts.lanes.append(isSame ? batch : { ...batch, isNumbered: false }));
        const gathered = appended.slice(held);
        if (sessions) parts.sessions.apply(sessions, gathered);
        if (taken) parts.taken.apply(taken, gathered);
        return appended;
      });
      this.#store.wrote(batches);
    } catch (error) {
      failure = this.#store.fail(error, 'cannot write to the store');
      results = batches.map(() => ({ first: 0, failure, handed: false }));
    }
    const commitMs = performance.now() - start;
    if (this.#store.isLookDue) this.#store.lookAround();
    post(
      { kind: 'committed', results, batches, lanes: this.#store.laneStates(), commitMs, failure },
      batches.map(({ buffer }) => buffer.buffer as ArrayBuffer),
    );
    // A loss is told of at once, and not with the next sweep: who sees an empty lane is to see what it lacks.
    if (this.#undeclared > undeclared) this.report();
  }

  get #undeclared(): number {
    return this.#store.parts?.ledger.undeclared ?? 0;
  }

  read(id: number, lane: number, after: number, bytesMax: number): void {
    this.#readBlobs(id, after, (lanes) => lanes.read(lane, after, bytesMax));
  }

  look(id: number, lane: number, after: number, bytesMax: number): void {
    this.#readBlobs(id, after, (lanes) => lanes.look(lane, after, bytesMax));
  }

  #readBlobs(id: number, after: number, read: (lanes: Lanes) => { blobs: ReadBlob[]; end: number }): void {
    let blobs: ReadBlob[] = [];
    let end = after;
    try {
      ({ blobs, end } = this.#store.transaction(({ lanes }) => read(lanes)));
    } catch (error) {
      this.#store.fail(error, 'cannot read from the store');
    }
    post(
      { kind: 'blobs', id, blobs, end },
      blobs.map(({ bytes }) => bytes.buffer as ArrayBuffer).filter((buffer) => buffer.byteLength >= TRANSFER_FROM),
    );
  }

  mark(id: number, name: string, value: string): void {
    let failure: StoreFailure | null = null;
    try {
      this.#store.transaction(({ db }) => setMark(db, name, value));
    } catch (error) {
      failure = this.#store.fail(error, 'cannot keep a mark');
    }
    post({ kind: 'marked', id, failure });
  }

  lost({ id, where, count, detail, source, number }: Extract<Request, { kind: 'lost' }>): void {
    let failure: StoreFailure | null = null;
    try {
      this.#store.transaction(({ taken, ledger }) => {
        if (number === null || taken.note(source, number, LOST))
          ledger.lose(where, 'refused', count, null, null, detail);
      });
    } catch (error) {
      failure = this.#store.fail(error, 'cannot note a loss');
    }
    post({ kind: 'marked', id, failure });
  }

  /** On a full disk it is left out: plots are worth less than the room that they take. */
  keepHistory(points: readonly HistoryPoint[], pointsMax: readonly number[]): void {
    if (this.#store.state()?.reserveReached) return;
    this.#store.quietly('cannot keep the history', ({ db }) => keepHistory(db, points, pointsMax));
  }

  readHistory(id: number, span: number): void {
    let points: HistoryPoint[] = [];
    this.#store.quietly('cannot read the history', ({ db }) => {
      points = readHistory(db, span);
    });
    post({ kind: 'points', id, points });
  }

  readSession(id: number, session: number, after: number): void {
    try {
      post({ kind: 'deliveries', id, ...this.#store.transaction(({ sessions }) => sessions.read(session, after)) });
    } catch (error) {
      this.#store.fail(error, 'cannot read a session from the store');
      // They stay on the disk until the client connects again.
      post({ kind: 'deliveries', id, deliveries: [], through: after, isEnd: true });
    }
  }

  rewind({ id, lane, cursor, rollback }: Extract<Request, { kind: 'rewind' }>): void {
    let rewound: Rewound = { watermark: null, isShort: false };
    let failure: StoreFailure | null = null;
    try {
      rewound = this.#store.transaction(({ lanes }) => lanes.rewind(lane, cursor, rollback));
    } catch (error) {
      failure = this.#store.fail(error, 'cannot take a cursor back');
    }
    post({ kind: 'rewound', id, ...rewound, failure });
    this.report();
  }

  settle({ id, lane, lacking, isAll }: Extract<Request, { kind: 'settle' }>): void {
    let failure: StoreFailure | null = null;
    try {
      this.#store.transaction(({ lanes }) => lanes.settle(lane, lacking, isAll));
    } catch (error) {
      failure = this.#store.fail(error, 'cannot declare what the hub has lost');
    }
    post({ kind: 'marked', id, failure });
    this.report();
  }

  release(lane: number, end: number): void {
    this.#store.parts?.lanes.release(lane, end);
  }

  /** Journals a message for each open ledger row and closes the row, in one transaction: each is told exactly once. */
  declare(): void {
    if (this.#undeclared === 0) return;
    const { gateway, ledgerLane, ledgerSubject } = this.#settings;
    this.#store.quietly('cannot declare losses', ({ ledger, lanes, epoch }) => {
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
    this.#upkeep.trustClock(isTrusted);
  }

  /** Between two requests. */
  mend(): void {
    this.#store.mend();
  }

  report(): void {
    post({ kind: 'state', lanes: this.#store.laneStates(), store: this.#store.state() });
  }

  stop({ epoch, watermarks, given }: Extract<Request, { kind: 'stop' }>): void {
    this.#upkeep.stop();
    this.#store.quietly('cannot save how far the hub has acknowledged', ({ lanes, epoch: open }) => {
      if (epoch === open) for (const watermark of watermarks) lanes.advance(watermark);
      lanes.save(given);
    });
    this.#store.end();
  }
}

function post(reply: Reply, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(reply, transfer);
}

function serve(writer: Writer, request: Request): void {
  switch (request.kind) {
    case 'commit':
      writer.commit(request);
      return;
    case 'read':
      writer.read(request.id, request.lane, request.after, request.bytesMax);
      return;
    case 'look':
      writer.look(request.id, request.lane, request.after, request.bytesMax);
      return;
    case 'mark':
      writer.mark(request.id, request.name, request.value);
      return;
    case 'lost':
      writer.lost(request);
      return;
    case 'keep-history':
      writer.keepHistory(request.points, request.pointsMax);
      return;
    case 'history':
      writer.readHistory(request.id, request.span);
      return;
    case 'session':
      writer.readSession(request.id, request.session, request.after);
      return;
    case 'rewind':
      writer.rewind(request);
      return;
    case 'settle':
      writer.settle(request);
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
      writer.stop(request);
      parentPort?.close();
      return;
  }
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
