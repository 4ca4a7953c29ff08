import type { Duplex } from 'node:stream';
import { LeafEncoder } from './encoder.ts';
import { OncePerTick } from './once-per-tick.ts';

/** The forwarder stops above this: two round trips of a fast line, so that live messages never wait long behind it. */
const HIGH_BYTES = 512 * 1024;
/** And goes on below this. */
const LOW_BYTES = 128 * 1024;
/** As much is written without waiting for the end of the tick, to keep the line busy during a burst. */
const FLUSH_BYTES = 64 * 1024;

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

  /** `drained` is called when the queue has fallen below the low mark after it was above the high one. */
  constructor(socket: Duplex, drained: () => void) {
    this.#socket = socket;
    this.#drained = drained;
  }

  /** Bytes that wait to be taken by the system. */
  get bytes(): number {
    return this.encoder.bytes + this.#inFlightBytes;
  }

  get writable(): boolean {
    if (this.bytes < HIGH_BYTES) return true;
    this.#wasHigh = true;
    return false;
  }

  /** After each operation given to the encoder. */
  schedule(): void {
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
    if (this.#wasHigh && this.bytes < LOW_BYTES && !this.#closed) {
      this.#wasHigh = false;
      this.#drained();
    }
  }
}
