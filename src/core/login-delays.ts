/** Wait after the first failure of an address; doubled with each further one. */
const FIRST_DELAY_MS = 250;
/** Shorter than a connection may take to log in, so that who mends the password gets in at the next try. */
const DELAY_MS_MAX = 4_000;
/** After so long without a failure an address starts afresh. */
const FORGOTTEN_AFTER_MS = 10 * 60_000;
/** Addresses that are remembered; with more, the oldest is forgotten. Some 200 bytes each. */
const ADDRESSES_MAX = 4096;
/** Logins of an address with failures that wait at the same time: guessing in parallel gains little. */
const WAITING_MAX = 16;

interface Failures {
  count: number;
  lastAt: number;
}

/** How long a login of an address waits, by what failed from there before. Times on the monotonic clock. */
export class LoginDelays {
  readonly #failures = new Map<string, Failures>();
  readonly #waiting = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#failures.size;
  }

  /** Milliseconds that an attempt must wait now. */
  delayMs(remote: string): number {
    const failures = this.#failures.get(networkOf(remote));
    if (failures === undefined) return 0;
    const pastMs = this.#now() - failures.lastAt;
    if (pastMs > FORGOTTEN_AFTER_MS) return 0;
    const fullMs = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** (failures.count - 1));
    return Math.max(0, fullMs - pastMs);
  }

  failed(remote: string): void {
    const network = networkOf(remote);
    const now = this.#now();
    const known = this.#failures.get(network);
    const isRecent = known !== undefined && now - known.lastAt <= FORGOTTEN_AFTER_MS;
    // Taken out first, so that the order of the map is the order of the last failures.
    this.#failures.delete(network);
    if (this.#failures.size >= ADDRESSES_MAX) {
      for (const oldest of this.#failures.keys()) if (this.#failures.delete(oldest)) break;
    }
    // The exponent stays small: the delay has its maximum long before.
    this.#failures.set(network, { count: Math.min(isRecent ? known.count + 1 : 1, 16), lastAt: now });
  }

  /** False where so many of an address with failures wait already that one more is refused at once. */
  hasRoom(remote: string): boolean {
    return (this.#waiting.get(networkOf(remote)) ?? 0) < WAITING_MAX || this.delayMs(remote) === 0;
  }

  /** Paid back by one `leave`. */
  enter(remote: string): void {
    const network = networkOf(remote);
    this.#waiting.set(network, (this.#waiting.get(network) ?? 0) + 1);
  }

  leave(remote: string): void {
    const network = networkOf(remote);
    const waiting = (this.#waiting.get(network) ?? 1) - 1;
    if (waiting === 0) this.#waiting.delete(network);
    else this.#waiting.set(network, waiting);
  }
}

/** An IPv4 address; of IPv6 the first four groups, because one host there has as many addresses as it likes. */
export function networkOf(remote: string): string {
  if (remote.startsWith('::ffff:') || !remote.includes(':')) return remote;
  const [head = ''] = remote.split('::');
  return head.split(':').slice(0, 4).join(':');
}
