import type { Pace } from './pace.ts';

/**
 * Who sends next. All lanes share one link and one pace, so one place decides: the most important lane that has something
 * to send goes first (strict priority), and of what it sends the lanes behind it are owed a share, so that a flood on one
 * lane starves none. Lanes of the same rank take turns.
 *
 *   lane A ─ schedule() ─┐                       ┌─▶ send(16) of the lane whose turn it is
 *   lane B ─ schedule() ─┼─▶ once per loop turn ─┤   until the link is full, the pace says wait,
 *   lane C ─ schedule() ─┘                       └─  or the burst is over
 */

/** Records sent in one go before the sockets and other work get their turn: as long a live message waits for its own. */
const BURST = 64;
/** The same where live messages use the link too, and the rest behind it: it leaves box, hub and line half of their time. */
const SHARED_BURST = 32;
const REST_MS = 1;
/** Records of one lane before the next lane is looked for. */
const SLICE = 16;
/** What a lane may be owed at the most: what it could not take in time is not owed for ever. */
const OWED_MAX = 64;

/** A lane's side of it. */
export interface Sender {
  /** Lower goes first. */
  readonly rank: number;
  /** May it send now? False while it is paused or outside its hours. */
  readonly open: boolean;
  /** Sends up to `count` records and says how many went: fewer where it must wait for something of its own. */
  send(count: number): number;
}

interface Turn {
  readonly sender: Sender;
  /** It has, as far as is known, something to send. */
  ready: boolean;
  /** Records that it may send before those that go ahead of it. */
  owed: number;
  /** When it had its last turn. */
  served: number;
}

export interface DrainOptions {
  readonly pace: Pace;
  /** What lanes are owed of the records that go ahead of them, 0 to 0.5. */
  readonly share: number;
  /** False while the link's output is at its bound; `resume` says that there is room again. */
  writable(): boolean;
  /** True while live messages use the link too. */
  isShared(): boolean;
}

export class Drain {
  readonly #options: DrainOptions;
  readonly #turns = new Map<Sender, Turn>();
  /** Those of `#turns`, most important first. */
  #order: Turn[] = [];
  #scheduled = false;
  #paused: NodeJS.Timeout | undefined;
  #served = 0;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  join(sender: Sender): void {
    this.#turns.set(sender, { sender, ready: false, owed: 0, served: 0 });
    this.#order = [...this.#turns.values()].sort((a, b) => a.sender.rank - b.sender.rank);
  }

  /** The sender may have work; it is asked soon, and many causes in one turn of the loop make one look. */
  schedule(sender: Sender): void {
    const turn = this.#turns.get(sender);
    if (turn) turn.ready = true;
    this.resume();
  }

  /** There is room on the link again, or somebody may go on. */
  resume(): void {
    if (this.#scheduled || this.#paused) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  stop(): void {
    clearTimeout(this.#paused);
    this.#paused = undefined;
    this.#turns.clear();
    this.#order = [];
  }

  /** True where a record of this size may go now by the limits of the link; false ends everybody's turn until it may. */
  paced(bytes: number): boolean {
    if (this.#options.pace.isFree) return true;
    const waitMs = this.#options.pace.take(bytes, performance.now());
    if (waitMs === 0) return true;
    this.#pause(waitMs);
    return false;
  }

  #pause(ms: number): void {
    this.#paused ??= setTimeout(() => {
      this.#paused = undefined;
      this.resume();
    }, ms);
  }

  #run(): void {
    const isShared = this.#options.isShared();
    const records = isShared ? SHARED_BURST : BURST;
    const left = this.#burst(records);
    if (isShared && records - left >= SLICE) this.#pause(REST_MS);
    else if (left <= 0) this.resume();
  }

  /** Sends so many records; gives how many are left, because nobody could send more. */
  #burst(records: number): number {
    let left = records;
    while (left > 0 && !this.#paused && this.#options.writable()) {
      const turn = this.#next();
      if (!turn) break;
      const count = turn.owed >= 1 ? Math.floor(turn.owed) : SLICE;
      const sent = turn.sender.send(count);
      turn.served = ++this.#served;
      if (turn.owed >= 1) turn.owed -= Math.max(sent, 1);
      // Unless the link stopped it, it waits for something of its own and says so when that has come.
      if (sent < count && !this.#paused && this.#options.writable()) turn.ready = false;
      this.#owe(turn, sent);
      left -= Math.max(sent, 1);
    }
    return left;
  }

  #next(): Turn | null {
    let first: Turn | null = null;
    for (const turn of this.#order) {
      if (!turn.ready || !turn.sender.open) continue;
      if (turn.owed >= 1) return turn;
      if (!first || (turn.sender.rank === first.sender.rank && turn.served < first.served)) first = turn;
    }
    return first;
  }

  /** Who waits behind what was sent is owed its part of it. */
  #owe({ sender }: Turn, sent: number): void {
    let waiting = 0;
    for (const turn of this.#order) if (turn.ready && turn.sender.rank > sender.rank) waiting++;
    if (waiting === 0) return;
    const part = (sent * this.#options.share) / (1 - this.#options.share) / waiting;
    for (const turn of this.#order) {
      if (turn.ready && turn.sender.rank > sender.rank) turn.owed = Math.min(OWED_MAX, turn.owed + part);
    }
  }
}
