import type { Delivery, SessionStore } from './session-port.ts';

/** Next ones of a persistent session that are held in memory; the rest stays on the disk until there is room. */
const WAITING_MAX = 256;
/** With fewer, more are read from the disk. */
const WAITING_LOW = 64;

/**
 * What waits for its turn on the way to one client, in order. Of a persistent session the memory has a few next ones while
 * the client is there, and none while it is away.
 */
export class DeliveryBacklog {
  readonly #session: number;
  /** Null for a session that ends with its connection: all that waits is in memory. */
  readonly #store: SessionStore | null;
  /** More has been read from the disk. */
  readonly #refilled: () => void;
  #waiting: Delivery[] = [];
  #isOpen = false;
  /** What is on the disk behind this is not in memory. */
  #loadedThrough = 0;
  /** Nothing is on the disk that is not in memory, so new ones need not be read from there. */
  #isAtEnd = true;
  #isReading = false;
  #life = 0;

  constructor(session: number, store: SessionStore | null, refilled: () => void) {
    this.#session = session;
    this.#store = store;
    this.#refilled = refilled;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get waiting(): readonly Delivery[] {
    return this.#waiting;
  }

  /** Changes whenever the client comes or goes: what was asked for an old life is for nobody. */
  get life(): number {
    return this.#life;
  }

  get next(): Delivery | undefined {
    return this.#waiting[0];
  }

  /** Takes `next` away. */
  take(): void {
    this.#waiting.shift();
  }

  push(delivery: Delivery): void {
    this.#waiting.push(delivery);
  }

  /** The client is there; `isAtEnd`: nothing waits on the disk for it. */
  open(isAtEnd: boolean): void {
    this.#isOpen = true;
    this.#life++;
    this.#loadedThrough = 0;
    this.#isReading = false;
    this.#isAtEnd = isAtEnd;
  }

  /** The client has gone. Returns what waited in memory. */
  close(): Delivery[] {
    const waiting = this.#waiting;
    this.#isOpen = false;
    this.#life++;
    this.#waiting = [];
    return waiting;
  }

  /** A new one is on the disk: held in memory too, where there is room and none before it has been left out. */
  committed(delivery: Delivery): void {
    if (this.#isOpen && this.#isAtEnd && this.#waiting.length < WAITING_MAX) {
      this.#loadedThrough = delivery.sequence;
      this.#waiting.push(delivery);
    } else {
      this.#isAtEnd = false;
    }
  }

  /** Only what is in memory is left, and no more is to be read. */
  lostDisk(): void {
    this.#isAtEnd = true;
  }

  refill(): void {
    if (!this.#isOpen || this.#isAtEnd || this.#isReading || this.#waiting.length >= WAITING_LOW) return;
    const life = this.#life;
    this.#isReading = true;
    void this.#store?.read(this.#session, this.#loadedThrough).then(({ deliveries, through, isEnd }) => {
      if (life !== this.#life) return;
      this.#isReading = false;
      this.#isAtEnd = isEnd;
      for (const delivery of deliveries) this.#waiting.push(delivery);
      this.#loadedThrough = through;
      this.#refilled();
    });
  }
}
