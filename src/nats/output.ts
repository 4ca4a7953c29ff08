import type { Duplex } from 'node:stream';
import { Headroom, type HeadroomBounds } from '../core/headroom.ts';
import { LeafEncoder } from './encoder.ts';
import { OncePerTick } from './once-per-tick.ts';

/** The forwarder stops above this: what waits here waits in memory. What is on its way has its own bound. */
const HIGH_BYTES = 512 * 1024;
/** And goes on below this. */
const LOW_BYTES = 128 * 1024;
/** As much is written without waiting for the end of the tick, to keep the line busy during a burst. */
const FLUSH_BYTES = 64 * 1024;

/**
 * Bytes that the hub has not read. It answers a PING once it has read everything before it, so the round trip of a PING
 * within the stream is what a live message meets. At the least some records, whatever the line (a larger one goes all the
 * same); at the most the product of rate and round trip of 100 Mbit/s over 300 ms. Alone, the first live message after a
 * while may meet as much as a person does not notice.
 */
export const UNREAD: HeadroomBounds = {
  first: 64 * 1024,
  min: 4096,
  max: 4 * 1024 * 1024,
  apart: 4096,
  slackMs: 5,
  aloneSlackMs: 50,
};
/** A backlog has the line for itself so long after the last live message. */
const ALONE_AFTER_MS = 2_000;

/** What goes to one socket: gathered during a tick, written at its end with one call. */
export class Output {
  readonly encoder = new LeafEncoder();
  readonly #socket: Duplex;
  readonly #drained: () => void;
  readonly #flushSoon = new OncePerTick(() => this.flush());
  #closed = false;
  /** Handed to the socket and not yet taken by the system. */
  #inFlightBytes = 0;
  #wasHigh = false;
  #flushedBytes = 0;
  readonly #headroom = new Headroom(UNREAD);
  #liveAtMs = -Infinity;
  /** PINGs without their PONG, oldest first: true for those that measure the headroom. */
  readonly #pings: boolean[] = [];

  /** `drained` is called when the queue has fallen below the low mark after it was above the high one. */
  constructor(socket: Duplex, drained: () => void) {
    this.#socket = socket;
    this.#drained = drained;
  }

  /** Bytes that wait to be taken by the system. */
  get bytes(): number {
    return this.encoder.bytes + this.#inFlightBytes;
  }

  /** False where a backlog must wait, until `drained`. */
  get writable(): boolean {
    if (this.bytes < HIGH_BYTES && this.#headroom.has(this.#written)) return true;
    this.#wasHigh = true;
    return false;
  }

  /** A live message has gone or come. */
  noteLive(): void {
    this.#liveAtMs = performance.now();
  }

  /** Live messages use the line too. */
  get isShared(): boolean {
    return performance.now() - this.#liveAtMs < ALONE_AFTER_MS;
  }

  get #written(): number {
    return this.#flushedBytes + this.encoder.bytes;
  }

  ping(): void {
    this.#pings.push(false);
    this.encoder.ping();
    this.schedule();
  }

  /** Takes a PONG of the hub; true where it answers a `ping()`. */
  pong(): boolean {
    const isProbe = this.#pings.shift();
    if (isProbe !== true) return isProbe === false;
    this.#headroom.answered(performance.now(), this.isShared);
    if (this.#probe()) this.#flushSoon.schedule();
    this.#tellDrained();
    return false;
  }

  /** True where a PING was written that measures the headroom. */
  #probe(): boolean {
    if (!this.#headroom.isProbeDue(this.#written)) return false;
    this.#pings.push(true);
    this.encoder.ping();
    this.#headroom.probed(this.#written, performance.now());
    return true;
  }

  /** After each operation given to the encoder. */
  schedule(): void {
    this.#probe();
    if (this.encoder.bytes >= FLUSH_BYTES) {
      this.flush();
    } else {
      this.#flushSoon.schedule();
    }
  }

  flush(): void {
    const bytes = this.encoder.bytes;
    if (bytes === 0 || this.#closed) return;
    const segments = this.encoder.take();
    this.#inFlightBytes += bytes;
    this.#flushedBytes += bytes;
    this.#socket.cork();
    for (let i = 0; i < segments.length - 1; i++) this.#socket.write(segments[i] as Buffer);
    this.#socket.write(segments.at(-1) as Buffer, () => this.#taken(bytes));
    this.#socket.uncork();
  }

  /** Nothing is written any more. */
  close(): void {
    this.#closed = true;
  }

  #taken(bytes: number): void {
    this.#inFlightBytes -= bytes;
    if (this.#inFlightBytes === 0) this.encoder.recycle();
    this.#tellDrained();
  }

  #tellDrained(): void {
    if (!this.#wasHigh || this.bytes >= LOW_BYTES || this.#closed || !this.#headroom.has(this.#written)) return;
    this.#wasHigh = false;
    this.#drained();
  }
}
