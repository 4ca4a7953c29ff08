import type { HistoryPoint } from './protocol.ts';
import { failureError } from './store-error.ts';
import type { WriterThread } from './writer-thread.ts';

/** Small values that the next run finds again, and the points of the plots. */
export class Remembered {
  readonly #writer: WriterThread;
  #values = new Map<string, string>();

  constructor(writer: WriterThread) {
    this.#writer = writer;
  }

  /** What the store has. What was set in this run is newer than what a damaged store still had. */
  load(stored: Iterable<readonly [string, string]>): void {
    this.#values = new Map([...stored, ...this.#values]);
  }

  /** What `set` kept, also of an earlier run; null where there is none. */
  get(name: string): string | null {
    return this.#values.get(name) ?? null;
  }

  /** Keeps a small value (some KiB) for the next run. Resolves once it is on disk; rejects with store_failed or disk_full. */
  async set(name: string, value: string): Promise<void> {
    this.#values.set(name, value);
    const { failure } = await this.#writer.ask('marked', { kind: 'mark', name, value });
    if (failure) throw failureError(failure);
  }

  /** Keeps points of the plots, the newest of each span; lost where the store can't take them. */
  keepHistory(points: readonly HistoryPoint[], pointsMax: readonly number[]): void {
    this.#writer.post({ kind: 'keep-history', points, pointsMax });
  }

  /** What was kept of a span, oldest first. */
  async history(span: number): Promise<HistoryPoint[]> {
    return (await this.#writer.ask('points', { kind: 'history', span })).points;
  }
}
