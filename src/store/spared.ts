import type { CommitBatch } from './protocol.ts';

/**
 * What the hub has taken and the disk never had, kept in memory for a while: a hub that loses power comes back with less,
 * and then it is written, to be sent again like what the disk keeps (see grace.ts). A box that restarts has it no more.
 */

/** Of all lanes together; a box of 512 MiB has them to spare. */
const BYTES_MAX = 8 * 1024 * 1024;
/** What a batch costs besides its bytes. */
const BATCH_COST = 256;

interface Kept {
  readonly lane: number;
  readonly batches: CommitBatch[];
  readonly bytes: number;
  readonly atMs: number;
}

export class Spared {
  readonly #keepMs: number;
  readonly #bytesMax: number;
  /** Oldest first. */
  #kept: Kept[] = [];
  #bytes = 0;

  constructor({ ms, bytesMax }: { ms: number; bytesMax: number }) {
    this.#keepMs = ms;
    this.#bytesMax = Math.min(BYTES_MAX, bytesMax);
  }

  keep(lane: number, batches: CommitBatch[], nowMs: number): void {
    if (this.#keepMs === 0) return;
    const bytes = batches.reduce((sum, { length }) => sum + length + BATCH_COST, 0);
    this.#kept.push({ lane, batches, bytes, atMs: nowMs });
    this.#bytes += bytes;
    let gone = 0;
    while (this.#bytes > this.#bytesMax || (this.#kept[gone]?.atMs ?? nowMs) < nowMs - this.#keepMs) {
      this.#bytes -= this.#kept[gone++]?.bytes ?? 0;
    }
    if (gone > 0) this.#kept.splice(0, gone);
  }

  /** What is kept of a lane, oldest first; it is kept no more. */
  take(lane: number): CommitBatch[] {
    const taken = this.#kept.filter((one) => one.lane === lane);
    this.#kept = this.#kept.filter((one) => one.lane !== lane);
    for (const { bytes } of taken) this.#bytes -= bytes;
    return taken.flatMap(({ batches }) => batches);
  }

  clear(): void {
    this.#kept = [];
    this.#bytes = 0;
  }
}
