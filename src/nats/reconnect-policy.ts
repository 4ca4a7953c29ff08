import { type Backoff, backoffDelayMs } from '../core/backoff.ts';
import type { GatewayError } from '../core/errors.ts';
import type { HubAddresses } from './hub-addresses.ts';

/** Between two members of a cluster there is no reason to wait long. */
const NEXT_ADDRESS_MS = 500;

/** How long to wait before the next attempt: it depends on why the link is not up. */
export class ReconnectPolicy {
  readonly #backoff: Backoff;
  readonly #addresses: HubAddresses;
  readonly #random: () => number;
  #isLost = false;

  constructor(backoff: Backoff, addresses: HubAddresses, random: () => number = Math.random) {
    this.#backoff = backoff;
    this.#addresses = addresses;
    this.#random = random;
  }

  /** A link that was up fell. The whole fleet may have lost it in this moment, so the next wait is spread in full. */
  lost(): void {
    this.#isLost = true;
  }

  /** `failures` in a row, 1 for the first. */
  delayMs(reason: GatewayError, failures: number): number {
    const isLost = this.#isLost;
    this.#isLost = false;
    const floorMs = reason.retryAfterMs ?? 0;
    if (!isLost && floorMs === 0 && this.#addresses.left > 0) return Math.round(this.#random() * NEXT_ADDRESS_MS);
    // A round of all addresses in vain is one failure.
    const rounds = Math.ceil(failures / this.#addresses.size);
    return backoffDelayMs(this.#backoff, rounds, floorMs, this.#random());
  }
}
