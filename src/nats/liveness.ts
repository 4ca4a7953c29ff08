/**
 * Is the far end still there? A socket looks open for many minutes after the line died, so only answers count.
 *
 * A PING goes out every interval; while one is unanswered a second follows half an interval later, and half an interval
 * after that the link is dead: two missed PONGs, within two intervals of the last sign of life.
 */

/**
 * A hub that still sends is busy, not gone: its PONG may stand behind a long backlog on a slow line. It gets this many
 * half intervals.
 */
const BUSY_CHECKS_MAX = 8;
const SILENT_CHECKS_MAX = 2;

export interface LivenessPeer {
  sendPing(): void;
  /** Bytes received so far: any change is a sign of life. */
  receivedBytes(): number;
  /** Called once; the checks have ended. */
  dead(unansweredMs: number): void;
}

export class Liveness {
  readonly #peer: LivenessPeer;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** When the PINGs went out that have no PONG yet; at most BUSY_CHECKS_MAX. */
  #sentAtMs: number[] = [];
  #idleChecks = 0;
  #silentChecks = 0;
  #receivedBytes = 0;
  #rttMs: number | null = null;

  constructor(peer: LivenessPeer, intervalMs: number) {
    this.#peer = peer;
    this.#intervalMs = intervalMs;
  }

  /** Round trip of the latest PONG; null before the first. */
  get rttMs(): number | null {
    return this.#rttMs;
  }

  start(): void {
    this.#timer = setInterval(() => this.#check(), this.#intervalMs / 2);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  ping(): void {
    this.#sentAtMs.push(performance.now());
    this.#receivedBytes = this.#peer.receivedBytes();
    this.#peer.sendPing();
  }

  /** A PONG that answers no PING is nothing. */
  pong(): void {
    const sentAtMs = this.#sentAtMs.shift();
    if (sentAtMs === undefined) return;
    this.#rttMs = performance.now() - sentAtMs;
    this.#idleChecks = 0;
    this.#silentChecks = 0;
  }

  #check(): void {
    const [oldestMs] = this.#sentAtMs;
    if (oldestMs === undefined) {
      if (++this.#idleChecks >= 2) this.ping();
      return;
    }
    const isSilent = this.#peer.receivedBytes() === this.#receivedBytes;
    this.#silentChecks = isSilent ? this.#silentChecks + 1 : 0;
    if (this.#silentChecks < SILENT_CHECKS_MAX && this.#sentAtMs.length < BUSY_CHECKS_MAX) {
      this.ping();
    } else {
      this.stop();
      this.#peer.dead(performance.now() - oldestMs);
    }
  }
}
