import type { Transport } from '../core/listen.ts';
import type { Message } from '../core/message.ts';
import { type BlockPool, ClientEncoder } from './client-encoder.ts';
import { OncePerTick } from './once-per-tick.ts';

/** As much is written without waiting for the end of the tick, to keep the line busy during a burst. */
const FLUSH_BYTES = 64 * 1024;

/** Bytes that wait for all clients of a port together. */
export interface Tally {
  bytes: number;
}

/** What goes to one client: gathered during a tick, written at its end with one call. */
export class ClientOutput {
  readonly #socket: Transport;
  readonly #encoder: ClientEncoder;
  readonly #tally: Tally;
  readonly #flushSoon = new OncePerTick(() => this.flush());
  #closed = false;
  /** Handed to the socket and not yet taken by the system. */
  #inFlightBytes = 0;
  #progressAt = 0;
  readonly #highBytes: number;
  readonly #caughtUp: () => void;
  #isBehind = false;

  /** More than `highBytes` wait: the client is behind; `caughtUp` is called when a quarter of that is left. */
  constructor(socket: Transport, pool: BlockPool, tally: Tally, highBytes: number, caughtUp: () => void) {
    this.#socket = socket;
    this.#encoder = new ClientEncoder(pool);
    this.#tally = tally;
    this.#highBytes = highBytes;
    this.#caughtUp = caughtUp;
  }

  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Bytes that wait to be taken by the system. */
  get bytes(): number {
    return this.#encoder.bytes + this.#inFlightBytes;
  }

  /** How long the system has taken nothing of what waits; 0 while nothing waits. Milliseconds. */
  stalledMs(nowMs: number): number {
    return this.#inFlightBytes === 0 ? 0 : nowMs - this.#progressAt;
  }

  message(message: Message, sid: string, withHeaders: boolean): void {
    const before = this.#encoder.bytes;
    this.#encoder.message(message, sid, withHeaders);
    this.#added(before);
  }

  text(text: string): void {
    if (this.#closed) return;
    const before = this.#encoder.bytes;
    this.#encoder.text(text);
    this.#added(before);
  }

  #added(before: number): void {
    this.#tally.bytes += this.#encoder.bytes - before;
    if (this.#encoder.bytes >= FLUSH_BYTES) this.flush();
    else this.#flushSoon.schedule();
    if (this.bytes > this.#highBytes) this.#isBehind = true;
  }

  flush(): void {
    const bytes = this.#encoder.bytes;
    if (bytes === 0 || this.#closed) return;
    const segments = this.#encoder.take();
    if (this.#inFlightBytes === 0) this.#progressAt = performance.now();
    this.#inFlightBytes += bytes;
    this.#socket.cork();
    for (let i = 0; i < segments.length - 1; i++) this.#socket.write(segments[i] as Buffer);
    this.#socket.write(segments.at(-1) as Buffer, () => this.#taken(bytes));
    this.#socket.uncork();
  }

  /** Nothing is written any more. */
  close(): void {
    if (this.#closed) return;
    this.#tally.bytes -= this.bytes;
    this.#closed = true;
  }

  #taken(bytes: number): void {
    this.#inFlightBytes -= bytes;
    this.#progressAt = performance.now();
    if (this.#closed) return;
    this.#tally.bytes -= bytes;
    if (this.#inFlightBytes === 0) this.#encoder.recycle();
    if (!this.#isBehind || this.bytes > this.#highBytes / 4) return;
    this.#isBehind = false;
    this.#caughtUp();
  }
}
