import assert from 'node:assert/strict';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { Commits } from './commits.ts';
import { MESSAGE_COST } from './gathering.ts';
import type { JournalOptions, JournalStatus } from './journal-types.ts';
import { LaneMatch } from './lane-match.ts';
import { bufferOf, LaneRecords } from './lane-records.ts';
import { LaneStates } from './lane-states.ts';
import { LATE_SUFFIX, LateParts } from './late-parts.ts';
import { MENDED, mendedIn } from './mended.ts';
import type { HistoryPoint, Reply, StoreState } from './protocol.ts';
import { BATCH_BYTES_MAX, RECORD_OVERHEAD_MAX } from './record.ts';
import { Remembered } from './remembered.ts';
import { Retained } from './retained.ts';
import { Saver } from './saver.ts';
import { Sessions } from './sessions.ts';
import { failureError } from './store-error.ts';
import { Taken } from './taken.ts';
import { type Ready, type Unavailable, WriterThread } from './writer-thread.ts';

/**
 * The journal's face on the main thread: what comes in, and what it knows. What goes to disk together is in commits.ts,
 * what goes up again in lane-records.ts.
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
/** How often losses are put into the journal for the hub to hear, and lagging cursors are looked at. */
const TURN_MS = 2_000;

export class Journal implements Service {
  /** Null where retained messages are off. */
  readonly retained: Retained | null;
  /** Null where there are no persistent sessions. */
  readonly sessions: Sessions | null;
  /** Numbers of sources that send until they have a receipt. */
  readonly taken: Taken;
  readonly records: LaneRecords;
  readonly #log: Log;
  /** Called when the store had to be opened again: with `change` lanes, cursors and perhaps the epoch become others. */
  readonly #reopened: (change: () => void) => void;
  readonly #match: LaneMatch;
  readonly #parts: LateParts;
  readonly #lanes = new LaneStates();
  readonly #commits: Commits;
  readonly #writer: WriterThread;
  #epoch = '';
  readonly #remembered: Remembered;
  #store: StoreState | null = null;
  #asking: (() => void)[] = [];
  #stopping = false;
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
    const bytesMax = (lane: number) => batchBytesMax[lane] ?? BATCH_BYTES_MAX;
    const commits = new Commits(bytesMax, this.#writer, this.#lanes, () => this.#epoch, log);
    this.#commits = commits;
    this.#remembered = new Remembered(this.#writer);
    this.taken = new Taken(() => commits.schedule());
    const { saver, ledgerLane } = options;
    this.#saver = saver
      ? new Saver(saver, ledgerLane, options.keep, () => commits.gathering.successor(), {
          wants: (lane) => this.#lanes.tails.wants(lane),
          give: (lane, batch, session) => this.#lanes.tails.give(lane, batch, session),
          lose: (loss) => this.#lanes.cursors.lose(loss),
          schedule: () => commits.schedule(),
        })
      : null;
    this.retained = options.retained
      ? new Retained(
          options.retained,
          () => commits.schedule(),
          () => this.#store?.reserveReached ?? false,
        )
      : null;
    this.sessions = options.sessions
      ? new Sessions(
          options.sessions,
          () => commits.schedule(),
          () => this.#store?.reserveReached ?? false,
          () => commits.gathering,
          (session, after) => this.#writer.ask('deliveries', { kind: 'session', session, after }),
        )
      : null;
    commits.board({ saver: this.#saver, retained: this.retained, sessions: this.sessions, taken: this.taken });
    this.records = new LaneRecords(this.#lanes, commits, this.#writer, this.#saver, () => this.#epoch);
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
    return this.#lanes.all.map(({ name }) => name);
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
      this.#commits.flush(this.sessions?.isChanged);
    }, TURN_MS);
  }

  #ready({ epoch, store, lanes, watermarks, marks, taken, retainedLeft, retainedKnown, note }: Ready): void {
    const isAnew = this.#epoch !== epoch;
    this.#remembered.load(marks);
    this.taken.load(taken);
    this.#epoch = epoch;
    this.#store = store;
    this.#lanes.opened(lanes, watermarks);
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
    return this.#remembered.get(name);
  }

  /** Keeps a small value (some KiB) for the next run. Resolves once it is on disk; rejects with store_failed or disk_full. */
  async setMark(name: string, value: string): Promise<void> {
    if (this.#stopping) throw new GatewayError('stopping', 'the box is stopping');
    await this.#remembered.set(name, value);
  }

  /** Keeps points of the plots, the newest of each span; lost where the store can't take them. */
  keepHistory(points: readonly HistoryPoint[], pointsMax: readonly number[]): void {
    this.#remembered.keepHistory(points, pointsMax);
  }

  /** What was kept of a span, oldest first. */
  history(span: number): Promise<HistoryPoint[]> {
    return this.#remembered.history(span);
  }

  #unavailable({ lanes, store, failure }: Unavailable): void {
    this.#store = store;
    const none = lanes.map((_, lane) => ({ lane, cursor: 0, positions: [], losses: [] }));
    this.#lanes.opened(lanes, none);
    this.#commits.note(failure);
  }

  laneOf(message: Message): number {
    return this.#match.laneOf(message);
  }

  /** For how long the commit under way has been; 0 where there is none. */
  get committingForMs(): number {
    return this.#commits.forMs;
  }

  /** So much waits for the disk that publishers should wait too. */
  get isBehind(): boolean {
    return this.#commits.bytes > BEHIND_BYTES;
  }

  /** Keeps the message; the receipt comes once it is on disk. */
  append(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    if (this.#stopping) {
      receipt?.refused(token, new GatewayError('stopping', 'the box is stopping'));
      return;
    }
    if (this.#commits.bytes > (message.qos === 0 ? SHED_BYTES : QUEUE_BYTES_MAX)) {
      const hint = 'use a faster card or disk, or send less';
      receipt?.refused(
        token,
        new GatewayError('queue_full', 'messages come in faster than the disk takes them', { hint }),
      );
      return;
    }
    const part = this.#partOf(lane);
    if (!this.#hold(part, message, receipt, token, reached)) {
      this.#commits.gathering.add(part, message, receipt, token, reached);
    }
    this.#commits.schedule();
  }

  /**
   * Publishes what a source sent under a number, within `publish`: in each lane all of it is kept or nothing, and with it
   * the note that this lane has it. At most `count` messages, of `bytes` with their subjects. False where the disk is so
   * far behind that nothing was published.
   */
  take(source: string, number: number, count: number, bytes: number, publish: () => void): boolean {
    const room = bytes + count * Math.max(RECORD_OVERHEAD_MAX, MESSAGE_COST);
    if (this.#stopping || this.#commits.bytes + room > QUEUE_BYTES_MAX) return false;
    this.#isTaking = true;
    try {
      for (const [lane, batch] of this.#commits.gathering.together(count, room, publish)) {
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
    if (failure) throw failureError(failure);
  }

  /** A lane is one with its late part here: what came while there was no link comes again when there is one. */
  #baseName(lane: number): string {
    const name = this.#lanes.of(lane)?.name ?? '';
    return name.endsWith(LATE_SUFFIX) ? name.slice(0, -LATE_SUFFIX.length) : name;
  }

  /** True where the saver takes it; not what a session on the disk takes with the same commit, and nothing out of turn. */
  #hold(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): boolean {
    if (!this.#saver) return false;
    const enqueued = this.sessions?.enqueued ?? 0;
    const isQueued = enqueued !== this.#enqueued;
    this.#enqueued = enqueued;
    if (isQueued || this.#isTaking || this.#commits.gathering.has(lane)) return false;
    return this.#saver.add(lane, message, receipt, token, reached);
  }

  #partOf(lane: number): number {
    if (!this.#parts.isParted(lane)) return lane;
    const { bytes = 0, depth = 0 } = this.#lanes.of(lane) ?? {};
    // Not by their numbers, of which a crash may have left some unused.
    return this.#parts.partOf(lane, this.linked, depth - this.#lanes.cursors.unsaved(lane), bytes);
  }

  #receive(reply: Reply): void {
    switch (reply.kind) {
      case 'committed':
        this.#commits.committed(reply);
        return;
      case 'state':
        this.#store = reply.store;
        this.#lanes.take(reply.lanes);
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
        this.#commits.note(null);
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
    while (!this.#commits.isIdle || this.#saver?.count) await this.#commits.whenDone().catch(() => undefined);
    // Once: after a failure the changes are there again, and a broken disk must not keep the box from stopping.
    if (this.retained?.isChanged || this.sessions?.isChanged) {
      this.#commits.flush(true);
      await this.#commits.whenDone().catch(() => undefined);
    }
    this.#saver?.stop();
    const watermarks = this.#lanes.cursors.all(performance.now());
    await this.#writer.stop({ kind: 'stop', epoch: this.#epoch, watermarks, given: this.#saver?.allGiven ?? [] });
  });

  status(): JournalStatus {
    return {
      epoch: this.#epoch,
      commits: this.#commits.done,
      commitP50Ms: this.#commits.latencyMs(0.5),
      commitP99Ms: this.#commits.latencyMs(0.99),
      queuedMessages: this.#commits.messages,
      saver: this.#saver?.status() ?? null,
      store: this.#store,
      failure: this.#commits.failure,
      mended: mendedIn(this.#remembered.get(MENDED)),
      lanes: this.#lanes.all.map((state, lane) => {
        const { cursor, lastSequence } = this.records.resume(lane);
        // The writer counts from the cursor on disk; ours may be ahead of it.
        const depth = Math.max(0, state.depth - this.#lanes.cursors.unsaved(lane));
        return { ...state, lastSequence, cursor, depth };
      }),
    };
  }
}
