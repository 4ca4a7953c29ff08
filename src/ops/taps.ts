import type { Message } from '../core/message.ts';
import type { Bus } from './api-parts.ts';

export type Tap = (message: Message) => void;

/** Those who look at everything that passes: the router is watched only while there is one. */
export class Taps {
  readonly #bus: Bus;
  readonly #taps = new Set<Tap>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  add(tap: Tap): void {
    this.#taps.add(tap);
    if (this.#taps.size === 1) this.#bus.watch((message) => this.#show(message));
  }

  remove(tap: Tap): void {
    if (this.#taps.delete(tap) && this.#taps.size === 0) this.#bus.watch(null);
  }

  #show(message: Message): void {
    for (const tap of this.#taps) tap(message);
  }
}
