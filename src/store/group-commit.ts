import assert from 'node:assert/strict';
import { GatewayError } from '../core/errors.ts';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import { Cursors } from './cursors.ts';
import { Gathering } from './gathering.ts';
import { LatencyWindow } from './latency-window.ts';
import type { LaneState, Reply, Reservation, StoreFailure, Watermark } from './protocol.ts';
import type { Retained } from './retained.ts';
import type { Part, Saver } from './saver.ts';
import type { Sessions } from './sessions.ts';
import type { Tails } from './tails.ts';
import type { Taken } from './taken.ts';
import type { WriterThread } from './writer-thread.ts';

/** What goes to disk with the messages, in the same commit. */
export interface Riders {
  /** Null where every receipt waits for the disk. */
  readonly saver: Saver | null;
  readonly retained: Retained | null;
  readonly sessions: Sessions | null;
  readonly taken: Taken;
}

export interface GroupCommitParts {
  readonly writer: WriterThread;
  readonly tails: Tails;
  /** After each commit, ahead of its receipts: what it failed for, null for nothing. */
  ended(failure: StoreFailure | null): void;
  /** Then what the lanes are. */
  states(lanes: LaneState[]): void;
}

/**
 * One commit at a time. While it runs the next one gathers, and is sent off as soon as it has returned:
 *
 *   add ─▶ gathering ══ transfer ══▶ writer: commit, fsync ══ transfer back ══▶ readers, next commit, receipts
 *    └──▶ saver ── held too long, or something newer goes to disk ──┘
 */
export class GroupCommit {
  readonly #parts: GroupCommitParts;
  #riders: Riders | null = null;
  /** Of the store that is open, and its identity. */
  cursors = new Cursors([], 0);
  epoch = '';
  readonly latency = new LatencyWindow();
  commits = 0;
  #gathering: Gathering;
  /** The last part is the gathering of what must go to disk. */
  #committing: { parts: Part[]; watermarks: Watermark[]; reserved: Reservation[]; atMs: number } | null = null;
  /** Who waits for what was handed over before to be on disk. */
  #waiting: { resolve(): void; reject(error: GatewayError): void }[] = [];
  #scheduled = false;
  /** Deliveries to persistent sessions as of the last message: what they take goes to disk. */
  #enqueued = 0;
  /** A source's messages go to disk, with the note that they are taken. */
  #isTaking = false;

  /** `batchBytesMax`: where a lane's batch is closed. `ride` follows before anything else. */
  constructor(parts: GroupCommitParts, batchBytesMax: (lane: number) => number) {
    this.#parts = parts;
    this.#gathering = new Gathering(batchBytesMax);
  }

  ride(riders: Riders): void {
    this.#riders = riders;
  }

  get #with(): Riders {
    assert(this.#riders);
    return this.#riders;
  }

  /** Of what arrives now. */
  get gathering(): Gathering {
    return this.#gathering;
  }

  /** Messages that wait for the disk. */
  get count(): number {
    return this.#gathering.count + this.#underWay(({ count }) => count);
  }

  /** Bytes that wait for the disk, or for the hub's PubAck. */
  get bytes(): number {
    return this.#gathering.bytes + this.#underWay(({ bytes }) => bytes) + (this.#with.saver?.bytes ?? 0);
  }

  /** For how long the commit under way has been; 0 where there is none. */
  get busyForMs(): number {
    return this.#committing === null ? 0 : performance.now() - this.#committing.atMs;
  }

  /** True where somebody still waits for a receipt. */
  get isBusy(): boolean {
    return this.#committing !== null || this.#gathering.count > 0 || (this.#with.saver?.count ?? 0) > 0;
  }

  #underWay(of: (gathering: Gathering) => number): number {
    return this.#committing?.parts.reduce((sum, { gathering }) => sum + of(gathering), 0) ?? 0;
  }

  add(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    if (!this.#hold(lane, message, receipt, token, reached)) {
      this.#gathering.add(lane, message, receipt, token, reached);
    }
    this.schedule();
  }

  /** True where the saver takes it; not what a session on the disk takes with the same commit, and nothing out of turn. */
  #hold(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): boolean {
    const { saver, sessions } = this.#with;
    if (!saver) return false;
    const enqueued = sessions?.enqueued ?? 0;
    const isQueued = enqueued !== this.#enqueued;
    this.#enqueued = enqueued;
    if (isQueued || this.#isTaking || this.#gathering.has(lane)) return false;
    return saver.add(lane, message, receipt, token, reached);
  }

  /** See `Gathering.together`; all of it goes to disk. */
  together(count: number, bytes: number, work: () => void): [lane: number, batch: number][] {
    this.#isTaking = true;
    try {
      return this.#gathering.together(count, bytes, work);
    } finally {
      this.#isTaking = false;
    }
  }

  /** The first message of a quiet moment waits only until its loop turn has read every socket. */
  schedule(): void {
    if (this.#scheduled || (this.#committing && !this.#with.saver)) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Sends off what has gathered; one commit at a time. `isDue`: also what could wait for another's commit. */
  flush(isDue = false): void {
    const { writer, tails } = this.#parts;
    const { saver, ...riders } = this.#with;
    if (!writer.started) return;
    saver?.hold(performance.now());
    if (this.#committing) return;
    const isChanged =
      (riders.retained?.isChanged ?? false) ||
      (riders.sessions?.isUrgent ?? false) ||
      riders.taken.isDue ||
      (saver?.isDue ?? false);
    const isFull = this.#gathering.count > 0 || isChanged || isDue;
    const watermarks = this.cursors.due(isFull, performance.now());
    if (!isFull && watermarks.length === 0) return;
    const gathering = this.#gathering;
    this.#gathering = gathering.successor();
    const wants = (lane: number) => tails.wants(lane);
    const parts = saver?.take((lane) => gathering.has(lane), wants) ?? [];
    const gathered = gathering.batches(wants);
    parts.push({ gathering, batches: saver?.numbered(gathered) ?? gathered, held: null });
    const reserved = saver?.reservations() ?? [];
    this.#committing = { parts, watermarks, reserved, atMs: performance.now() };
    const batches = parts.flatMap((part) => part.batches);
    const retained = riders.retained?.takeChanges() ?? null;
    // What is held is copied: its reader may still be at it.
    const transfer = parts.flatMap(({ batches: some, held }) =>
      held ? [] : some.map(({ buffer }) => buffer.buffer as ArrayBuffer),
    );
    if (retained) transfer.push(retained.buffer as ArrayBuffer);
    const sessions = riders.sessions?.takeChanges() ?? null;
    if (sessions?.packed) transfer.push(sessions.packed.buffer as ArrayBuffer);
    const taken = riders.taken.takeChanges();
    const held = batches.length - gathered.length;
    const changes = { watermarks, retained, sessions, taken, reserved };
    writer.post({ kind: 'commit', epoch: this.epoch, batches, held, ...changes }, transfer);
  }

  /** The commit under way has ended. */
  committed({ results, batches, lanes, commitMs, failure }: Extract<Reply, { kind: 'committed' }>): void {
    assert(this.#committing);
    const { parts, watermarks, reserved } = this.#committing;
    const { saver, retained, sessions, taken } = this.#with;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#committing = null;
    this.#parts.ended(failure);
    if (failure) this.cursors.restore(watermarks);
    else saver?.reserved(reserved);
    saver?.learn(lanes.map(({ lastSequence }) => lastSequence));
    // Before the receipts below, which may wait for it.
    retained?.committed(failure);
    sessions?.committed(failure);
    const gathered = parts.at(-1)?.batches.length ?? 0;
    taken.committed(results.slice(results.length - gathered), failure !== null);
    // Before the next one is sent off: what the saver then gives to the readers comes behind this.
    batches.forEach((batch, index) => {
      this.#parts.tails.hand(batch, results[index], (buffer) => this.#gathering.recycle(buffer));
    });
    this.#parts.states(lanes);
    let at = 0;
    const answers = parts.map((part) => {
      const own = results.slice(at, at + part.batches.length);
      at += own.length;
      return { part, own };
    });
    // So too what the saver holds: it is not written twice, and what could not be written goes ahead of what is newer.
    for (const { part, own } of answers) if (part.held) saver?.written(part.held, own, failure !== null);
    // The next commit is on its way before the receipts of this one cost time.
    if (this.#gathering.count > 0) this.flush();
    this.commits++;
    this.latency.add(commitMs);
    for (const { part, own } of answers) if (!part.held) part.gathering.settle(own);
    for (const { resolve, reject } of waiting) {
      if (failure) reject(new GatewayError(failure.code, failure.message, { hint: failure.hint }));
      else resolve();
    }
    // After a failure it waits for the next message or turn: a full disk does not change within a loop.
    if (!failure) this.flush();
  }

  /** Resolves once all that was handed over before is on disk: with the commit under way or the one after it. */
  async after(): Promise<void> {
    this.flush();
    for (let commits = 0; commits < 2 && this.#committing; commits++) {
      await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    }
  }
}
