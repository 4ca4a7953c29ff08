/**
 * How much of a backlog may be on its way, so that a live message sent now does not wait long behind it. The hub answers a
 * PING once it has read everything before it: the round trip of a PING within the stream is what a live message meets, and
 * its PONG says how far the hub has read. Sockets, modems and a busy hub queue megabytes, and none of them tells.
 *
 *   written ─┬─────────────── unread ───────────────┬─▶ read by the hub
 *            └ PING    PING     PING     PING       └ its PONG has come
 *
 * The budget of unread bytes grows while the round trip is near that of an empty line, and shrinks when it is not: a fast
 * line gets megabytes, a thin one a few records.
 */

const BUDGET_FIRST_BYTES = 64 * 1024;
/** Some records at the least, whatever the line; a larger one goes all the same. */
const BUDGET_MIN_BYTES = 4 * 1024;
/** The product of rate and round trip of 100 Mbit/s over 300 ms. */
const BUDGET_MAX_BYTES = 4 * 1024 * 1024;
/** PINGs in a full budget. */
const PROBES = 4;
/** What a round trip may take besides that of the empty line: less is the noise of a busy machine. */
const SLACK_MS = 5;
const RISE = 1.5;
/** Per PONG, so four times in a round trip. */
const SHRINK = 0.85;
const GROW = 1 / 16;
/** Until it was too much for the first time. */
const GROW_FIRST = 1 / 4;
/** The line may have become another one: after this time it is emptied for a moment and measured again. */
const BASE_MS = 10_000;
/** Round trips of one record at a time, on the emptied line. */
const MEASURED = 2;

interface Probe {
  /** Everything written up to here is read when its PONG comes. */
  readonly at: number;
  readonly sentAtMs: number;
}

export class Headroom {
  #budget = BUDGET_FIRST_BYTES;
  #readUpTo = 0;
  #probes: Probe[] = [];
  #probedAt = 0;
  #baseMs = Infinity;
  #baseAtMs = 0;
  /** While the line is being emptied and measured: the smallest round trip so far. */
  #measuring: { left: number; rttMs: number } | null = null;
  #growth = GROW_FIRST;

  /** False while so much is unread that the backlog should wait. `written`: bytes so far. */
  has(written: number): boolean {
    return written - this.#readUpTo < (this.#measuring ? 1 : this.#budget);
  }

  /** True where a PING should be written now; `probed` follows. */
  isProbeDue(written: number): boolean {
    const isBlocked = this.#probes.length === 0 && !this.has(written) && written > this.#probedAt;
    return isBlocked || written - this.#probedAt >= Math.max(this.#budget / PROBES, BUDGET_MIN_BYTES);
  }

  probed(written: number, nowMs: number): void {
    this.#probes.push({ at: written, sentAtMs: nowMs });
    this.#probedAt = written;
  }

  /** The PONG of the oldest probe. */
  answered(nowMs: number): void {
    const probe = this.#probes.shift();
    if (!probe) return;
    this.#readUpTo = probe.at;
    const rttMs = nowMs - probe.sentAtMs;
    if (this.#measuring) this.#measure(this.#measuring, rttMs, nowMs);
    else if (nowMs - this.#baseAtMs > BASE_MS) this.#begin(rttMs, nowMs);
    else this.#adapt(rttMs);
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
  }

  #adapt(rttMs: number): void {
    this.#baseMs = Math.min(this.#baseMs, rttMs);
    if (rttMs <= this.#baseMs * RISE + SLACK_MS) {
      this.#budget = Math.min(BUDGET_MAX_BYTES, this.#budget * (1 + this.#growth));
    } else {
      this.#growth = GROW;
      this.#budget = Math.max(BUDGET_MIN_BYTES, this.#budget * SHRINK);
    }
  }
}
