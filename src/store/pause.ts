/**
 * The pause before a commit. A commit costs the same for one message as for fifty, and where many devices send a little
 * each, the next one is due with what came in during the last: a handful. Waiting a moment makes one commit of three.
 * It is done only where it gains: who waits for its receipt before it sends on would only be slowed down.
 */

/** Short beside what a card takes for its fsync, and beside the way to the hub. */
export const PAUSE_MS = 2;
/** A commit of so many is worth its cost as it is. */
export const ENOUGH = 64;
/** A pause that brings fewer is not worth the wait: some 3,000 a second is where it begins to be. */
export const WORTH = 6;
/** Commits after the vain pauses of a row until one is tried again, twice as many each time: a lone sender loses little. */
export const REST_COMMITS_MAX = 128;

export class Pause {
  readonly #elapsed: () => void;
  /** What waited when it began; -1 for no pause. */
  #before = -1;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  /** Commits that are made without one. */
  #rest = 0;
  #nextRest = 1;

  /** `elapsed`: called at the end of a pause that was not cut short. */
  constructor(elapsed: () => void) {
    this.#elapsed = elapsed;
  }

  /** Whether the commit of what waits now, `count` messages, should wait for more; begins the pause. */
  holds(count: number): boolean {
    if (count === 0 || count >= ENOUGH || this.#rest > 0 || this.#isOver) return false;
    if (this.#before >= 0) return true;
    this.#before = count;
    this.#timer = setTimeout(() => {
      this.end();
      this.#elapsed();
    }, PAUSE_MS);
    return true;
  }

  /** Nothing is held until the next commit has begun. */
  end(): void {
    clearTimeout(this.#timer);
    this.#isOver = true;
  }

  /** A commit of `count` messages begins, with the pause or in the middle of it. */
  committing(count: number): void {
    if (this.#rest > 0) this.#rest--;
    else if (this.#before >= 0) this.#judge(count - this.#before);
    clearTimeout(this.#timer);
    this.#before = -1;
    this.#isOver = false;
  }

  #judge(brought: number): void {
    if (brought >= WORTH) {
      this.#nextRest = 1;
      return;
    }
    this.#rest = this.#nextRest;
    this.#nextRest = Math.min(2 * this.#nextRest, REST_COMMITS_MAX);
  }
}
