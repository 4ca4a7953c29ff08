import { EventEmitter } from 'node:events';
import { modbusCrc } from '../checks.ts';

/**
 * A port for modbus-serial over a line that our supervisor keeps open. The library makes the requests and reads the
 * answers; this finds the answer in what the line brings: whole, with its CRC, whatever noise stands before it.
 */

/** An answer has at most 256 bytes (260 on TCP); before it may stand the noise of a bus. */
const PENDING_BYTES_MAX = 1024;
const EXCEPTION = 0x80;
const EXCEPTION_BYTES = 5;

export abstract class WirePort extends EventEmitter {
  /** The library asks it. */
  isOpen = true;
  /** Bytes thrown away because they were in no answer. */
  discarded = 0;
  protected pending: Buffer = Buffer.alloc(0);
  protected readonly send: (bytes: Buffer) => void;

  constructor(send: (bytes: Buffer) => void) {
    super();
    this.send = send;
  }

  open(callback: (error: Error | null) => void): void {
    callback(null);
  }

  close(callback: (error: Error | null) => void): void {
    callback(null);
  }

  /** A request, as RTU: unit, function, parameters, CRC. */
  abstract write(request: Buffer): void;

  receive(chunk: Buffer): void {
    this.pending = Buffer.concat([this.pending, chunk]);
    if (this.pending.length > PENDING_BYTES_MAX) this.forget(this.pending.length - PENDING_BYTES_MAX);
    this.take();
  }

  protected abstract take(): void;

  protected forget(count: number): void {
    this.discarded += count;
    this.pending = this.pending.subarray(count);
  }
}

export class RtuPort extends WirePort {
  #unit = 0;
  #code = 0;
  #length = 0;

  write(request: Buffer): void {
    // What is left is of nobody: a late answer to a request that timed out.
    this.forget(this.pending.length);
    this.#unit = request[0] ?? 0;
    this.#code = request[1] ?? 0;
    this.#length = answerLength(request);
    this.send(request);
  }

  protected take(): void {
    const { pending } = this;
    for (let at = 0; at + EXCEPTION_BYTES <= pending.length; at++) {
      if (pending[at] !== this.#unit) continue;
      const code = pending[at + 1] ?? 0;
      const isException = code === (this.#code | EXCEPTION);
      if (code !== this.#code && !isException) continue;
      const end = at + (isException ? EXCEPTION_BYTES : this.#length);
      if (end > pending.length) continue;
      const answer = pending.subarray(at, end);
      if (!modbusCrc.holds(answer)) continue;
      this.forget(at);
      this.pending = pending.subarray(end);
      this.emit('data', Buffer.from(answer));
      return;
    }
  }
}

/** Modbus TCP: MBAP header (transaction, protocol 0, length), unit and PDU, no CRC. */
export class TcpPort extends WirePort {
  #transaction = 0;

  write(request: Buffer): void {
    this.#transaction = (this.#transaction + 1) & 0xffff;
    const body = request.subarray(0, -2);
    const header = Buffer.alloc(6);
    header.writeUInt16BE(this.#transaction, 0);
    header.writeUInt16BE(body.length, 4);
    this.send(Buffer.concat([header, body]));
  }

  protected take(): void {
    while (this.pending.length >= 6) {
      const length = this.pending.readUInt16BE(4);
      // What is no MBAP header can't be resynchronised on a stream: the next request starts anew.
      if (this.pending.readUInt16BE(2) !== 0 || length < 2 || length > 254) this.forget(this.pending.length);
      if (this.pending.length < 6 + length) return;
      const transaction = this.pending.readUInt16BE(0);
      const body = Buffer.from(this.pending.subarray(6, 6 + length));
      this.pending = this.pending.subarray(6 + length);
      if (transaction !== this.#transaction) this.discarded += 6 + length;
      else this.emit('data', Buffer.concat([body, modbusCrc.encode(body)]));
    }
  }
}

/** Bytes of the answer to a request. [Modbus application protocol 1.1b3, 6] */
function answerLength(request: Buffer): number {
  const count = request.length >= 6 ? request.readUInt16BE(4) : 0;
  switch (request[1]) {
    case 1:
    case 2:
      return 5 + Math.ceil(count / 8);
    case 3:
    case 4:
    case 23:
      return 5 + 2 * count;
    case 22:
      return 10;
    default:
      return 8;
  }
}
