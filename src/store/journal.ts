import assert from 'node:assert/strict';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { Cursors } from './cursors.ts';
import { MESSAGE_COST } from './gathering.ts';
import { GroupCommit } from './group-commit.ts';
import { LaneMatch, type LaneRule } from './lane-match.ts';
import { LATE_SUFFIX, LateParts } from './late-parts.ts';
import { MENDED, type Mended, mendedIn } from './mended.ts';
import type {
  HistoryPoint,
  LaneSettings,
  LaneState,
  Loss,
  Position,
  Reply,
  Rollback,
  StoreFailure,
  StoreState,
  WriterSettings,
} from './protocol.ts';
import { BATCH_BYTES_MAX, BatchReader, RECORD_OVERHEAD_MAX, type Record } from './record.ts';
import { Retained } from './retained.ts';
import { Saver, type SaverSettings, type SaverStatus } from './saver.ts';
import { Sessions } from './sessions.ts';
import { type Tail, Tails } from './tails.ts';
import { Taken } from './taken.ts';
import { type Ready, type Unavailable, WriterThread } from './writer-thread.ts';

/**
 * The journal's face on the main thread. Messages that arrive while a commit runs gather in memory, one packed batch per
 * lane, and go to the writer thread as soon as it is free (group commit). Receipts are handed out when the commit is on
 * disk, in the order of the appends.
 *
 *   append ─▶ gathering ══ transfer ══▶ writer: commit, fsync ══ transfer back ══▶ receipts, then the lane's tail
 */

/** Bytes that may wait for the disk. Publishers hold what is not acknowledged, so refusing beyond this loses nothing. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;
/** From here on publishers should wait for their receipts before they are read on. */
const BEHIND_BYTES = QUEUE_BYTES_MAX / 2;
/** QoS 0 is shed from here on, so that the rest of the room is for what will be acknowledged. */
const SHED_BYTES = (QUEUE_BYTES_MAX / 4) * 3;
/** A lane's batch is at most this share of the lane, so that a small one can still drop its oldest. */
const BATCH_SHARE = 16;
/** Bytes of one read. */
const READ_BYTES = 256 * 1024;
/** How often losses are put into the journal for the hub to hear, and lagging cursors are looked at. */
const TURN_MS = 2_000;

/** `late`: index of the lane that keeps what can't go up at once; see late-parts.ts. */
export type JournalLane = LaneSettings & LaneRule & { readonly late?: number };

export interface JournalOptions extends Omit<WriterSettings, 'lanes'> {
  readonly lanes: readonly JournalLane[];
  /** Absent or null: every receipt waits for the disk. */
  readonly saver?: SaverSettings | null;
}

/** What a read gives: up to `end` the lane has nothing but these batches. */
export interface Stretch {
  batches: BatchReader[];
  end: number;
}

export class Journal implements Service {
  /** Null where retained messages are off. */
  readonly retained: Retained | null;
  /** Null where there are no persistent sessions. */
  readonly sessions: Sessions | null;
  /** Numbers of sources that send until they have a receipt. */
  readonly taken: Taken;
  readonly #log: Log;
  /** Called when the store had to be opened again: with `change` lanes, cursors and perhaps the epoch become others. */
  readonly #reopened: (change: () => void) => void;
  readonly #match: LaneMatch;
  readonly #parts: LateParts;
  #lanes: LaneState[] = [];
  readonly #tails = new Tails();
  readonly #commit: GroupCommit;
  readonly #writer: WriterThread;
  #marks = new Map<string, string>();
  #store: StoreState | null = null;
  #asking: (() => void)[] = [];
  #stopping = false;
  #failure: StoreFailure | null = null;
  #turn: NodeJS.Timeout | undefined;
  /** Null where every receipt waits for the disk. */
  readonly #saver: Saver | null;
  #linked = false;
  constructor(options: JournalOptions, log: Log, reopened: (change: () => void) => void = (change) => change()) {
    this.#reopened = reopened;
    this.#log = log;
    this.#match = new LaneMatch(options.lanes);
    this.#parts = new LateParts(options.lanes);
    this.#writer = new WriterThread(options, (reply) => this.#receive(reply), log);
    const batchBytesMax = options.lanes.map(({ bytesMax }) => Math.min(BATCH_BYTES_MAX, bytesMax / BATCH_SHARE));
    const schedule = () => this.#commit.schedule();
    this.#commit = new GroupCommit(
      {
        writer: this.#writer,
        tails: this.#tails,
        ended: (failure) => this.#note(failure),
        states: (lanes) => this.#takeStates(lanes),
      },
      (lane) => batchBytesMax[lane] ?? BATCH_BYTES_MAX,
    );
    this.taken = new Taken(schedule);
    const { saver, ledgerLane } = options;
    this.#saver = saver
      ? new Saver(saver, ledgerLane, () => this.#commit.gathering.successor(), {
          wants: (lane) => this.#tails.wants(lane),
          give: (lane, batch, session) => this.#tails.give(lane, batch, session),
          lose: (loss) => this.#cursors.lose(loss),
          schedule,
        })
      : null;
    this.retained = options.retained
      ? new Retained(options.retained, schedule, () => this.#store?.reserveReached ?? false)
      : null;
    this.sessions = options.sessions
      ? new Sessions(
          options.sessions,
          schedule,
          () => this.#store?.reserveReached ?? false,
          () => this.#commit.gathering,
          (session, after) => this.#writer.ask('deliveries', { kind: 'session', session, after }),
        )
      : null;
    this.#commit.ride({ saver: this.#saver, retained: this.retained, sessions: this.sessions, taken: this.taken });
  }

  get linked(): boolean {
    return this.#linked;
  }

  /**
   * The link is up. Losses become messages only then: until then they merge, and an outage ends as a few rows. And only
   * then does a live-first lane take messages itself, and may the hub's PubAck be a receipt.
   */
  set linked(isLinked: boolean) {
    this.#linked = isLinked;
    if (this.#saver) this.#saver.isLinked = isLinked;
  }

  get #cursors(): Cursors {
    return this.#commit.cursors;
  }

  get epoch(): string {
    return this.#commit.epoch;
  }

  /** Names of all lanes: the configured ones, then those that only the store still knows. */
  get laneNames(): string[] {
    return this.#lanes.map(({ name }) => name);
  }

  /**
   * Opens the store. Rejects with store_locked, and store_failed where somebody must mend something first. Where the disk
   * gives none it starts all the same: everything is refused until there is one.
   */
  async start(): Promise<void> {
    const opened = await this.#writer.start();
    if (opened.kind === 'ready') this.#ready(opened);
    else this.#unavailable(opened);
    this.#turn = setInterval(() => {
      if (this.linked && (this.#store?.undeclared ?? 0) > 0) this.#writer.post({ kind: 'declare' });
      this.retained?.sweep(Date.now());
      this.#commit.flush(this.sessions?.isChanged);
    }, TURN_MS);
  }

  #ready({ epoch, store, lanes, watermarks, marks, taken, retainedLeft, retainedKnown, note }: Ready): void {
    const isAnew = this.#commit.epoch !== epoch;
    // What was set in this run is newer than what a damaged store still had.
    this.#marks = new Map([...marks, ...this.#marks]);
    this.taken.load(taken);
    this.#commit.epoch = epoch;
    this.#store = store;
    this.#lanes = lanes;
    this.#commit.cursors = new Cursors(watermarks, performance.now());
    this.#saver?.opened(lanes.map(({ lastSequence }) => lastSequence));
    if (note !== '') this.#noteMended(epoch, note);
    // What is on the disk now may be less than what is here.
    if (retainedKnown && isAnew) this.retained?.rewrite();
    this.sessions?.opened(retainedKnown && isAnew);
    if (retainedLeft === 0) return;
    if (!retainedKnown) this.retained?.leave(retainedLeft);
    const hint = 'raise mqtt.retained_max or mqtt.retained_bytes_max to have them back';
    this.#log.warn({ left: retainedLeft, hint }, 'the store has more retained messages than the limits allow');
  }

  #noteMended(epoch: string, note: string): void {
    this.#log.error({ epoch }, note);
    // A disk that takes nothing is told of by the commits.
    this.setMark(MENDED, JSON.stringify({ atMs: Date.now(), note })).catch(() => undefined);
  }

  /** Nothing grows too old while the time is not known. */
  trustClock(isTrusted: boolean): void {
    this.#writer.post({ kind: 'clock', isTrusted });
  }

  /** What `setMark` kept, also of an earlier run; null where there is none. */
  mark(name: string): string | null {
    return this.#marks.get(name) ?? null;
  }

  /** Keeps a small value (some KiB) for the next run. Resolves once it is on disk; rejects with store_failed or disk_full. */
  async setMark(name: string, value: string): Promise<void> {
    if (this.#stopping) throw new GatewayError('stopping', 'the box is stopping');
    this.#marks.set(name, value);
    const { failure } = await this.#writer.ask('marked', { kind: 'mark', name, value });
    if (failure) throw new GatewayError(failure.code, failure.message, { hint: failure.hint });
  }

  /** Keeps points of the plots, the newest of each span; lost where the store can't take them. */
  keepHistory(points: readonly HistoryPoint[], pointsMax: readonly number[]): void {
    this.#writer.post({ kind: 'keep-history', points, pointsMax });
  }

  /** What was kept of a span, oldest first. */
  async history(span: number): Promise<HistoryPoint[]> {
    return (await this.#writer.ask('points', { kind: 'history', span })).points;
  }

  #unavailable({ lanes, store, failure }: Unavailable): void {
    this.#store = store;
    this.#lanes = lanes;
    const none = lanes.map((_, lane) => ({ lane, cursor: 0, positions: [], losses: [] }));
    this.#commit.cursors = new Cursors(none, performance.now());
    this.#note(failure);
  }

  laneOf(message: Message): number {
    return this.#match.laneOf(message);
  }

  /** For how long the commit under way has been; 0 where there is none. */
  get committingForMs(): number {
    return this.#commit.busyForMs;
  }

  /** So much waits for the disk that publishers should wait too. */
  get isBehind(): boolean {
    return this.#commit.bytes > BEHIND_BYTES;
  }

  /** Keeps the message; the receipt comes once it is on disk. */
  append(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    if (this.#stopping) {
      receipt?.refused(token, new GatewayError('stopping', 'the box is stopping'));
      return;
    }
    if (this.#commit.bytes > (message.qos === 0 ? SHED_BYTES : QUEUE_BYTES_MAX)) {
      const hint = 'use a faster card or disk, or send less';
      receipt?.refused(
        token,
        new GatewayError('queue_full', 'messages come in faster than the disk takes them', { hint }),
      );
      return;
    }
    this.#commit.add(this.#partOf(lane), message, receipt, token, reached);
  }

  /**
   * Publishes what a source sent under a number, within `publish`: in each lane all of it is kept or nothing, and with it
   * the note that this lane has it. At most `count` messages, of `bytes` with their subjects. False where the disk is so
   * far behind that nothing was published.
   */
  take(source: string, number: number, count: number, bytes: number, publish: () => void): boolean {
    const room = bytes + count * Math.max(RECORD_OVERHEAD_MAX, MESSAGE_COST);
    if (this.#stopping || this.#commit.bytes + room > QUEUE_BYTES_MAX) return false;
    for (const [lane, batch] of this.#commit.together(count, room, publish)) {
      this.taken.note({ source, number, lane: this.#baseName(lane), batch });
    }
    return true;
  }

  /** Whether the lane of this message has what the source sent under the number. */
  hasTaken(source: string, number: number, message: Message): boolean {
    const lane = this.laneOf(message);
    return lane >= 0 && this.taken.has(source, number, this.#baseName(lane));
  }

  /**
   * Messages that a source threw away or that nobody will take, for the ledger; where they have a number, once. Resolves
   * once it is on disk; rejects with store_failed or disk_full.
   */
  async lost(where: string, count: number, detail: string, source: string, number: number | null): Promise<void> {
    const { failure } = await this.#writer.ask('marked', { kind: 'lost', where, count, detail, source, number });
    if (failure) throw new GatewayError(failure.code, failure.message, { hint: failure.hint });
  }

  /** A lane is one with its late part here: what came while there was no link comes again when there is one. */
  #baseName(lane: number): string {
    const name = this.#lanes[lane]?.name ?? '';
    return name.endsWith(LATE_SUFFIX) ? name.slice(0, -LATE_SUFFIX.length) : name;
  }

  #partOf(lane: number): number {
    if (!this.#parts.isParted(lane)) return lane;
    const { bytes = 0, depth = 0 } = this.#lanes[lane] ?? {};
    // Not by their numbers, of which a crash may have left some unused.
    return this.#parts.partOf(lane, this.linked, depth - this.#cursors.unsaved(lane), bytes);
  }

  #receive(reply: Reply): void {
    switch (reply.kind) {
      case 'committed':
        this.#commit.committed(reply);
        return;
      case 'state':
        this.#store = reply.store;
        this.#takeStates(reply.lanes);
        for (const answered of this.#asking.splice(0)) answered();
        return;
      case 'retained':
        this.retained?.load(bufferOf(reply.chunk));
        return;
      case 'sessions':
        this.sessions?.load(reply.sessions);
        return;
      case 'ready':
        this.#reopened(() => this.#ready(reply));
        this.#note(null);
        return;
      case 'blobs':
      case 'deliveries':
      case 'marked':
      case 'points':
      case 'rewound':
      case 'unavailable':
      case 'failed':
        assert.fail(`${reply.kind} goes to who asked`);
    }
  }

  #note(failure: StoreFailure | null): void {
    if (failure && !this.#failure) this.#log.error(failure, 'messages are refused: the store cannot write');
    if (!failure && this.#failure) this.#log.info('the store writes again');
    this.#failure = failure;
  }

  #takeStates(states: LaneState[]): void {
    const before = this.#lanes;
    this.#lanes = states;
    states.forEach(({ persistedCursor }, lane) => {
      this.#cursors.persisted(lane, persistedCursor);
    });
    this.#tails.changed(before, states);
  }

  /** Declares who reads a lane's records as they are committed. */
  follow(lane: number, tail: Tail): void {
    this.#tails.follow(lane, tail);
  }

  /** Batches behind `after`, oldest first; none at the end of the lane, or of what may be in doubt at once. */
  async read(lane: number, after: number): Promise<Stretch> {
    const { blobs, end } = await this.#writer.ask('blobs', { kind: 'read', lane, after, bytesMax: READ_BYTES });
    if (blobs.length === 0 && this.#cursors.urge(lane)) this.#commit.schedule();
    const batches = blobs.map(({ first, count, bytes }) => new BatchReader(bufferOf(bytes), first, count));
    return { batches, end };
  }

  /**
   * Records of a lane behind `after`, oldest first, for somebody who only looks: what waits, and of what the hub has what
   * is kept. Rejects where the store is not open.
   */
  async *look(lane: number, after: number): AsyncGenerator<Record> {
    let end = after;
    for (;;) {
      const known = end;
      const looked = await this.#writer.ask('blobs', { kind: 'look', lane, after: known, bytesMax: READ_BYTES });
      for (const { first, count, bytes } of looked.blobs) {
        const batch = new BatchReader(bufferOf(bytes), first, count);
        for (let record = batch.next(); record !== null; record = batch.next()) {
          if (record.sequence > known) yield record;
        }
      }
      end = looked.end;
      if (looked.blobs.length === 0 || end === known) return;
    }
  }

  /** Where a lane stands with the hub. */
  resume(lane: number): { cursor: number; positions: readonly Position[]; lastSequence: number; isSparse: boolean } {
    const { cursor, positions, isSparse } = this.#cursors.of(lane);
    return { cursor, positions, isSparse, lastSequence: this.#lastSequence(lane) };
  }

  /** On disk or only in memory yet. */
  #lastSequence(lane: number): number {
    return Math.max(this.#lanes[lane]?.lastSequence ?? 0, this.#saver?.given(lane) ?? 0);
  }

  /**
   * Every record of the lane up to `cursor` is at the hub or in the ledger; `count` of them since the last call. Goes to
   * disk with a later commit.
   */
  acknowledge(lane: number, cursor: number, count: number): void {
    const spared = this.#saver?.passed(lane, cursor) ?? 0;
    if (this.#cursors.acknowledge(lane, cursor, count - spared) || this.#saver?.isShort) this.#commit.schedule();
  }

  /**
   * No record of the lane behind its cursor lies in the stream at or before `position.sequence`. For a stream that the
   * lane meets for the first time it resolves once that is on disk; nothing may be sent there before.
   */
  place(lane: number, position: Position): Promise<void> {
    const before = this.#cursors.of(lane).positions.find(({ stream }) => stream === position.stream);
    if (!this.#cursors.place(lane, position)) return Promise.resolve();
    return this.#commit.after().catch((error: unknown) => {
      this.#cursors.displace(lane, position.stream, before);
      throw error;
    });
  }

  /**
   * A stream of the lane has less than it had acknowledged: the lane goes back to before that, as far as it is kept. False
   * where nothing of it is. Nothing may be under way in the lane.
   */
  async rewind(lane: number, rollback: Rollback): Promise<boolean> {
    this.#cursors.hold(lane, true);
    const { watermark } = await this.#writer.ask('rewound', { kind: 'rewind', lane, rollback });
    this.#cursors.hold(lane, false);
    if (!watermark) return false;
    this.#cursors.rewind(watermark);
    return true;
  }

  /** The reader has forgotten what it did not send; what it may have sent ends at `end`. */
  release(lane: number, end: number): void {
    this.#writer.post({ kind: 'release', lane, end });
  }

  /** A record that the hub will never take: it is in the ledger once the cursor, on disk, has passed it. */
  lose(loss: Loss): void {
    this.#cursors.lose(loss);
    this.#saver?.lost(loss);
  }

  /** Resolves once the writer thread has answered, behind the commit that it is busy with: a watchdog asks. */
  answers(): Promise<void> {
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      this.#writer.post({ kind: 'state' });
    });
  }

  readonly stop = once(async () => {
    clearInterval(this.#turn);
    if (!this.#writer.started) return;
    this.#stopping = true;
    this.linked = false;
    while (this.#commit.isBusy) await this.#commit.after().catch(() => undefined);
    // Once: after a failure the changes are there again, and a broken disk must not keep the box from stopping.
    if (this.retained?.isChanged || this.sessions?.isChanged) {
      this.#commit.flush(true);
      await this.#commit.after().catch(() => undefined);
    }
    this.#saver?.stop();
    const watermarks = this.#cursors.all(performance.now());
    await this.#writer.stop({
      kind: 'stop',
      epoch: this.#commit.epoch,
      watermarks,
      given: this.#saver?.allGiven ?? [],
    });
  });

  status(): JournalStatus {
    return {
      epoch: this.#commit.epoch,
      commits: this.#commit.commits,
      commitP50Ms: this.#commit.latency.quantile(0.5),
      commitP99Ms: this.#commit.latency.quantile(0.99),
      queuedMessages: this.#commit.count,
      saver: this.#saver?.status() ?? null,
      store: this.#store,
      failure: this.#failure,
      mended: mendedIn(this.#marks.get(MENDED)),
      lanes: this.#lanes.map((state, lane) => {
        const { cursor } = this.#cursors.of(lane);
        // The writer counts from the cursor on disk; ours may be ahead of it.
        const lastSequence = this.#lastSequence(lane);
        return { ...state, lastSequence, cursor, depth: Math.max(0, state.depth - this.#cursors.unsaved(lane)) };
      }),
    };
  }
}

export interface JournalStatus {
  epoch: string;
  commits: number;
  commitP50Ms: number;
  commitP99Ms: number;
  queuedMessages: number;
  /** Null where every receipt waits for the disk. */
  saver: SaverStatus | null;
  store: StoreState | null;
  failure: StoreFailure | null;
  /** Null where the store was never damaged. */
  mended: Mended | null;
  lanes: (LaneState & { cursor: number })[];
}

/** A buffer comes out of a thread as a plain Uint8Array. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
