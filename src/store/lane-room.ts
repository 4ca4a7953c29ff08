import { type BatchRow, type BatchTable, ROW_BYTES } from './batch-table.ts';
import type { Grace } from './grace.ts';
import type { Lane } from './lane-table.ts';
import type { Ledger } from './ledger.ts';
import type { LaneSettings, StoreFailure } from './protocol.ts';

/** Of a lane that does not say. */
const PRIORITY = 5;

interface Figures {
  save(lane: Lane): void;
  lookAtOldest(lane: Lane): void;
}

/**
 * Room for what comes in: what the hub has goes first, then the oldest where a lane allows it, the less important lanes
 * before the others where the disk is full. What goes without being at the hub is in the ledger.
 */
export class LaneRoom {
  readonly #batches: BatchTable;
  readonly #grace: Grace;
  readonly #ledger: Ledger;
  readonly #figures: Figures;
  /** Set by the writer from its last look at the file system. */
  reserveReached = false;
  /** Bytes of the file that are free inside it: under the reserve, all lanes together may still fill these. */
  spareBytes = 0;

  constructor(batches: BatchTable, grace: Grace, ledger: Ledger, figures: Figures) {
    this.#batches = batches;
    this.#grace = grace;
    this.#ledger = ledger;
    this.#figures = figures;
  }

  /** So much of it is used. */
  taken(bytes: number): void {
    this.spareBytes = Math.max(0, this.spareBytes - bytes);
  }

  /** Null when there is room, after eviction where the lane allows it. `all`: lanes that may have to give way. */
  make(lane: Lane, need: number, all: readonly Lane[]): StoreFailure | null {
    const { name, bytesMax, full } = lane.settings;
    if (this.reserveReached && lane.bytes + need <= bytesMax) this.#takeSpace(lane, need, all);
    // Under the reserve a lane may use the pages that evictions and trims have freed, but the file may not grow.
    const limit = this.reserveReached ? Math.min(bytesMax, lane.bytes + this.spareBytes) : bytesMax;
    // What the hub has acknowledged goes before anything else.
    const { keptBytes } = lane;
    while (lane.bytes + need > limit && this.#forgetKept(lane));
    if (lane.keptBytes !== keptBytes) this.#figures.save(lane);
    if (lane.bytes + need <= limit) return null;
    if (full === 'drop-oldest' && need <= limit) {
      while (lane.bytes + need > limit && this.#evictOldest(lane));
      if (lane.bytes + need <= limit) return null;
    }
    if (this.reserveReached) {
      return {
        code: 'disk_full',
        message: `lane ${name} may not grow: the free-space reserve of the disk is reached`,
        hint: 'free space on the disk of gateway.data, or lower journal.reserve',
      };
    }
    return {
      code: 'lane_full',
      message: `lane ${name} is full (${lane.bytes} of ${bytesMax} bytes)`,
      hint: 'bring the link to the hub back, raise max_bytes of the lane, or set full: drop-oldest',
    };
  }

  /** The disk is full for all lanes together: the less important ones make room, the least important one first. */
  #takeSpace(lane: Lane, need: number, all: readonly Lane[]): void {
    const others = all
      .filter(({ settings }) => settings.full === 'drop-oldest' && rankOf(settings) > rankOf(lane.settings))
      .sort((a, b) => rankOf(b.settings) - rankOf(a.settings));
    for (const other of others) {
      while (this.spareBytes < need) {
        const { bytes } = other;
        if (!this.#forgetKept(other) && !this.#evictOldest(other)) break;
        this.spareBytes += bytes - other.bytes;
      }
      if (this.spareBytes >= need) return;
    }
  }

  #evictOldest(lane: Lane): boolean {
    const row = this.#batches.next(lane.id, lane.doubt.end);
    if (!row) return false;
    lane.evicted += this.drop(lane, row, 'evicted', 'the lane was full');
    this.#figures.save(lane);
    return true;
  }

  /**
   * Deletes batches older than the lane's age limit. `nowMs` must be a trusted clock; what was stamped before `floorMs`
   * was stamped by a clock that was not, so its age is unknown and it stays.
   */
  expire(lanes: readonly Lane[], nowMs: number, floorMs: number): void {
    for (const lane of lanes) {
      if (lane.settings.ageMaxMs === 0) continue;
      for (;;) {
        const row = this.#batches.next(lane.id, lane.doubt.end);
        if (!row || row.newestMs >= nowMs - lane.settings.ageMaxMs || row.newestMs < floorMs) break;
        lane.expired += this.drop(lane, row, 'expired', 'older than max_age of the lane');
        this.#figures.save(lane);
      }
    }
  }

  /** Declares a batch lost and deletes it; counts only what the cursor has not passed. */
  drop(lane: Lane, row: BatchRow, reason: 'evicted' | 'expired' | 'corrupt', detail: string): number {
    const first = Math.max(row.first, lane.cursor + 1);
    const last = row.first + row.count - 1;
    const count = last - first + 1;
    if (count > 0) this.#ledger.lose(lane.settings.name, reason, count, first, last, detail);
    this.#forget(lane, row);
    this.#figures.lookAtOldest(lane);
    return Math.max(count, 0);
  }

  /** Now and then: deletes what was kept long enough, and all that is kept where the disk needs the space. */
  trim(lanes: readonly Lane[], nowMs: number): void {
    for (const lane of lanes) {
      const { keptBytes } = lane;
      if (this.reserveReached) while (this.#forgetKept(lane));
      else this.trimOne(lane, nowMs);
      if (lane.keptBytes !== keptBytes) this.#figures.save(lane);
    }
  }

  /** True where `trim` has something to do. */
  isTrimDue(lanes: readonly Lane[], nowMs: number): boolean {
    return lanes.some((lane) => {
      const row = lane.keptRecords > 0 ? this.#batches.next(lane.id, 0) : null;
      return row && (this.reserveReached || row.first + row.count - 1 <= this.#grace.over(lane, nowMs));
    });
  }

  /** Of one lane, whose cursor has moved; it is to be saved. */
  trimOne(lane: Lane, nowMs: number): void {
    const over = this.#grace.over(lane, nowMs);
    for (;;) {
      const row = lane.keptRecords > 0 ? this.#batches.next(lane.id, 0) : null;
      if (!row || (row.first + row.count - 1 > over && !this.#grace.isTooMuch(lane))) return;
      if (!this.#forgetKept(lane)) return;
    }
  }

  /** Deletes the oldest batch that is kept only in case; false where there is none. */
  #forgetKept(lane: Lane): boolean {
    const row = lane.keptRecords > 0 ? this.#batches.next(lane.id, 0) : null;
    if (!row || row.first + row.count - 1 > lane.cursor) return false;
    this.#forget(lane, row);
    lane.keptRecords -= row.count;
    lane.keptBytes -= row.bytes + ROW_BYTES;
    this.#grace.gone(lane, row.first + row.count - 1);
    return true;
  }

  /** Deletes the batch and takes it off the figures. */
  #forget(lane: Lane, row: BatchRow): void {
    this.#batches.delete(lane.id, row.first);
    lane.records -= row.count;
    lane.bytes -= row.bytes + ROW_BYTES;
  }
}

/** Lower is more important. */
function rankOf({ priority = PRIORITY }: LaneSettings): number {
  return priority;
}
