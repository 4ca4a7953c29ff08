import { getHeapStatistics } from 'node:v8';

/**
 * What may come on top of what the last collection left. V8 would wait for 8 MiB or more, which is all that the writer
 * thread needs, and take hours to get there: its memory would seem to grow for ever.
 */
const GROWTH_BYTES_MAX = 2 * 1024 * 1024;

/** Keeps the heap of this thread small where Node lets us collect it; see small-memory.ts of cli. */
export class OwnHeap {
  #leftBytes = 0;

  /** A few milliseconds: between two commits, or once what loading left behind may go. */
  collect(): void {
    globalThis.gc?.({ type: 'major', execution: 'sync' });
    this.#leftBytes = getHeapStatistics().used_heap_size;
  }

  /** Collects where it has grown; called now and then. */
  look(): void {
    if (getHeapStatistics().used_heap_size > this.#leftBytes + GROWTH_BYTES_MAX) this.collect();
  }
}
