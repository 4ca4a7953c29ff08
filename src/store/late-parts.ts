/**
 * A lane that is `live-first` has two parts, each a lane of the store with its own numbering, cursor and order: the lane
 * itself takes what can go up at once, and its late part what came in while the hub was away or too slow. So news never
 * waits behind a backlog, and both parts still reach the hub once and in their own order.
 *
 *   messages ─▶ hub takes them? ─ yes ─▶ lane        ─▶ goes first
 *                              └─ no ──▶ lane~late   ─▶ goes when the lane has nothing
 */

/** Unacknowledged records from which on a lane counts as lagging: a few windows of the forwarder. */
const LIVE_RECORDS_MAX = 4_096;
/** And bytes, as a share of the lane. */
const LIVE_BYTES_SHARE = 2;

export const LATE_SUFFIX = '~late';

interface Part {
  readonly bytesMax: number;
  /** Index of the lane's late part; absent where it is oldest-first. */
  readonly late?: number;
}

/** Which part of a lane takes the next message. */
export class LateParts {
  readonly #lanes: readonly Part[];

  constructor(lanes: readonly Part[]) {
    this.#lanes = lanes;
  }

  /** `unacknowledged` records and `bytes` are those of the lane itself. */
  partOf(lane: number, isLinked: boolean, unacknowledged: number, bytes: number): number {
    const { late, bytesMax } = this.#lanes[lane] as Part;
    if (late === undefined) return lane;
    const isLive = isLinked && unacknowledged < LIVE_RECORDS_MAX && bytes < bytesMax / LIVE_BYTES_SHARE;
    return isLive ? lane : late;
  }

  isParted(lane: number): boolean {
    return this.#lanes[lane]?.late !== undefined;
  }
}
