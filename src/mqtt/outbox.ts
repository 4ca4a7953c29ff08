import type { Transport } from '../core/listen.ts';

/** Larger packets are written as they are; copying them together costs more than a place in the list. */
const COPIED_BYTES_MAX = 16 * 1024;

/** What goes to one socket, gathered during a turn of the event loop and written at its end. */
export class Outbox {
  #parts: Buffer[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Kept by reference. */
  add(packet: Buffer): void {
    this.#parts.push(packet);
    this.#bytes += packet.length;
  }

  clear(): void {
    this.#parts = [];
    this.#bytes = 0;
  }

  /** One system call: small packets are copied together, and all is written under one cork. */
  flush(socket: Transport): void {
    const parts = this.#parts;
    if (parts.length === 0) return;
    this.clear();
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) {
      socket.write(only);
      return;
    }
    socket.cork();
    let first = 0;
    for (const [i, part] of parts.entries()) {
      if (part.length <= COPIED_BYTES_MAX) continue;
      writeTogether(socket, parts.slice(first, i));
      socket.write(part);
      first = i + 1;
    }
    writeTogether(socket, parts.slice(first));
    socket.uncork();
  }
}

function writeTogether(socket: Transport, parts: Buffer[]): void {
  if (parts.length > 0) socket.write(Buffer.concat(parts));
}

/** What a round flushes. */
export interface Flushable {
  flush(): void;
}

/** Once per turn of the event loop, everybody who has something to write: a batch of receipts is one write for each. */
export class FlushRound {
  #waiting: Flushable[] = [];

  /** Not twice in one round: the caller remembers that it waits. */
  add(one: Flushable): void {
    if (this.#waiting.push(one) === 1) setImmediate(() => this.#run());
  }

  #run(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) one.flush();
  }
}
