import {
  type Check,
  type Discard,
  discards,
  encodeFrame,
  type Frame,
  FrameDecoder,
  payloadRoom,
} from './codec/frame.ts';
import { flag, limit } from './codec/words.ts';

/** Frames of one line: what its bytes say, and what is written to it. */
export class FrameLink {
  /** That of the board; both are used before its HELLO. */
  check: Check | null = null;
  /** 0 outside a conversation. */
  channel = 0;
  /** Plain bytes of the largest frame that was agreed on. */
  frameBytesMax: number = limit.frameBytes;
  readonly counters = { frames: 0, bytes: 0 };
  readonly discarded: Record<Discard, number>;
  readonly #write: (bytes: Buffer) => void;
  readonly #decoder: FrameDecoder;
  #sequence = 0;

  constructor(
    write: (bytes: Buffer) => void,
    frame: (frame: Frame) => void,
    fault: (cause: Discard, count: number) => void,
  ) {
    this.#write = write;
    this.discarded = Object.fromEntries(discards.map((cause) => [cause, 0])) as Record<Discard, number>;
    this.#decoder = new FrameDecoder({
      frame: (one) => {
        this.counters.frames++;
        frame(one);
      },
      discarded: (cause, count) => {
        this.discarded[cause] += count;
        fault(cause, count);
      },
    });
  }

  /** Payload bytes that a frame to the board may have. */
  get room(): number {
    return payloadRoom(this.frameBytesMax, this.check ?? 'crc32c');
  }

  push(chunk: Uint8Array): void {
    this.counters.bytes += chunk.length;
    this.#decoder.push(chunk);
  }

  /** The line was closed: what follows is another conversation. */
  reset(): void {
    this.#decoder.reset();
    this.close();
    this.check = null;
    this.#sequence = 0;
  }

  /** No channel is open. */
  close(): void {
    this.channel = 0;
    this.frameBytesMax = limit.frameBytes;
  }

  /** A frame without a number. `isOutside`: on channel 0, behind a zero: what stood on the line before is no part of it. */
  send(type: number, payload: Uint8Array, isOutside = false): void {
    const sequence = this.#sequence;
    this.#sequence = (sequence + 1) & 0xffff;
    const channel = isOutside ? 0 : this.channel;
    const checks: Check[] = this.check === null ? ['crc32c', 'crc16'] : [this.check];
    for (const check of checks) {
      const bytes = encodeFrame({ check, type, flags: 0, sequence, channel, payload });
      this.#write(isOutside ? Buffer.concat([ZERO, bytes]) : asBuffer(bytes));
    }
  }

  sendNumbered(type: number, number: number, payload: Uint8Array, isRepeat: boolean): void {
    const flags = flag.numbered | (isRepeat ? flag.repeat : 0);
    const { channel, check } = this;
    this.#write(
      asBuffer(encodeFrame({ check: check ?? 'crc32c', type, flags, sequence: number & 0xffff, channel, payload })),
    );
  }
}

const ZERO = Buffer.alloc(1);

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
