/** How long a reconnect loop waits. Times in milliseconds. */
export interface Backoff {
  /** Scale of the first wait. */
  readonly firstMs: number;
  /** No wait drawn here is longer; a cause may still demand more (`floorMs`). */
  readonly maxMs: number;
}

/** For a link to a hub: the first try about two seconds after the loss, later ones some 15 seconds apart. */
export const hubBackoff: Backoff = { firstMs: 1_000, maxMs: 30_000 };

// Each failure makes the range of the next wait four times as wide: a whole fleet loses its hub in one moment, and the
// width of the range is what spreads 10,000 boxes over many seconds of the hub's time.
const GROWTH = 4;

/**
 * The wait before the next try, in milliseconds: evenly drawn from half of `firstMs` up to a ceiling that grows with
 * `failures` (1 for the first failure in a row) until it is `maxMs`. `floorMs` is what the cause demands at least; the
 * draw comes on top of it, so that boxes with the same cause do not return together either. `random` is in [0, 1).
 */
export function backoffDelayMs(backoff: Backoff, failures: number, floorMs: number, random: number): number {
  // The exponent is held small only so that the power stays finite after weeks of failures.
  const ceilingMs = Math.min(backoff.maxMs, backoff.firstMs * GROWTH ** Math.min(Math.max(failures, 1), 16));
  const leastMs = Math.min(backoff.firstMs / 2, ceilingMs);
  return Math.round(floorMs + leastMs + random * (ceilingMs - leastMs));
}
