/** Clients with a fault that are remembered; with more, the oldest may be named again. */
const REMEMBERED_MAX = 4096;

/**
 * Decides what is worth a line of the log: a device with a fault repeats it with every message or every reconnect, for
 * years, and one line tells it as well as a million.
 */
export class Notices {
  readonly #seen = new Set<string>();

  /** True the first time that this client does this. */
  isNew(client: string, fault: string): boolean {
    const key = `${fault} ${client}`;
    if (this.#seen.has(key)) return false;
    if (this.#seen.size >= REMEMBERED_MAX) for (const oldest of this.#seen) if (this.#seen.delete(oldest)) break;
    this.#seen.add(key);
    return true;
  }
}
