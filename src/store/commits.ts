import assert from 'node:assert/strict';
import type { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { Gathering } from './gathering.ts';
import type { LaneStates } from './lane-states.ts';
import { LatencyWindow } from './latency-window.ts';
import { Pause } from './pause.ts';
import type { LaneSettings, Reply, Reservation, StoreFailure, Watermark } from './protocol.ts';
import { BATCH_BYTES_MAX } from './record.ts';
import type { Retained } from './retained.ts';
import type { Part } from './saved-lane.ts';
import type { Saver } from './saver.ts';
import type { Sessions } from './sessions.ts';
import { failureError } from './store-error.ts';
import type { Taken } from './taken.ts';
import type { WriterThread } from './writer-thread.ts';

/** A lane's batch is at most this share of the lane, so that a small one can still drop its oldest. */
const BATCH_SHARE = 16;

/** What goes to disk with the messages. */
export interface Passengers {
  readonly saver: Saver | null;
  readonly retained: Retained | null;
  readonly sessions: Sessions | null;
  /** Numbers of sources that send until they have a receipt. */
  readonly taken: Taken;
}

/**
 * The group commit: what arrives while a commit runs gathers in memory, one packed batch per lane, and goes to the writer
 * thread as soon as that is free. Receipts are handed out when the commit is on disk, in the order of the appends.
 */
export class Commits {
  readonly #writer: WriterThread;
  readonly #lanes: LaneStates;
  readonly #epoch: () => string;
  readonly #log: Log;
  #passengers: Passengers | null = null;
  #gathering: Gathering;
  /** The last part is the gathering of what must go to disk. */
  #committing: { parts: Part[]; watermarks: Watermark[]; reserved: Reservation[]; atMs: number } | null = null;
  /** Who waits for a commit's end. */
  #waiting: { resolve(): void; reject(error: GatewayError): void }[] = [];
  #isScheduled = false;
  readonly #pause = new Pause(() => this.flush());
  #failure: StoreFailure | null = null;
  readonly #latency = new LatencyWindow();
  done = 0;

  constructor(
    settings: readonly LaneSettings[],
    writer: WriterThread,
    lanes: LaneStates,
    epoch: () => string,
    log: Log,
  ) {
    this.#writer = writer;
    this.#lanes = lanes;
    this.#epoch = epoch;
    this.#log = log;
    const batchBytesMax = settings.map(({ bytesMax }) => Math.min(BATCH_BYTES_MAX, bytesMax / BATCH_SHARE));
    this.#gathering = new Gathering((lane) => batchBytesMax[lane] ?? BATCH_BYTES_MAX);
  }

  /** Once, before the first message: they ask for commits themselves. */
  board(passengers: Passengers): void {
    this.#passengers = passengers;
  }

  get #aboard(): Passengers {
    assert(this.#passengers);
    return this.#passengers;
  }

  /** What the next commit takes. */
  get gathering(): Gathering {
    return this.#gathering;
  }

  /** Of all that is not on disk yet. */
  get bytes(): number {
    return this.#gathering.bytes + this.#sum(({ bytes }) => bytes) + (this.#aboard.saver?.bytes ?? 0);
  }

  get messages(): number {
    return this.#gathering.count + this.#sum(({ count }) => count);
  }

  #sum(of: (gathering: Gathering) => number): number {
    return this.#committing?.parts.reduce((sum, { gathering }) => sum + of(gathering), 0) ?? 0;
  }

  get isIdle(): boolean {
    return this.#committing === null && this.#gathering.count === 0;
  }

  /** For how long the commit under way has been; 0 where there is none. */
  get forMs(): number {
    return this.#committing === null ? 0 : performance.now() - this.#committing.atMs;
  }

  /** Why the store can't write; null while it can. */
  get failure(): StoreFailure | null {
    return this.#failure;
  }

  latencyMs(quantile: number): number {
    return this.#latency.quantile(quantile);
  }

  /** The first message of a quiet moment waits only until its loop turn has read every socket. */
  schedule(): void {
    if (this.#isScheduled || (this.#committing && !this.#aboard.saver)) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  /** Sends off what has gathered; one commit at a time. `isDue`: also what could wait for another's commit. */
  flush(isDue = false): void {
    if (!this.#writer.started) return;
    const { saver, retained, sessions, taken } = this.#aboard;
    saver?.hold(performance.now());
    if (this.#committing) return;
    const isChanged = retained?.isChanged || sessions?.isUrgent || taken.isDue || saver?.isDue;
    if (!isChanged && !isDue && this.#pause.holds(this.#gathering.count)) return;
    const isFull = this.#gathering.count > 0 || isChanged || isDue;
    const watermarks = this.#lanes.cursors.due(isFull, performance.now());
    if (!isFull && watermarks.length === 0) return;
    const gathering = this.#gathering;
    this.#pause.committing(gathering.count);
    this.#gathering = gathering.successor();
    const wants = (lane: number) => this.#lanes.tails.wants(lane);
    const parts = saver?.take((lane) => gathering.has(lane), wants) ?? [];
    const gathered = gathering.batches(wants);
    parts.push({ gathering, batches: saver?.numbered(gathered) ?? gathered, held: null });
    const reserved = saver?.reservations() ?? [];
    this.#committing = { parts, watermarks, reserved, atMs: performance.now() };
    this.#post(parts, watermarks, reserved, gathered.length);
  }

  #post(parts: readonly Part[], watermarks: Watermark[], reserved: Reservation[], gathered: number): void {
    const { retained, sessions, taken } = this.#aboard;
    const batches = parts.flatMap((part) => part.batches);
    const kept = retained?.takeChanges() ?? null;
    // What is held is copied: its reader may still be at it.
    const transfer = parts.flatMap(({ batches: some, held }) =>
      held ? [] : some.map(({ buffer }) => buffer.buffer as ArrayBuffer),
    );
    if (kept) transfer.push(kept.buffer as ArrayBuffer);
    const changed = sessions?.takeChanges() ?? null;
    if (changed?.packed) transfer.push(changed.packed.buffer as ArrayBuffer);
    const held = batches.length - gathered;
    const changes = { watermarks, retained: kept, sessions: changed, taken: taken.takeChanges(), reserved };
    this.#writer.post({ kind: 'commit', epoch: this.#epoch(), batches, held, ...changes }, transfer);
  }

  /** The writer is through with it. */
  committed({ results, batches, lanes, commitMs, failure }: Extract<Reply, { kind: 'committed' }>): void {
    assert(this.#committing);
    const { parts, watermarks, reserved } = this.#committing;
    const { saver, retained, sessions, taken } = this.#aboard;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#committing = null;
    this.note(failure);
    if (failure) this.#lanes.cursors.restore(watermarks);
    else saver?.reserved(reserved);
    saver?.learn(lanes.map(({ lastSequence }) => lastSequence));
    // Before the receipts below, which may wait for it.
    retained?.committed(failure);
    sessions?.committed(failure);
    const gathered = parts.at(-1)?.batches.length ?? 0;
    taken.committed(results.slice(results.length - gathered), failure !== null);
    // Before the next one is sent off: what the saver then gives to the readers comes behind this.
    batches.forEach((batch, index) => {
      this.#lanes.tails.hand(batch, results[index], (buffer) => this.#gathering.recycle(buffer));
    });
    this.#lanes.take(lanes);
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
    this.done++;
    this.#latency.add(commitMs);
    for (const { part, own } of answers) if (!part.held) part.gathering.settle(own);
    for (const { resolve, reject } of waiting) {
      if (failure) reject(failureError(failure));
      else resolve();
    }
    // After a failure it waits for the next message or turn: a full disk does not change within a loop.
    if (!failure) this.flush();
  }

  /** Told once when it begins, and once when it is over. */
  note(failure: StoreFailure | null): void {
    if (failure && !this.#failure) this.#log.error(failure, 'messages are refused: the store cannot write');
    if (!failure && this.#failure) this.#log.info('the store writes again');
    this.#failure = failure;
  }

  /** Resolves once all that was handed over before is on disk: with the commit under way or the one after it. */
  async whenDone(): Promise<void> {
    this.#pause.end();
    this.flush();
    for (let commits = 0; commits < 2 && this.#committing; commits++) {
      await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    }
  }
}
