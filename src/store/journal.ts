import assert from 'node:assert/strict';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { Admission } from './admission.ts';
import { Commits } from './commits.ts';
import type { JournalOptions, JournalStatus } from './journal-types.ts';
import { bufferOf, LaneRecords } from './lane-records.ts';
import { LaneStates } from './lane-states.ts';
import { MENDED, mendedIn } from './mended.ts';
import type { HistoryPoint, Reply, StoreState } from './protocol.ts';
import { Remembered } from './remembered.ts';
import { Retained } from './retained.ts';
import { Saver } from './saver.ts';
import { Sessions } from './sessions.ts';
import { failureError } from './store-error.ts';
import { Taken } from './taken.ts';
import { type Ready, type Unavailable, WriterThread } from './writer-thread.ts';

/**
 * The journal's face on the main thread: its parts, and what it knows. What comes in is in admission.ts, what goes to
 * disk together in commits.ts, what goes up again in lane-records.ts.
 *
 *   append ─▶ gathering ══ transfer ══▶ writer: commit, fsync ══ transfer back ══▶ receipts, then the lane's tail
 */

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
  readonly #lanes = new LaneStates();
  readonly #commits: Commits;
  readonly #admission: Admission;
  readonly #writer: WriterThread;
  #epoch = '';
  readonly #remembered: Remembered;
  #store: StoreState | null = null;
  #asking: (() => void)[] = [];
  #turn: NodeJS.Timeout | undefined;
  /** Null where every receipt waits for the disk. */
  readonly #saver: Saver | null;

  constructor(options: JournalOptions, log: Log, reopened: (change: () => void) => void = (change) => change()) {
    this.#reopened = reopened;
    this.#log = log;
    this.#writer = new WriterThread(options, (reply) => this.#receive(reply), log);
    const commits = new Commits(options.lanes, this.#writer, this.#lanes, () => this.#epoch, log);
    const schedule = () => commits.schedule();
    const isReserveReached = () => this.#store?.reserveReached ?? false;
    this.#commits = commits;
    this.#remembered = new Remembered(this.#writer);
    this.taken = new Taken(schedule);
    const { saver, ledgerLane } = options;
    this.#saver = saver
      ? new Saver(saver, ledgerLane, options.keep, () => commits.gathering.successor(), {
          wants: (lane) => this.#lanes.tails.wants(lane),
          give: (lane, batch, session) => this.#lanes.tails.give(lane, batch, session),
          lose: (loss) => this.#lanes.cursors.lose(loss),
          schedule,
        })
      : null;
    this.retained = options.retained ? new Retained(options.retained, schedule, isReserveReached) : null;
    this.sessions = options.sessions
      ? new Sessions(
          options.sessions,
          schedule,
          isReserveReached,
          () => commits.gathering,
          (session, after) => this.#writer.ask('deliveries', { kind: 'session', session, after }),
        )
      : null;
    const passengers = { saver: this.#saver, retained: this.retained, sessions: this.sessions, taken: this.taken };
    commits.board(passengers);
    this.#admission = new Admission(options.lanes, this.#lanes, commits, passengers);
    this.records = new LaneRecords(this.#lanes, commits, this.#writer, this.#saver, () => this.#epoch);
  }

  get linked(): boolean {
    return this.#admission.isLinked;
  }

  /**
   * The link is up. Losses become messages only then: until then they merge, and an outage ends as a few rows. And only
   * then does a live-first lane take messages itself, and may the hub's PubAck be a receipt.
   */
  set linked(isLinked: boolean) {
    this.#admission.isLinked = isLinked;
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
    if (this.#admission.isStopping) throw new GatewayError('stopping', 'the box is stopping');
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
    return this.#admission.laneOf(message);
  }

  /** For how long the commit under way has been; 0 where there is none. */
  get committingForMs(): number {
    return this.#commits.forMs;
  }

  /** So much waits for the disk that publishers should wait too. */
  get isBehind(): boolean {
    return this.#admission.isBehind;
  }

  /** Keeps the message; the receipt comes once it is on disk. */
  append(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    this.#admission.append(lane, message, receipt, token, reached);
  }

  /**
   * Publishes what a source sent under a number, within `publish`: in each lane all of it is kept or nothing, and with it
   * the note that this lane has it. At most `count` messages, of `bytes` with their subjects. False where the disk is so
   * far behind that nothing was published.
   */
  take(source: string, number: number, count: number, bytes: number, publish: () => void): boolean {
    return this.#admission.take(source, number, count, bytes, publish);
  }

  /** Whether the lane of this message has what the source sent under the number. */
  hasTaken(source: string, number: number, message: Message): boolean {
    return this.#admission.hasTaken(source, number, message);
  }

  /**
   * Messages that a source threw away or that nobody will take, for the ledger; where they have a number, once. Resolves
   * once it is on disk; rejects with store_failed or disk_full.
   */
  async lost(where: string, count: number, detail: string, source: string, number: number | null): Promise<void> {
    const { failure } = await this.#writer.ask('marked', { kind: 'lost', where, count, detail, source, number });
    if (failure) throw failureError(failure);
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
    this.#admission.isStopping = true;
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
