import type { Snapshot } from './snapshot.ts';
import { type View, view } from './view.ts';

/** A snapshot serves everybody who asks within this time, however many they are. A timer of 1 s may fire a bit early. */
export const SNAPSHOT_AGE_MAX_MS = 990;
/** Rates of clients are taken over the last 5 to 10 seconds. */
const LOOK_BACK_MS = 5000;

/**
 * Takes snapshots for those who look: one a second at most, none while nobody does. Holds three at most (the newest and
 * two to compare with), and none after `forget`.
 */
export class Look {
  readonly #take: () => Snapshot;
  #latest: { snapshot: Snapshot; atMs: number } | null = null;
  #middle: { snapshot: Snapshot; atMs: number } | null = null;
  #earlier: Snapshot | null = null;

  constructor(take: () => Snapshot) {
    this.#take = take;
  }

  /** `nowMs` from a clock that doesn't jump. */
  snapshot(nowMs: number): Snapshot {
    if (this.#latest !== null && nowMs - this.#latest.atMs < SNAPSHOT_AGE_MAX_MS) return this.#latest.snapshot;
    const latest = { snapshot: this.#take(), atMs: nowMs };
    this.#latest = latest;
    return latest.snapshot;
  }

  view(nowMs: number): View {
    const snapshot = this.snapshot(nowMs);
    if (this.#middle === null || nowMs - this.#middle.atMs >= LOOK_BACK_MS) {
      this.#earlier = this.#middle?.snapshot ?? null;
      this.#middle = { snapshot, atMs: nowMs };
    }
    const compared = this.#earlier ?? this.#middle.snapshot;
    return view(snapshot, compared === snapshot ? null : compared);
  }

  /** Called when the last viewer has gone: what it held is of no use to the next one. */
  forget(): void {
    this.#latest = null;
    this.#middle = null;
    this.#earlier = null;
  }
}
