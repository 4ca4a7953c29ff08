/**
 * How much of a backlog may be on its way, so that a live message sent now does not wait long behind it. Sockets, modems
 * and a busy hub queue megabytes, and none of them tells; so now and then a probe goes with what is sent, and its answer
 * says how far the far end has come, and how long what is sent now has to wait.
 *
 *   sent ─┬──────────── not answered ─────────────┬─▶ answered
 *         └ probe    probe    probe    probe      └ the answer to the oldest probe has come
 *
 * The budget of what is not answered grows while the round trip is near that of an empty line, and shrinks when it is
 * not: a fast line gets megabytes, a thin one a few records.
 */
export interface HeadroomBounds {
  /** Of the budget, in whatever is counted: bytes, records. */
  readonly first: number;
  readonly min: number;
  readonly max: number;
  /** From one probe to the next at the least. */
  readonly apart: number;
  /** What a round trip may take besides that of the empty line: less is the noise of a busy machine. */
  readonly slackMs: number;
  /** The same where nothing else uses the line: then what is held back has nobody to make room for. */
  readonly aloneSlackMs: number;
}

/** Probes in a full budget. */
const PROBES = 4;
const RISE = 1.5;
/** Per answer, so four times in a round trip. */
const SHRINK = 0.85;
const GROW = 1 / 16;
/** Until it was too much for the first time. */
const GROW_FIRST = 1 / 4;
/** The line may have become another one: after this time it is emptied for a moment and measured again. */
const BASE_MS = 10_000;
/** Round trips of one record at a time, on the emptied line. */
const MEASURED = 2;

interface Probe {
  /** Everything up to here has come through when its answer comes. */
  readonly at: number;
  readonly sentAtMs: number;
}

export class Headroom {
  readonly #bounds: HeadroomBounds;
  #budget: number;
  #readUpTo = 0;
  #probes: Probe[] = [];
  #probedAt = 0;
  #baseMs = Infinity;
  #baseAtMs = 0;
  /** While the line is being emptied and measured: the smallest round trip so far. */
  #measuring: { left: number; rttMs: number } | null = null;
  /** Since the empty line was measured. What flows freely is not held up for that. */
  #isFull = false;
  #growth = GROW_FIRST;

  constructor(bounds: HeadroomBounds) {
    this.#bounds = bounds;
    this.#budget = bounds.first;
  }

  /** Counts from 0 again: no answer comes any more to what was sent. The line is still the same one. */
  restart(): void {
    this.#readUpTo = 0;
    this.#probes = [];
    this.#probedAt = 0;
    this.#measuring = null;
  }

  /** False while so much is not answered that the backlog should wait. `written`: what was sent so far. */
  has(written: number): boolean {
    if (written - this.#readUpTo < (this.#measuring ? 1 : this.#budget)) return true;
    this.#isFull = true;
    return false;
  }

  /** True where half of it is free again: whoever waited for that sends many at once. */
  isHalfFree(written: number): boolean {
    return written - this.#readUpTo <= (this.#measuring ? 0 : this.#budget / 2);
  }

  /** Where the oldest probe went out that has no answer yet; Infinity where there is none. */
  get awaited(): number {
    return this.#probes[0]?.at ?? Infinity;
  }

  /** True where a probe should go out now; `probed` follows. */
  isProbeDue(written: number): boolean {
    const isBlocked = this.#probes.length === 0 && !this.has(written) && written > this.#probedAt;
    return isBlocked || written - this.#probedAt >= Math.max(this.#budget / PROBES, this.#bounds.apart);
  }

  probed(written: number, nowMs: number): void {
    this.#probes.push({ at: written, sentAtMs: nowMs });
    this.#probedAt = written;
  }

  /** Everything up to here has come through, whether a probe says so or not. */
  passed(upTo: number): void {
    this.#readUpTo = Math.max(this.#readUpTo, upTo);
  }

  /** The oldest probe has its answer. `isShared`: something else uses the line now. */
  answered(nowMs: number, isShared: boolean): void {
    const probe = this.#probes.shift();
    if (!probe) return;
    this.passed(probe.at);
    const rttMs = nowMs - probe.sentAtMs;
    if (this.#measuring) this.#measure(this.#measuring, rttMs, nowMs);
    else if (this.#baseMs === Infinity || (this.#isFull && nowMs - this.#baseAtMs > BASE_MS)) this.#begin(rttMs, nowMs);
    else this.#adapt(rttMs, isShared ? this.#bounds.slackMs : this.#bounds.aloneSlackMs);
  }

  #begin(rttMs: number, nowMs: number): void {
    if (this.#baseMs === Infinity) {
      this.#baseMs = rttMs;
      this.#baseAtMs = nowMs;
      return;
    }
    // What is on its way already stands behind a whole budget.
    this.#measuring = { left: this.#probes.length + MEASURED, rttMs: Infinity };
  }

  #measure(measuring: { left: number; rttMs: number }, rttMs: number, nowMs: number): void {
    if (measuring.left <= MEASURED) measuring.rttMs = Math.min(measuring.rttMs, rttMs);
    if (--measuring.left > 0) return;
    this.#baseMs = measuring.rttMs;
    this.#baseAtMs = nowMs;
    this.#measuring = null;
    this.#isFull = false;
  }

  #adapt(rttMs: number, slackMs: number): void {
    this.#baseMs = Math.min(this.#baseMs, rttMs);
    if (rttMs <= this.#baseMs * RISE + slackMs) {
      this.#budget = Math.min(this.#bounds.max, this.#budget * (1 + this.#growth));
    } else {
      this.#growth = GROW;
      this.#budget = Math.max(this.#bounds.min, this.#budget * SHRINK);
    }
  }
}
