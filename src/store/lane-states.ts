import { Cursors } from './cursors.ts';
import type { LaneState, Watermark } from './protocol.ts';
import { Tails } from './tails.ts';

/** The lanes as the writer last told of them, where each stands with the hub, and who reads along. */
export class LaneStates {
  #states: readonly LaneState[] = [];
  #cursors = new Cursors([], 0);
  readonly tails = new Tails();

  get all(): readonly LaneState[] {
    return this.#states;
  }

  get cursors(): Cursors {
    return this.#cursors;
  }

  of(lane: number): LaneState | undefined {
    return this.#states[lane];
  }

  /** The store was opened: what was known of an earlier one is of no use. */
  opened(states: readonly LaneState[], watermarks: readonly Watermark[]): void {
    this.#states = states;
    this.#cursors = new Cursors(watermarks, performance.now());
  }

  /** What the writer says of them now. */
  take(states: readonly LaneState[]): void {
    const before = this.#states;
    this.#states = states;
    states.forEach(({ persistedCursor }, lane) => {
      this.#cursors.persisted(lane, persistedCursor);
    });
    this.tails.changed(before, states);
  }
}
