import type { Encoded } from './encoder.ts';

/** Where LS+ and LS- are written. */
export interface InterestEncoder {
  subscribe(filter: string, queue: string, weight: number): Encoded;
  unsubscribe(filter: string, queue: string): Encoded;
}

interface Wanted {
  readonly filter: string;
  readonly queue: string;
  readonly members: number;
}

/**
 * What local parties want from the hub. Hubs do not count: a second LS+ is nothing and one LS- ends it, so the box
 * keeps what is wanted and what this connection has been told, and writes the difference. What comes and goes between
 * two calls of `announce` is never written. Bounded by the local parties' own limits on subscriptions.
 */
export class LocalInterest {
  readonly #wanted = new Map<string, Wanted>();
  /** Told to the present connection, with the weight told. */
  readonly #announced = new Map<string, Wanted>();
  readonly #changed = new Set<string>();

  get size(): number {
    return this.#wanted.size;
  }

  get announced(): number {
    return this.#announced.size;
  }

  get hasChanges(): boolean {
    return this.#changed.size > 0;
  }

  /** `members` 0: the last one has gone. Only queue groups have a weight; a plain filter is wanted or not. */
  set(filter: string, queue: string, members: number): void {
    const key = `${filter} ${queue}`;
    if (members === 0) this.#wanted.delete(key);
    else this.#wanted.set(key, { filter, queue, members: queue === '' ? 1 : members });
    this.#changed.add(key);
  }

  /** A new connection has been told nothing. */
  reset(): void {
    this.#announced.clear();
    this.#changed.clear();
    this.recheck();
  }

  /** Every filter is looked at again, because the hub's permissions have changed. */
  recheck(): void {
    for (const key of this.#wanted.keys()) this.#changed.add(key);
  }

  /** Writes what has changed since the last call; returns whether that was anything. */
  announce(encoder: InterestEncoder, mayAnnounce: (filter: string) => boolean): boolean {
    let isWritten = false;
    for (const key of this.#changed) {
      const told = this.#announced.get(key);
      const wanted = this.#wanted.get(key);
      if (wanted !== undefined && mayAnnounce(wanted.filter)) {
        if (told?.members === wanted.members) continue;
        if (encoder.subscribe(wanted.filter, wanted.queue, wanted.members) !== 'ok') continue;
        this.#announced.set(key, wanted);
        isWritten = true;
      } else if (told !== undefined) {
        encoder.unsubscribe(told.filter, told.queue);
        this.#announced.delete(key);
        isWritten = true;
      }
    }
    this.#changed.clear();
    return isWritten;
  }
}
