import { CLOCK_FLOOR_MS, type HeldStore, SWEEP_MS } from './held-store.ts';
import { OwnHeap } from './own-heap.ts';

/** Free pages given back per sweep; more would stall a commit. */
const VACUUM_PAGES = 512;
/** Free pages below this are left for reuse: giving them back costs writes. */
const VACUUM_ABOVE_PAGES = 4096;
/** A clock that was set by more may be wrong, and nothing expires at once. */
const CLOCK_STEP_MS = 3_600_000;

/** What the writer thread does unasked, at each sweep: it expires, trims, gives space back and tries a lost store again. */
export class Upkeep {
  readonly #store: HeldStore;
  readonly #swept: () => void;
  readonly #heap = new OwnHeap();
  #timer: NodeJS.Timeout | undefined;
  #clockIsTrusted = true;
  /** Wall clock minus monotonic clock at the last sweep. */
  #clockBaseMs = 0;

  /** `swept`: called after each sweep of an open store. */
  constructor(store: HeldStore, swept: () => void) {
    this.#store = store;
    this.#swept = swept;
  }

  start(): void {
    this.#heap.collect();
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Nothing expires while the wall clock is not trusted. */
  trustClock(isTrusted: boolean): void {
    this.#clockIsTrusted = isTrusted;
  }

  #sweep(): void {
    this.#heap.look();
    if (!this.#store.parts) {
      this.#store.retry();
      return;
    }
    const nowMs = Date.now();
    const baseMs = nowMs - performance.now();
    // Just set by hours: whether that is right the main thread says before the next sweep.
    const isSteady = Math.abs(baseMs - this.#clockBaseMs) < CLOCK_STEP_MS;
    this.#clockBaseMs = baseMs;
    if (isSteady && this.#clockIsTrusted && nowMs > CLOCK_FLOOR_MS) {
      this.#store.quietly('cannot expire records', ({ lanes }) => lanes.expire(nowMs, CLOCK_FLOOR_MS));
    }
    if (this.#store.parts?.lanes.isTrimDue(performance.now())) {
      this.#store.quietly('cannot trim', ({ lanes }) => lanes.trim(performance.now()));
    }
    const freePages = this.#store.lookAround();
    try {
      if (freePages > VACUUM_ABOVE_PAGES) this.#store.parts?.db.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
    } catch (error) {
      this.#store.fail(error, 'cannot look after the space of the store');
    }
    this.#store.mend();
    this.#swept();
  }
}
