import { cobsDecode, cobsEncode, cobsLengthMax } from './cobs.ts';
import { crc16, crc32c } from './crc.ts';
import { limit } from './words.ts';

/** Section 2 of PROTOCOL.md: plain frames, their checks, and the zero behind each on the line. */

export const checks = ['crc32c', 'crc16'] as const;
export type Check = (typeof checks)[number];

export interface Frame {
  readonly check: Check;
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly channel: number;
  readonly payload: Uint8Array;
}

const HEADER_BYTES = 6;
/** A header and the shorter check. */
const FRAME_BYTES_MIN = 8;
const VERSION: Readonly<Record<Check, number>> = { crc32c: 0x01, crc16: 0x11 };
const CHECK_BYTES: Readonly<Record<Check, number>> = { crc32c: 4, crc16: 2 };

/** Payload bytes that a plain frame of `frameBytes` holds. */
export function payloadRoom(frameBytes: number, check: Check): number {
  return frameBytes - HEADER_BYTES - CHECK_BYTES[check];
}

/** The bytes of a frame on the line, with the zero behind them. */
export function encodeFrame({ check, type, flags, sequence, channel, payload }: Frame): Uint8Array {
  const end = HEADER_BYTES + payload.length;
  const plain = new Uint8Array(end + CHECK_BYTES[check]);
  plain[0] = VERSION[check];
  plain[1] = type;
  plain[2] = flags;
  plain[3] = sequence & 0xff;
  plain[4] = (sequence >>> 8) & 0xff;
  plain[5] = channel;
  plain.set(payload, HEADER_BYTES);
  let sum = check === 'crc32c' ? crc32c(plain, 0, end) : crc16(plain, 0, end);
  for (let i = end; i < plain.length; i++) {
    plain[i] = sum & 0xff;
    sum >>>= 8;
  }
  const line = new Uint8Array(cobsLengthMax(plain.length) + 1);
  const length = cobsEncode(plain, line);
  return line.subarray(0, length + 1);
}

/**
 * Why bytes were thrown away: a COBS code that leads beyond the frame, more bytes than the largest frame, fewer than the
 * smallest, another version, a check that differs.
 */
export const discards = ['bad_code', 'overlong', 'short', 'version', 'bad_check'] as const;
export type Discard = (typeof discards)[number];

export interface FrameSink {
  /** `payload` is valid during the call only. */
  frame(frame: Frame): void;
  /** `count` bytes, the zero behind them included. */
  discarded(cause: Discard, count: number): void;
}

/** Bytes in, frames out, whatever the reads cut them into. Holds one frame of the largest size at most. */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #frameBytesMax: number;
  readonly #bytes: Uint8Array;
  #length = 0;
  /** Bytes of a frame that is too long, thrown away up to the next zero. */
  #dropped = 0;

  constructor(sink: FrameSink, frameBytesMax: number = limit.frameBytesMax) {
    this.#sink = sink;
    this.#frameBytesMax = frameBytesMax;
    this.#bytes = new Uint8Array(cobsLengthMax(frameBytesMax));
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    while (from < chunk.length) {
      const zero = chunk.indexOf(0, from);
      const to = zero < 0 ? chunk.length : zero;
      this.#append(chunk, from, to);
      if (zero < 0) return;
      this.#end();
      from = zero + 1;
    }
  }

  /** Forgets half a frame: the line was closed. */
  reset(): void {
    this.#length = 0;
    this.#dropped = 0;
  }

  #append(chunk: Uint8Array, from: number, to: number): void {
    const count = to - from;
    if (this.#dropped === 0 && this.#length + count <= this.#bytes.length) {
      this.#bytes.set(chunk.subarray(from, to), this.#length);
      this.#length += count;
      return;
    }
    this.#dropped += this.#length + count;
    this.#length = 0;
  }

  #end(): void {
    const count = this.#length;
    this.#length = 0;
    if (this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#dropped = 0;
      this.#sink.discarded('overlong', dropped + 1);
      return;
    }
    if (count === 0) return;
    const fault = this.#frame(count);
    if (fault !== null) this.#sink.discarded(fault, count + 1);
  }

  #frame(count: number): Discard | null {
    const plain = this.#bytes;
    const length = cobsDecode(plain, 0, count);
    if (length < 0) return 'bad_code';
    if (length > this.#frameBytesMax) return 'overlong';
    if (length < FRAME_BYTES_MIN) return 'short';
    const check = plain[0] === VERSION.crc32c ? 'crc32c' : plain[0] === VERSION.crc16 ? 'crc16' : null;
    if (check === null) return 'version';
    const end = length - CHECK_BYTES[check];
    if (end < HEADER_BYTES) return 'short';
    const sum = check === 'crc32c' ? crc32c(plain, 0, end) : crc16(plain, 0, end);
    for (let i = end, rest = sum; i < length; i++, rest >>>= 8) if (plain[i] !== (rest & 0xff)) return 'bad_check';
    this.#sink.frame({
      check,
      type: plain[1] as number,
      flags: plain[2] as number,
      sequence: (plain[3] as number) | ((plain[4] as number) << 8),
      channel: plain[5] as number,
      payload: plain.subarray(HEADER_BYTES, end),
    });
    return null;
  }
}
