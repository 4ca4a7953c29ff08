import { networkOf } from '../core/login-delays.ts';

/** So much of its rate an address (and the box) may save up: a fleet that returns after an outage is let in at once. */
const SAVED_S = 10;
/** Addresses that are remembered; with more, the oldest is forgotten. Some 200 bytes each. */
const ADDRESSES_MAX = 4096;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** How many clients may connect in a second, of one address and of all: two token buckets. Rates of 0 are no limit. */
export class ConnectRate {
  readonly #perS: number;
  readonly #perAddressS: number;
  readonly #now: () => number;
  readonly #all: Bucket;
  readonly #addresses = new Map<string, Bucket>();

  constructor(perS: number, perAddressS: number, now: () => number = () => performance.now()) {
    this.#perS = perS;
    this.#perAddressS = perAddressS;
    this.#now = now;
    this.#all = { tokens: perS * SAVED_S, atMs: now() };
  }

  /** False for one too many. Who asks too often pays from its own bucket first, and leaves that of all alone. */
  take(address: string): boolean {
    const nowMs = this.#now();
    // Programs of this machine, and proxies on it, are many clients behind one address.
    const isLocal = address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
    if (!isLocal && !spend(this.#bucket(address, nowMs), this.#perAddressS, nowMs)) return false;
    return spend(this.#all, this.#perS, nowMs);
  }

  #bucket(address: string, nowMs: number): Bucket {
    const network = networkOf(address);
    const bucket = this.#addresses.get(network) ?? { tokens: this.#perAddressS * SAVED_S, atMs: nowMs };
    // Taken out first, so that the order of the map is that of the last tries.
    this.#addresses.delete(network);
    if (this.#addresses.size >= ADDRESSES_MAX) {
      for (const oldest of this.#addresses.keys()) if (this.#addresses.delete(oldest)) break;
    }
    this.#addresses.set(network, bucket);
    return bucket;
  }
}

function spend(bucket: Bucket, perS: number, nowMs: number): boolean {
  if (perS === 0) return true;
  bucket.tokens = Math.min(perS * SAVED_S, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perS);
  bucket.atMs = nowMs;
  if (bucket.tokens < 1) return false;
  bucket.tokens--;
  return true;
}
