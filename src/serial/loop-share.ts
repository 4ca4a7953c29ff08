/** A port may take this part of each window of the event loop's time; one that floods is read no faster than that. */
const WINDOW_MS = 100;
const BUSY_MS_MAX = 25;
/** How long it is told that a port floods: somebody has to see it. */
const FLOODING_MS = 10_000;

/** How much of the event loop's time one port takes. Times of a clock that does not jump. */
export class LoopShare {
  #windowAtMs = 0;
  #busyMs = 0;
  #exceededAtMs = Number.NEGATIVE_INFINITY;

  /** Time was spent on its bytes: how long it is not to be read now; 0 where it is within its share. */
  spent(fromMs: number, toMs: number): number {
    if (fromMs - this.#windowAtMs >= WINDOW_MS) {
      this.#windowAtMs = fromMs;
      this.#busyMs = 0;
    }
    this.#busyMs += toMs - fromMs;
    const overMs = this.#busyMs - BUSY_MS_MAX;
    if (overMs < 0) return 0;
    this.#exceededAtMs = toMs;
    // To the next window, and as much longer as one read went beyond its share.
    return Math.max(WINDOW_MS - (toMs - this.#windowAtMs), 1) + overMs * (WINDOW_MS / BUSY_MS_MAX - 1);
  }

  isFlooding(nowMs: number): boolean {
    return nowMs - this.#exceededAtMs < FLOODING_MS;
  }
}
