import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { Gathering } from './gathering.ts';
import type { BatchResult, CommitBatch, KeepSettings, Loss, Reservation } from './protocol.ts';
import { BatchReader } from './record.ts';
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

/** Numbers reserved ahead for each lane, renewed when half are used: with the cursor, one small commit each 4,096. */
const RESERVED_AHEAD = 8_192;
/** After a hold that was too short the lane goes to disk at once for this long: a slow hub must not slow receipts down. */
const REST_MS = 5_000;

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

/** What arrived for one lane in one turn of the loop, numbered and handed to the reader. */
interface Held {
  readonly lane: number;
  readonly gathering: Gathering;
  readonly batches: CommitBatch[];
  readonly results: BatchResult[];
  readonly count: number;
  readonly last: number;
  readonly atMs: number;
  /** The hub will never take some of it. */
  isLost: boolean;
  state: 'held' | 'writing' | 'settled';
}

/** What goes into a commit: `held` was numbered before, null where the writer numbers. */
export interface Part {
  readonly gathering: Gathering;
  readonly batches: CommitBatch[];
  readonly held: Held | null;
}

interface SavedLane {
  /** Arrived in this turn of the loop; null for nothing. */
  open: Gathering | null;
  held: Held[];
  /** Last number given, on disk or not. */
  given: number;
  /** Up to here numbers may be given without being on disk. */
  reservedTo: number;
  /** A commit is under way in which the writer numbers some: the next number is not known. */
  isBusy: boolean;
  /** What is held goes to disk. */
  isDue: boolean;
  restsUntilMs: number;
}

export class Saver {
  readonly #settings: SaverSettings;
  readonly #ports: SaverPorts;
  readonly #lanes: SavedLane[];
  readonly #successor: () => Gathering;
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
    this.#successor = gathering;
    this.#lanes = Array.from({ length: lanes }, () => ({
      open: null,
      held: [],
      given: 0,
      reservedTo: 0,
      isBusy: false,
      isDue: false,
      restsUntilMs: 0,
    }));
  }

  get bytes(): number {
    return this.#sum(({ bytes }) => bytes);
  }

  /** Messages that have no receipt yet. */
  get count(): number {
    return this.#sum(({ count }) => count);
  }

  #sum(of: (gathering: Gathering) => number): number {
    let sum = 0;
    for (const { open, held } of this.#lanes) {
      if (open) sum += of(open);
      for (const { gathering, state } of held) if (state === 'held') sum += of(gathering);
    }
    return sum;
  }

  /** Last number given in the lane. */
  given(lane: number): number {
    return this.#lanes[lane]?.given ?? 0;
  }

  /** Takes the message if it may be held; false where it belongs on the disk (QoS 2 and retained, by their promises). */
  add(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): boolean {
    const saved = this.#lanes[lane];
    if (!saved || !this.#isLinked || message.qos === 2 || message.retain === true) return false;
    saved.open ??= this.#successor();
    saved.open.add(lane, message, receipt, token, reached);
    return true;
  }

  /** Called once per turn of the loop: numbers what has arrived and hands it to the readers that keep up. */
  hold(nowMs: number): void {
    for (const [lane, saved] of this.#lanes.entries()) {
      if (!saved.open || saved.isBusy || saved.isDue || !this.#isLinked || nowMs < saved.restsUntilMs) continue;
      if (saved.given + saved.open.count > saved.reservedTo) continue;
      const session = this.#ports.wants(lane);
      if (session > 0) this.#holdOne(lane, saved, saved.open, session, nowMs);
    }
  }

  #holdOne(lane: number, saved: SavedLane, gathering: Gathering, session: number, nowMs: number): void {
    saved.open = null;
    const batches: CommitBatch[] = [];
    const results: BatchResult[] = [];
    for (const batch of gathering.batches(() => 0)) {
      // Of its own memory: the buffer is large and goes on to the next batch, and the writer gets a copy of this.
      const buffer = Buffer.from(new ArrayBuffer(batch.length));
      batch.buffer.copy(buffer, 0, 0, batch.length);
      gathering.recycle(batch.buffer);
      batches.push({ ...batch, buffer, after: saved.given, isNumbered: true });
      results.push({ first: saved.given + 1, failure: null, handed: true });
      saved.given += batch.count;
    }
    const held: Held = {
      lane,
      gathering,
      batches,
      results,
      count: gathering.count,
      last: saved.given,
      atMs: nowMs,
      isLost: false,
      state: 'held',
    };
    saved.held.push(held);
    batches.forEach(({ buffer, count }, i) => {
      this.#ports.give(lane, new BatchReader(buffer, results[i]?.first ?? 0, count), session);
    });
    this.#timer ??= setTimeout(() => this.#timeOut(), this.#settings.holdMs);
  }

  /** Everything of the lane up to `cursor` is at the hub: its receipts go out. Gives how many records were spared the disk. */
  passed(lane: number, cursor: number): number {
    const saved = this.#lanes[lane];
    let spared = 0;
    while (saved?.held[0] && saved.held[0].last <= cursor && !saved.held[0].isLost) {
      const held = saved.held.shift() as Held;
      if (held.state === 'held') {
        spared += held.count;
        this.#kept.keep(lane, held.batches, performance.now());
      }
      held.state = 'settled';
      held.gathering.settle(held.results);
    }
    this.#spared += spared;
    return spared;
  }

  /** The hub may have lost what it alone had: what is kept goes to the disk, with all that is held. True where there is any. */
  giveBack(lane: number): boolean {
    const saved = this.#lanes[lane];
    if (!saved) return false;
    for (const batch of this.#kept.take(lane).toReversed()) {
      const { count, after = 0 } = batch;
      const results = [{ first: after + 1, failure: null, handed: true }];
      const held = { lane, gathering: this.#successor(), batches: [batch], results, count, last: after + count };
      saved.held.unshift({ ...held, atMs: performance.now(), isLost: false, state: 'held' });
    }
    saved.isDue = saved.held.length > 0;
    return saved.isDue;
  }

  /** The hub will never take these: their loss is declared on the disk, and they go there too before their receipts. */
  lost({ lane, first, last }: Loss): void {
    const saved = this.#lanes[lane];
    for (const held of saved?.held ?? []) {
      if (held.last < (first ?? 0) || (held.results[0]?.first ?? 0) > (last ?? 0)) continue;
      held.isLost = true;
      if (saved) saved.isDue = true;
      this.#ports.schedule();
    }
  }

  #timeOut(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    let nextMs = Infinity;
    for (const saved of this.#lanes) {
      const first = saved.held.find(({ state }) => state === 'held');
      if (!first) continue;
      const leftMs = first.atMs + this.#settings.holdMs - nowMs;
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      else {
        saved.isDue = true;
        saved.restsUntilMs = nowMs + REST_MS;
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
    for (const saved of this.#lanes) if (saved.held.length > 0) saved.isDue = true;
    this.#ports.schedule();
  }

  /** Whether a commit should begin for what is here. */
  get isDue(): boolean {
    return (
      this.isShort ||
      this.#lanes.some(
        ({ open, held, isDue }) => open !== null || (isDue && held.some(({ state }) => state === 'held')),
      )
    );
  }

  /** What goes into the commit that begins now; `also`: lanes that have something newer in it. */
  take(also: (lane: number) => boolean, readerOf: (lane: number) => number): Part[] {
    const parts: Part[] = [];
    for (const [lane, saved] of this.#lanes.entries()) {
      const isNewer = saved.open !== null || also(lane);
      if (saved.isDue || isNewer) {
        for (const held of saved.held) {
          held.state = 'writing';
          parts.push({ gathering: held.gathering, batches: held.batches, held });
        }
        saved.isDue = false;
      }
      if (saved.open)
        parts.push({ gathering: saved.open, batches: this.numbered(saved.open.batches(readerOf)), held: null });
      saved.isBusy = isNewer;
      saved.open = null;
    }
    return parts;
  }

  /** Tells the writer which numbers are given, so that it goes on behind them. */
  numbered(batches: CommitBatch[]): CommitBatch[] {
    return batches.map((batch) => ({ ...batch, after: this.given(batch.lane) }));
  }

  /** A commit with this has ended; `isVain`: it kept nothing at all. */
  written(held: Held, results: readonly BatchResult[], isVain: boolean): void {
    if (held.state === 'settled') return;
    const saved = this.#lanes[held.lane] as SavedLane;
    const { gathering } = held;
    const failure = results.find((result) => result.failure)?.failure;
    if (isVain && this.#isLinked && !held.isLost) {
      // The hub may still take it, whatever the disk says: it is tried again with the next commit.
      held.state = 'held';
      saved.isDue = true;
      return;
    }
    saved.held = saved.held.filter((one) => one !== held);
    held.state = 'settled';
    gathering.settle(results);
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
    for (const [lane, saved] of this.#lanes.entries()) {
      saved.given = Math.max(saved.given, lastSequences[lane] ?? 0);
      saved.isBusy = false;
    }
  }

  /** Whether numbers should be reserved even if nothing else is committed. */
  get isShort(): boolean {
    return this.#isLinked && this.#lanes.some(({ given, reservedTo }) => given + RESERVED_AHEAD / 2 > reservedTo);
  }

  /** What to reserve with the commit that begins now. */
  reservations(): Reservation[] {
    if (!this.isShort) return [];
    return this.#lanes.map(({ held, given }, lane) => {
      const first = held.find(({ state }) => state === 'held')?.results[0]?.first;
      // What is held is not given as far as the disk knows: it may still come, and nothing may pass it by.
      return { lane, given: first === undefined ? given : first - 1, to: given + RESERVED_AHEAD };
    });
  }

  /** They are on the disk. */
  reserved(reservations: readonly Reservation[]): void {
    for (const { lane, to } of reservations) {
      const saved = this.#lanes[lane];
      if (saved) saved.reservedTo = Math.max(saved.reservedTo, to);
    }
  }

  /** The store was opened, or opened again: reservations of before count no more, and what is held goes there. */
  opened(lastSequences: readonly number[]): void {
    this.learn(lastSequences);
    this.#kept.clear();
    for (const saved of this.#lanes) saved.reservedTo = 0;
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
