import assert from 'node:assert/strict';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { BatchResult, CommitBatch } from './protocol.ts';
import { BATCH_BYTES_MAX, BatchPacker } from './record.ts';
import { failureError } from './store-error.ts';

/** Buffers kept for reuse: what a busy box has under way at once, with the lanes' own. */
const POOL_MAX = 8;

/** What a waiting message costs besides its bytes: its place in the lists here and in the packed batch. */
export const MESSAGE_COST = 64;

interface Packing {
  lane: number;
  packer: BatchPacker;
}

/**
 * What arrived since the last commit was sent off: packed batches, and who waits for them in the order of arrival. The
 * lists are arrays of plain values, because this runs for every message.
 */
export class Gathering {
  readonly #pool: Buffer[];
  readonly #batchBytesMax: (lane: number) => number;
  readonly #packings: Packing[] = [];
  /** Index into #packings of the batch that a lane fills now. */
  readonly #open: number[] = [];
  readonly #receipts: (Receipt | null)[] = [];
  readonly #tokens: number[] = [];
  readonly #reached: number[] = [];
  readonly #batchOf: number[] = [];
  /** Lanes that the present group has reached; see `together`. */
  #group: { readonly count: number; readonly bytes: number; readonly lanes: Set<number> } | null = null;
  /** Where the last message went. */
  lastBatch = -1;
  bytes = 0;

  /** `batchBytesMax`: where a lane's batch is closed. */
  constructor(batchBytesMax: (lane: number) => number, pool: Buffer[] = []) {
    this.#batchBytesMax = batchBytesMax;
    this.#pool = pool;
  }

  get count(): number {
    return this.#receipts.length;
  }

  /** Something of the lane is in it. */
  has(lane: number): boolean {
    return this.#open[lane] !== undefined;
  }

  /** The next gathering shares the pool of buffers. */
  successor(): Gathering {
    return new Gathering(this.#batchBytesMax, this.#pool);
  }

  add(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    const { subject, receivedAtMs, headers, payload } = message;
    if (this.#group !== null) this.#makeRoom(lane, this.#group);
    let index = this.#open[lane] ?? -1;
    if (index < 0 || !this.#packings[index]?.packer.add(subject, receivedAtMs, headers, payload)) {
      index = this.#begin(lane, BatchPacker.sizeOf(subject, headers.length, payload.length));
      assert(this.#packings[index]?.packer.add(subject, receivedAtMs, headers, payload));
    }
    this.bytes += MESSAGE_COST + payload.length + headers.length + subject.length;
    this.#receipts.push(receipt);
    this.#tokens.push(token);
    this.#reached.push(reached);
    this.#batchOf.push(index);
    this.lastBatch = index;
  }

  /**
   * What `work` adds is kept or refused as a whole in each lane: at most `count` messages, and `bytes` by the sizes of
   * `BatchPacker.sizeOf`. Returns the batch of each lane that got some.
   */
  together(count: number, bytes: number, work: () => void): [lane: number, batch: number][] {
    const lanes = new Set<number>();
    this.#group = { count, bytes, lanes };
    try {
      work();
    } finally {
      this.#group = null;
    }
    return Array.from(lanes, (lane) => [lane, this.#open[lane] as number]);
  }

  /** The first message of a group in this lane: a batch that has room for all of them is open. */
  #makeRoom(lane: number, { count, bytes, lanes }: { count: number; bytes: number; lanes: Set<number> }): void {
    if (lanes.has(lane)) return;
    lanes.add(lane);
    const index = this.#open[lane] ?? -1;
    if (index < 0 || !this.#packings[index]?.packer.hasRoom(count, bytes)) this.#begin(lane, bytes);
  }

  #begin(lane: number, bytes: number): number {
    const bytesMax = Math.max(this.#batchBytesMax(lane), bytes);
    const index = this.#packings.push({ lane, packer: new BatchPacker(this.#buffer(bytes), bytesMax) }) - 1;
    this.#open[lane] = index;
    return index;
  }

  #buffer(bytes: number): Buffer {
    if (bytes > BATCH_BYTES_MAX) return Buffer.from(new ArrayBuffer(bytes));
    return this.#pool.pop() ?? Buffer.from(new ArrayBuffer(BATCH_BYTES_MAX));
  }

  recycle(buffer: Buffer): void {
    if (buffer.length === BATCH_BYTES_MAX && this.#pool.length < POOL_MAX) this.#pool.push(buffer);
  }

  /** `readerOf`: session of the lane's reader that will have the records from memory, 0 for none. */
  batches(readerOf: (lane: number) => number): CommitBatch[] {
    const readers = new Map<number, number>();
    return this.#packings.map(({ lane, packer: { count, length, newestMs, buffer } }) => {
      const reader = readers.get(lane) ?? readerOf(lane);
      readers.set(lane, reader);
      return { lane, count, length, newestMs, reader, buffer };
    });
  }

  /** Tells everybody what became of their message, in the order of the appends. */
  settle(results: readonly BatchResult[]): void {
    const errors = results.map(({ first, failure }) => {
      assert(failure || first > 0, 'what is not refused has a sequence');
      return failure ? failureError(failure) : null;
    });
    // The records of a batch have consecutive sequences, in the order in which they were added.
    const sequences = results.map(({ first }) => first);
    for (let i = 0; i < this.#receipts.length; i++) {
      const batch = this.#batchOf[i] as number;
      const sequence = sequences[batch] as number;
      sequences[batch] = sequence + 1;
      const receipt = this.#receipts[i];
      if (!receipt) continue;
      const error = errors[batch];
      if (error) receipt.refused(this.#tokens[i] as number, error);
      else receipt.accepted(this.#tokens[i] as number, this.#reached[i] as number, sequence);
    }
  }
}
