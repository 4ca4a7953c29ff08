import { connect, type Socket } from 'node:net';
import type { HubAddress } from './hub-addresses.ts';

/** Interest of a large account comes and goes all the time: one knock in this while. */
const EVERY_MS = 30_000;
/** A fleet sees the same withdrawal in the same moment. */
const SPREAD_MS = 2_000;
const TIMEOUT_MS = 5_000;

/**
 * Stock hubs do not tell their leaf nodes that they are about to shut down (lame duck): they withdraw the interest of
 * streams that move away, newer ones close their listener, and after some minutes they cut every link at once. So after a
 * withdrawal the box knocks at the door: refused, while the link is open, means that the hub is leaving.
 */
export class LameDuckWatch {
  readonly #random: () => number;
  #timer: NodeJS.Timeout | undefined;
  #socket: Socket | null = null;
  #knockedAtMs = Number.NEGATIVE_INFINITY;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** `leaving` is called where a knock at this address is refused; at most once for each call. */
  suspect({ host, port }: HubAddress, leaving: () => void): void {
    const nowMs = performance.now();
    if (nowMs - this.#knockedAtMs < EVERY_MS) return;
    this.#knockedAtMs = nowMs;
    this.#timer = setTimeout(() => this.#knock(host, port, leaving), this.#random() * SPREAD_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #knock(host: string, port: number, leaving: () => void): void {
    const socket = connect({ host, port, timeout: TIMEOUT_MS });
    this.#socket = socket;
    socket.once('connect', () => socket.destroy());
    socket.once('timeout', () => socket.destroy());
    // Anything but a refusal says more about the line than about the hub.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') leaving();
    });
  }
}
