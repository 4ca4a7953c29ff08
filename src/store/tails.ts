import type { BatchResult, CommitBatch, LaneState } from './protocol.ts';
import { BatchReader } from './record.ts';

/** A committed batch is copied where it fills less than this share of its buffer, so that a reader holds little memory. */
const COPY_SHARE = 4;

/** A lane's reader: it gets committed records from memory while it stands at the end of the lane. */
export interface Tail {
  /** Asked when a commit is sent off: the number of its session where the reader stands at the end and has room, else 0. */
  wants(): number;
  /** The committed batch, and the session that wanted it; the reader calls its `done()` when it is through. */
  take(batch: BatchReader, session: number): void;
  /** The lane has grown, or its cursor is on disk. */
  more(): void;
}

/** Who reads which lane as it is committed, and so is spared the way over the disk. */
export class Tails {
  readonly #tails = new Map<number, Tail>();

  follow(lane: number, tail: Tail): void {
    this.#tails.set(lane, tail);
  }

  wants(lane: number): number {
    return this.#tails.get(lane)?.wants() ?? 0;
  }

  /** To the lane's reader; or the buffer goes back at once. */
  hand(
    { lane, reader, count, length, buffer: bytes }: CommitBatch,
    result: BatchResult | undefined,
    recycle: (buffer: Buffer) => void,
  ): void {
    const buffer = Buffer.from(bytes.buffer);
    if (!result?.handed) {
      recycle(buffer);
      return;
    }
    const used = buffer.subarray(0, length);
    const sparse = length * COPY_SHARE < buffer.length;
    const batch = sparse
      ? new BatchReader(Buffer.from(used), result.first, count)
      : new BatchReader(used, result.first, count, () => recycle(buffer));
    if (sparse) recycle(buffer);
    this.#tails.get(lane)?.take(batch, reader);
  }

  /** To the lane's reader before it is committed: the saver asked whether it wants that. */
  give(lane: number, batch: BatchReader, session: number): void {
    this.#tails.get(lane)?.take(batch, session);
  }

  /** What lanes were and are. */
  changed(before: readonly LaneState[], now: readonly LaneState[]): void {
    for (const [lane, tail] of this.#tails) {
      const [is, was] = [now[lane], before[lane]];
      if (is?.lastSequence !== was?.lastSequence || is?.persistedCursor !== was?.persistedCursor) tail.more();
    }
  }
}
