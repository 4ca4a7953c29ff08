import type { Counters } from './counters.ts';

/** Clients with a fault that are remembered; with more, the oldest may be named again. */
const REMEMBERED_MAX = 4096;
/**
 * Lines of all clients together: a fault with a number in it, or clients without a name of their own, are new each time,
 * and a log that anybody on the network can fill wears out the card that it is on.
 */
const LINES_MAX = 60;
const PERIOD_MS = 60_000;

/**
 * Decides what is worth a line of the log: a device with a fault repeats it with every message or every reconnect, for
 * years, and one line tells it as well as a million.
 */
export class Notices {
  readonly #seen = new Set<string>();
  readonly #counters: Counters;
  #periodStart = performance.now();
  #lines = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** True the first time that this client does this, while there is room for a line in this minute. */
  isNew(client: string, fault: string): boolean {
    const key = `${fault} ${client}`;
    if (this.#seen.has(key)) return false;
    if (this.#seen.size >= REMEMBERED_MAX) for (const oldest of this.#seen) if (this.#seen.delete(oldest)) break;
    this.#seen.add(key);
    return this.#hasRoom();
  }

  #hasRoom(): boolean {
    const now = performance.now();
    if (now - this.#periodStart >= PERIOD_MS) {
      this.#periodStart = now;
      this.#lines = 0;
    }
    if (this.#lines === LINES_MAX) {
      this.#counters.noticesWithheld++;
      return false;
    }
    this.#lines++;
    return true;
  }
}
