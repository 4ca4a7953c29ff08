import assert from 'node:assert/strict';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { Cursors } from './cursors.ts';
import { Gathering, MESSAGE_COST } from './gathering.ts';
import { LaneMatch, type LaneRule } from './lane-match.ts';
import { LATE_SUFFIX, LateParts } from './late-parts.ts';
import { LatencyWindow } from './latency-window.ts';
import { MENDED, type Mended, mendedIn } from './mended.ts';
import type {
  HistoryPoint,
  LaneSettings,
  LaneState,
  Loss,
  Position,
  Reply,
  Reservation,
  Rollback,
  StoreFailure,
  StoreState,
  Watermark,
  WriterSettings,
} from './protocol.ts';
import { BATCH_BYTES_MAX, BatchReader, RECORD_OVERHEAD_MAX, type Record } from './record.ts';
import { Retained } from './retained.ts';
import { type Part, Saver, type SaverSettings, type SaverStatus } from './saver.ts';
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
  #cursors = new Cursors([], 0);
  readonly #tails = new Tails();
  readonly #latency = new LatencyWindow();
  #gathering: Gathering;
  /** The last part is the gathering of what must go to disk. */
  #committing: { parts: Part[]; watermarks: Watermark[]; reserved: Reservation[]; atMs: number } | null = null;
  /** Who waits for a position to be on disk. */
  #placing: { resolve(): void; reject(error: GatewayError): void }[] = [];
  readonly #writer: WriterThread;
  #epoch = '';
  #marks = new Map<string, string>();
  #store: StoreState | null = null;
  #scheduled = false;
  #asking: (() => void)[] = [];
  #stopping = false;
  #commits = 0;
  #failure: StoreFailure | null = null;
  #turn: NodeJS.Timeout | undefined;
  /** Null where every receipt waits for the disk. */
  readonly #saver: Saver | null;
  #linked = false;
  /** Deliveries to persistent sessions as of the last append: what they take goes to disk. */
  #enqueued = 0;
  /** A source's messages go to disk, with the note that they are taken. */
  #isTaking = false;

  constructor(options: JournalOptions, log: Log, reopened: (change: () => void) => void = (change) => change()) {
    this.#reopened = reopened;
    this.#log = log;
    this.#match = new LaneMatch(options.lanes);
    this.#parts = new LateParts(options.lanes);
    this.#writer = new WriterThread(options, (reply) => this.#receive(reply), log);
    const batchBytesMax = options.lanes.map(({ bytesMax }) => Math.min(BATCH_BYTES_MAX, bytesMax / BATCH_SHARE));
    this.#gathering = new Gathering((lane) => batchBytesMax[lane] ?? BATCH_BYTES_MAX);
    this.taken = new Taken(() => this.#schedule());
    const { saver, ledgerLane } = options;
    this.#saver = saver
      ? new Saver(saver, ledgerLane, () => this.#gathering.successor(), {
          wants: (lane) => this.#tails.wants(lane),
          give: (lane, batch, session) => this.#tails.give(lane, batch, session),
          lose: (loss) => this.#cursors.lose(loss),
          schedule: () => this.#schedule(),
        })
      : null;
    this.retained = options.retained
      ? new Retained(
          options.retained,
          () => this.#schedule(),
          () => this.#store?.reserveReached ?? false,
        )
      : null;
    this.sessions = options.sessions
      ? new Sessions(
          options.sessions,
          () => this.#schedule(),
          () => this.#store?.reserveReached ?? false,
          () => this.#gathering,
          (session, after) => this.#writer.ask('deliveries', { kind: 'session', session, after }),
        )
      : null;
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

  get epoch(): string {
    return this.#epoch;
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
      this.#flush(this.sessions?.isChanged);
    }, TURN_MS);
  }

  #ready({ epoch, store, lanes, watermarks, marks, taken, retainedLeft, retainedKnown, note }: Ready): void {
    const isAnew = this.#epoch !== epoch;
    // What was set in this run is newer than what a damaged store still had.
    this.#marks = new Map([...marks, ...this.#marks]);
    this.taken.load(taken);
    this.#epoch = epoch;
    this.#store = store;
    this.#lanes = lanes;
    this.#cursors = new Cursors(watermarks, performance.now());
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
    this.#cursors = new Cursors(none, performance.now());
    this.#note(failure);
  }

  laneOf(message: Message): number {
    return this.#match.laneOf(message);
  }

  get #queueBytes(): number {
    return this.#gathering.bytes + this.#committingSum(({ bytes }) => bytes) + (this.#saver?.bytes ?? 0);
  }

  /** For how long the commit under way has been; 0 where there is none. */
  get committingForMs(): number {
    return this.#committing === null ? 0 : performance.now() - this.#committing.atMs;
  }

  #committingSum(of: (gathering: Gathering) => number): number {
    return this.#committing?.parts.reduce((sum, { gathering }) => sum + of(gathering), 0) ?? 0;
  }

  /** So much waits for the disk that publishers should wait too. */
  get isBehind(): boolean {
    return this.#queueBytes > BEHIND_BYTES;
  }

  /** Keeps the message; the receipt comes once it is on disk. */
  append(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    if (this.#stopping) {
      receipt?.refused(token, new GatewayError('stopping', 'the box is stopping'));
      return;
    }
    if (this.#queueBytes > (message.qos === 0 ? SHED_BYTES : QUEUE_BYTES_MAX)) {
      const hint = 'use a faster card or disk, or send less';
      receipt?.refused(
        token,
        new GatewayError('queue_full', 'messages come in faster than the disk takes them', { hint }),
      );
      return;
    }
    const part = this.#partOf(lane);
    if (!this.#hold(part, message, receipt, token, reached)) {
      this.#gathering.add(part, message, receipt, token, reached);
    }
    this.#schedule();
  }

  /**
   * Publishes what a source sent under a number, within `publish`: in each lane all of it is kept or nothing, and with it
   * the note that this lane has it. At most `count` messages, of `bytes` with their subjects. False where the disk is so
   * far behind that nothing was published.
   */
  take(source: string, number: number, count: number, bytes: number, publish: () => void): boolean {
    const room = bytes + count * Math.max(RECORD_OVERHEAD_MAX, MESSAGE_COST);
    if (this.#stopping || this.#queueBytes + room > QUEUE_BYTES_MAX) return false;
    this.#isTaking = true;
    try {
      for (const [lane, batch] of this.#gathering.together(count, room, publish)) {
        this.taken.note({ source, number, lane: this.#baseName(lane), batch });
      }
    } finally {
      this.#isTaking = false;
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

  /** True where the saver takes it; not what a session on the disk takes with the same commit, and nothing out of turn. */
  #hold(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): boolean {
    if (!this.#saver) return false;
    const enqueued = this.sessions?.enqueued ?? 0;
    const isQueued = enqueued !== this.#enqueued;
    this.#enqueued = enqueued;
    if (isQueued || this.#isTaking || this.#gathering.has(lane)) return false;
    return this.#saver.add(lane, message, receipt, token, reached);
  }

  #partOf(lane: number): number {
    if (!this.#parts.isParted(lane)) return lane;
    const { bytes = 0, depth = 0 } = this.#lanes[lane] ?? {};
    // Not by their numbers, of which a crash may have left some unused.
    return this.#parts.partOf(lane, this.linked, depth - this.#cursors.unsaved(lane), bytes);
  }

  /** The first message of a quiet moment waits only until its loop turn has read every socket. */
  #schedule(): void {
    if (this.#scheduled || (this.#committing && !this.#saver)) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Sends off what has gathered; one commit at a time. `isDue`: also what could wait for another's commit. */
  #flush(isDue = false): void {
    if (!this.#writer.started) return;
    this.#saver?.hold(performance.now());
    if (this.#committing) return;
    const isChanged =
      (this.retained?.isChanged ?? false) ||
      (this.sessions?.isUrgent ?? false) ||
      this.taken.isDue ||
      (this.#saver?.isDue ?? false);
    const isFull = this.#gathering.count > 0 || isChanged || isDue;
    const watermarks = this.#cursors.due(isFull, performance.now());
    if (!isFull && watermarks.length === 0) return;
    const gathering = this.#gathering;
    this.#gathering = gathering.successor();
    const wants = (lane: number) => this.#tails.wants(lane);
    const parts = this.#saver?.take((lane) => gathering.has(lane), wants) ?? [];
    const gathered = gathering.batches(wants);
    parts.push({ gathering, batches: this.#saver?.numbered(gathered) ?? gathered, held: null });
    const reserved = this.#saver?.reservations() ?? [];
    this.#committing = { parts, watermarks, reserved, atMs: performance.now() };
    const batches = parts.flatMap((part) => part.batches);
    const retained = this.retained?.takeChanges() ?? null;
    // What is held is copied: its reader may still be at it.
    const transfer = parts.flatMap(({ batches: some, held }) =>
      held ? [] : some.map(({ buffer }) => buffer.buffer as ArrayBuffer),
    );
    if (retained) transfer.push(retained.buffer as ArrayBuffer);
    const sessions = this.sessions?.takeChanges() ?? null;
    if (sessions?.packed) transfer.push(sessions.packed.buffer as ArrayBuffer);
    const taken = this.taken.takeChanges();
    const held = batches.length - gathered.length;
    const changes = { watermarks, retained, sessions, taken, reserved };
    this.#writer.post({ kind: 'commit', epoch: this.#epoch, batches, held, ...changes }, transfer);
  }

  #receive(reply: Reply): void {
    switch (reply.kind) {
      case 'committed':
        this.#committed(reply);
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

  #committed({ results, batches, lanes, commitMs, failure }: Extract<Reply, { kind: 'committed' }>): void {
    assert(this.#committing);
    const { parts, watermarks, reserved } = this.#committing;
    const placing = this.#placing;
    this.#placing = [];
    this.#committing = null;
    this.#note(failure);
    if (failure) this.#cursors.restore(watermarks);
    else this.#saver?.reserved(reserved);
    this.#saver?.learn(lanes.map(({ lastSequence }) => lastSequence));
    // Before the receipts below, which may wait for it.
    this.retained?.committed(failure);
    this.sessions?.committed(failure);
    const gathered = parts.at(-1)?.batches.length ?? 0;
    this.taken.committed(results.slice(results.length - gathered), failure !== null);
    // Before the next one is sent off: what the saver then gives to the readers comes behind this.
    batches.forEach((batch, index) => {
      this.#tails.hand(batch, results[index], (buffer) => this.#gathering.recycle(buffer));
    });
    this.#takeStates(lanes);
    let at = 0;
    const answers = parts.map((part) => {
      const own = results.slice(at, at + part.batches.length);
      at += own.length;
      return { part, own };
    });
    // So too what the saver holds: it is not written twice, and what could not be written goes ahead of what is newer.
    for (const { part, own } of answers) if (part.held) this.#saver?.written(part.held, own, failure !== null);
    // The next commit is on its way before the receipts of this one cost time.
    if (this.#gathering.count > 0) this.#flush();
    this.#commits++;
    this.#latency.add(commitMs);
    for (const { part, own } of answers) if (!part.held) part.gathering.settle(own);
    for (const { resolve, reject } of placing) {
      if (failure) reject(new GatewayError(failure.code, failure.message, { hint: failure.hint }));
      else resolve();
    }
    // After a failure it waits for the next message or turn: a full disk does not change within a loop.
    if (!failure) this.#flush();
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
    if (blobs.length === 0 && this.#cursors.urge(lane)) this.#schedule();
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
    if (this.#cursors.acknowledge(lane, cursor, count - spared) || this.#saver?.isShort) this.#schedule();
  }

  /**
   * No record of the lane behind its cursor lies in the stream at or before `position.sequence`. For a stream that the
   * lane meets for the first time it resolves once that is on disk; nothing may be sent there before.
   */
  place(lane: number, position: Position): Promise<void> {
    const before = this.#cursors.of(lane).positions.find(({ stream }) => stream === position.stream);
    if (!this.#cursors.place(lane, position)) return Promise.resolve();
    return this.#afterCommit().catch((error: unknown) => {
      this.#cursors.displace(lane, position.stream, before);
      throw error;
    });
  }

  /** Resolves once all that was handed over before is on disk: with the commit under way or the one after it. */
  async #afterCommit(): Promise<void> {
    this.#flush();
    for (let commits = 0; commits < 2 && this.#committing; commits++) {
      await new Promise<void>((resolve, reject) => this.#placing.push({ resolve, reject }));
    }
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
    while (this.#committing || this.#gathering.count > 0 || this.#saver?.count)
      await this.#afterCommit().catch(() => undefined);
    // Once: after a failure the changes are there again, and a broken disk must not keep the box from stopping.
    if (this.retained?.isChanged || this.sessions?.isChanged) {
      this.#flush(true);
      await this.#afterCommit().catch(() => undefined);
    }
    this.#saver?.stop();
    const watermarks = this.#cursors.all(performance.now());
    await this.#writer.stop({ kind: 'stop', epoch: this.#epoch, watermarks, given: this.#saver?.allGiven ?? [] });
  });

  status(): JournalStatus {
    return {
      epoch: this.#epoch,
      commits: this.#commits,
      commitP50Ms: this.#latency.quantile(0.5),
      commitP99Ms: this.#latency.quantile(0.99),
      queuedMessages: this.#gathering.count + this.#committingSum(({ count }) => count),
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
