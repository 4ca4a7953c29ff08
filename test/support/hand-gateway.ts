import { constants, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { type Check, encodeFrame, type Frame, FrameDecoder } from '../../firmware-bridge/codec/frame.ts';
import { readBoardHello, writeGatewayHello } from '../../firmware-bridge/codec/hello.ts';
import { writeAck } from '../../firmware-bridge/codec/messages.ts';
import { flag, type } from '../../firmware-bridge/codec/words.ts';
import { atEnd, type Scope } from './scope.ts';
import { waitFor } from './wait-for.ts';

/** The gateway's end of a line, by hand: opens a conversation, and then sends what a test wants a board to hear. */
export class HandGateway {
  /** What came since the last `clear`, HELLO included. */
  readonly frames: Frame[] = [];
  /** Numbered frames of the board get their receipt. */
  acknowledges = true;
  /** Of the largest frame, where it is less than the board's. */
  frameBytesMax = 1024;
  readonly #file: number;
  #check: Check = 'crc32c';
  #channel = 0;
  #sequence = 0;
  #isOpen = false;

  constructor(path: string) {
    this.#file = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
    const decoder = new FrameDecoder({
      frame: (frame) => this.#take({ ...frame, payload: frame.payload.slice() }),
      discarded: () => undefined,
    });
    const stream = new ReadStream(this.#file);
    stream.on('data', (chunk) => decoder.push(chunk as Buffer));
    stream.on('error', () => undefined);
    this.close = () => stream.destroy();
  }

  readonly close: () => void;

  /** Asks for a HELLO and goes through the opening; resolves when the board has nothing more to describe. */
  async open(): Promise<void> {
    this.#isOpen = false;
    for (const check of ['crc32c', 'crc16'] as const) {
      this.#check = check;
      this.send(type.hello, writeGatewayHello({ kind: 'ask' }), 0, 0, 0);
    }
    await waitFor('a conversation', () => this.#isOpen, { timeoutMs: 20_000 });
  }

  /** `flags` 1: with `sequence` as its number. */
  send(
    of: number,
    payload: Uint8Array,
    flags = 0,
    sequence = this.#sequence++ & 0xffff,
    channel = this.#channel,
  ): void {
    writeSync(this.#file, encodeFrame({ check: this.#check, type: of, flags, sequence, channel, payload }));
  }

  /** The frames of a type since the last `clear`. */
  of(wanted: number): Uint8Array[] {
    return this.frames.filter((frame) => frame.type === wanted).map(({ payload }) => payload);
  }

  /** The first frame of a type, also one that is there already. */
  async first(what: string, wanted: number, match: (payload: Uint8Array) => boolean = () => true): Promise<Uint8Array> {
    return waitFor(what, () => this.of(wanted).find(match), { timeoutMs: 20_000 });
  }

  clear(): void {
    this.frames.length = 0;
  }

  #take(frame: Frame): void {
    this.frames.push(frame);
    const { type: of, payload, sequence } = frame;
    if (of === type.hello) this.#hello(frame);
    else if (frame.channel !== this.#channel) return;
    else if (of === type.describe) this.send(type.describe, Uint8Array.of(payload[1] ?? 0, 0));
    else if (of === type.subscribe) {
      this.send(type.subscribe, Uint8Array.of(payload[0] ?? 0, 0));
      // The simulator has two.
      this.#isOpen ||= payload[0] === 1;
    } else if ((frame.flags & flag.numbered) !== 0 && this.acknowledges) this.send(type.ack, writeAck(sequence));
  }

  #hello({ payload, check }: Frame): void {
    const { nonce, window, frameBytesMax, session } = readBoardHello(payload);
    this.#check = check;
    this.#channel = (this.#channel % 255) + 1;
    const accept = {
      ...({ kind: 'accept', version: 1, window, channel: this.#channel } as const),
      frameBytesMax: Math.min(frameBytesMax, this.frameBytesMax),
      ...{ wantsDescription: false, keepAliveS: 10, nonce, session: session || 7 },
    };
    this.send(type.hello, writeGatewayHello(accept), 0, 0, 0);
  }
}

/** On the pty of a simulated board, closed when the scope ends. */
export async function openByHand(scope: Scope, path: string, frameBytesMax = 1024): Promise<HandGateway> {
  const gateway = new HandGateway(path);
  gateway.frameBytesMax = frameBytesMax;
  atEnd(scope, () => gateway.close());
  await gateway.open();
  return gateway;
}
