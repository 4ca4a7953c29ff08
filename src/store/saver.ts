import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { Gathering } from './gathering.ts';
import type { Loss } from './losses.ts';
import type { BatchResult, CommitBatch, KeepSettings, Reservation } from './protocol.ts';
import { BatchReader } from './record.ts';
import { type Held, type Part, SavedLane } from './saved-lane.ts';
import { Spared } from './spared.ts';

/**
 * The flash saver: while the hub answers, its PubAck is the receipt, and what it has taken is never written here. Messages
 * of one turn of the loop are numbered and handed to the lane's reader at once, and held in memory:
 *
 *                  ┌─ the cursor passes them (the hub has them) ─▶ receipts, nothing was written; kept a while
 *   arrive ─▶ held ┤
 *                  └─ `hold` is over, or the link is down ───────▶ commit, fsync ─▶ receipts
 *
 * Numbers are given before anything is on disk, so a crash must not give them again: each lane has some reserved on the
 * disk, and a start after a crash goes on behind them. What goes to disk takes along everything older that is held, so
 * the lane on disk is in order: what is held has higher numbers than what is written.
 */

export interface SaverSettings {
  /** Longest wait for the hub's PubAck before a message is written. */
  readonly holdMs: number;
}

export interface SaverStatus {
  holdMs: number;
  /** Messages that wait for the hub's PubAck in memory. */
  held: number;
  /** Messages that the hub took before they had to be written. */
  spared: number;
  /** Messages that were held and written all the same. */
  written: number;
}

interface SaverPorts {
  /** The session of the lane's reader where it stands at the end of the lane and has room, else 0. */
  wants(lane: number): number;
  give(lane: number, batch: BatchReader, session: number): void;
  lose(loss: Loss): void;
  /** Something is to be looked at in the next turn of the loop. */
  schedule(): void;
}

export class Saver {
  readonly #settings: SaverSettings;
  readonly #ports: SaverPorts;
  readonly #lanes: SavedLane[];
  readonly #kept: Spared;
  #timer: NodeJS.Timeout | undefined;
  #isLinked = false;
  #spared = 0;
  #written = 0;

  /**
   * `lanes`: how many take part, the first ones of the journal. `gathering` makes an empty one. `keep`: for how long what
   * the hub alone has is kept, and how much.
   */
  constructor(
    settings: SaverSettings,
    lanes: number,
    keep: KeepSettings,
    gathering: () => Gathering,
    ports: SaverPorts,
  ) {
    this.#settings = settings;
    this.#kept = new Spared(keep);
    this.#ports = ports;
    this.#lanes = Array.from({ length: lanes }, (_, lane) => new SavedLane(lane, gathering));
  }

  get bytes(): number {
    return this.#sum(({ bytes }) => bytes);
  }

  /** Messages that have no receipt yet. */
  get count(): number {
    return this.#sum(({ count }) => count);
  }

  #sum(of: (gathering: Gathering) => number): number {
    return this.#lanes.reduce((sum, saved) => sum + saved.sum(of), 0);
  }

  /** Last number given in the lane. */
  given(lane: number): number {
    return this.#lanes[lane]?.given ?? 0;
  }

  /** Takes the message if it may be held; false where it belongs on the disk (QoS 2 and retained, by their promises). */
  add(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): boolean {
    const saved = this.#lanes[lane];
    if (!saved || !this.#isLinked || message.qos === 2 || message.retain === true) return false;
    saved.add(message, receipt, token, reached);
    return true;
  }

  /** Called once per turn of the loop: numbers what has arrived and hands it to the readers that keep up. */
  hold(nowMs: number): void {
    for (const [lane, saved] of this.#lanes.entries()) {
      if (!this.#isLinked || !saved.mayHold(nowMs)) continue;
      const session = this.#ports.wants(lane);
      if (session > 0) this.#give(saved.hold(nowMs), session);
    }
  }

  #give({ lane, batches, results }: Held, session: number): void {
    batches.forEach(({ buffer, count }, i) => {
      this.#ports.give(lane, new BatchReader(buffer, results[i]?.first ?? 0, count), session);
    });
    this.#timer ??= setTimeout(() => this.#timeOut(), this.#settings.holdMs);
  }

  /** Everything of the lane up to `cursor` is at the hub: its receipts go out. Gives how many records were spared the disk. */
  passed(lane: number, cursor: number): number {
    const spared = this.#lanes[lane]?.passed(cursor, this.#kept) ?? 0;
    this.#spared += spared;
    return spared;
  }

  /** The hub may have lost what it alone had: what is kept goes to the disk, with all that is held. True where there is any. */
  giveBack(lane: number): boolean {
    return this.#lanes[lane]?.giveBack(this.#kept) ?? false;
  }

  /** The hub will never take these: their loss is declared on the disk, and they go there too before their receipts. */
  lost(loss: Loss): void {
    if (this.#lanes[loss.lane]?.lose(loss)) this.#ports.schedule();
  }

  #timeOut(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    let nextMs = Infinity;
    for (const saved of this.#lanes) {
      const leftMs = saved.leftMs(this.#settings.holdMs, nowMs);
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      else {
        saved.rest(nowMs);
        this.#ports.schedule();
      }
    }
    if (nextMs < Infinity) this.#timer = setTimeout(() => this.#timeOut(), Math.ceil(nextMs));
  }

  /** While it is down everything goes to disk, at once what is held. */
  set isLinked(isLinked: boolean) {
    this.#isLinked = isLinked;
    if (!isLinked) this.#writeAll();
  }

  #writeAll(): void {
    for (const saved of this.#lanes) saved.writeAll();
    this.#ports.schedule();
  }

  /** Whether a commit should begin for what is here. */
  get isDue(): boolean {
    return this.isShort || this.#lanes.some((saved) => saved.isDue);
  }

  /** What goes into the commit that begins now; `also`: lanes that have something newer in it. */
  take(also: (lane: number) => boolean, readerOf: (lane: number) => number): Part[] {
    return this.#lanes.flatMap((saved, lane) => saved.take(also(lane), readerOf));
  }

  /** Tells the writer which numbers are given, so that it goes on behind them. */
  numbered(batches: CommitBatch[]): CommitBatch[] {
    return batches.map((batch) => ({ ...batch, after: this.given(batch.lane) }));
  }

  /** A commit with this has ended; `isVain`: it kept nothing at all. */
  written(held: Held, results: readonly BatchResult[], isVain: boolean): void {
    if (held.state === 'settled') return;
    const saved = this.#lanes[held.lane] as SavedLane;
    const failure = results.find((result) => result.failure)?.failure;
    if (isVain && this.#isLinked && !held.isLost) {
      // The hub may still take it, whatever the disk says: it is tried again with the next commit.
      saved.tryAgain(held);
      return;
    }
    saved.settle(held, results);
    if (!failure) {
      this.#written += held.count;
      return;
    }
    // Its numbers were given, and the hub may have some of them.
    const { lane, count, last } = held;
    const first = last - count + 1;
    this.#ports.lose({ lane, reason: 'refused', count, first, last, detail: failure.message });
  }

  /** After each commit: the writer has numbered up to here. */
  learn(lastSequences: readonly number[]): void {
    for (const [lane, saved] of this.#lanes.entries()) saved.learn(lastSequences[lane] ?? 0);
  }

  /** Whether numbers should be reserved even if nothing else is committed. */
  get isShort(): boolean {
    return this.#isLinked && this.#lanes.some((saved) => saved.isShort);
  }

  /** What to reserve with the commit that begins now. */
  reservations(): Reservation[] {
    return this.isShort ? this.#lanes.map(({ reservation }) => reservation) : [];
  }

  /** They are on the disk. */
  reserved(reservations: readonly Reservation[]): void {
    for (const { lane, to } of reservations) this.#lanes[lane]?.reserved(to);
  }

  /** The store was opened, or opened again: reservations of before count no more, and what is held goes there. */
  opened(lastSequences: readonly number[]): void {
    this.learn(lastSequences);
    this.#kept.clear();
    for (const saved of this.#lanes) saved.unreserve();
    this.#writeAll();
  }

  /** Last numbers given, for a store that is closed in order. */
  get allGiven(): number[] {
    return this.#lanes.map(({ given }) => given);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  status(): SaverStatus {
    return { holdMs: this.#settings.holdMs, held: this.count, spared: this.#spared, written: this.#written };
  }
}
