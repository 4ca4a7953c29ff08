import type { Grace } from './grace.ts';
import type { Lane, LaneTable } from './lane-table.ts';
import type { Ledger } from './ledger.ts';
import type { Rollback, Watermark } from './protocol.ts';
import type { UnkeptNumbers } from './unkept.ts';

const DETAIL = 'the stream lost them, so long ago acknowledged that their numbers are not known';

/** `watermark`: where the lane stands now, null where it stays. `isShort`: the stream lost more than it can go back over. */
export interface Rewound {
  readonly watermark: Watermark | null;
  readonly isShort: boolean;
}

/** How a lane's cursor goes back to before what a stream has lost, on the writer thread. */
export class Rewinding {
  readonly #table: LaneTable;
  readonly #grace: Grace;
  readonly #unkept: UnkeptNumbers;
  readonly #ledger: Ledger;

  constructor(table: LaneTable, grace: Grace, unkept: UnkeptNumbers, ledger: Ledger) {
    this.#table = table;
    this.#grace = grace;
    this.#unkept = unkept;
    this.#ledger = ledger;
  }

  /**
   * `cursor`: as it is in memory. Gives whether the stream lost more than the lane can go back over; null where the lane
   * stays where it is, because it has passed nothing of what was lost.
   */
  rewind(lane: Lane, cursor: number, rollback: Rollback): boolean | null {
    const { stream: lost, created, lastSequence, isOwn } = rollback;
    const positions = this.#table.positions(lane.id);
    const back = this.#grace.back(lane, positions, rollback);
    if (!back || (back.cursor >= cursor && !back.isShort)) return null;
    for (const { stream, created: at } of positions) {
      const then = back.positions.find((position) => position.stream === stream);
      if (stream !== lost) {
        // In a stream that it met later, the lane's records may lie anywhere.
        this.#table.place(lane.id, then ?? { stream, created: at, sequence: 0 });
        continue;
      }
      const sequence = then?.created === created ? Math.min(then.sequence, lastSequence) : 0;
      const reach = then?.reach !== undefined && sequence > 0 ? { reach: Math.min(then.reach, lastSequence) } : {};
      this.#table.place(lane.id, { stream, created, sequence, ...reach });
      // Each message of an own stream was a record; which ones they were, a stream that is consumed tells nobody.
      const count = isOwn && back.isShort && then?.created === created ? then.sequence - lastSequence : 0;
      if (count > 0) this.#ledger.lose(lane.settings.name, 'forgotten', count, null, null, DETAIL);
    }
    lane.cursor = back.cursor;
    this.#unkept.note(lane, back.cursor + 1, cursor);
    return back.isShort;
  }
}
