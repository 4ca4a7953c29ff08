import { encodeCbor } from '../../firmware-bridge/codec/cbor.ts';
import { writeData } from '../../firmware-bridge/codec/entities.ts';
import { type Check, encodeFrame, type Frame, FrameDecoder } from '../../firmware-bridge/codec/frame.ts';
import {
  type BoardHello,
  type GatewayHello,
  readGatewayHello,
  writeBoardHello,
} from '../../firmware-bridge/codec/hello.ts';
import { readAck, readNak } from '../../firmware-bridge/codec/messages.ts';
import { bytesOf } from '../../firmware-bridge/codec/payload.ts';
import { feature, flag, type } from '../../firmware-bridge/codec/words.ts';
import type { SerialDevice } from './serial-device.ts';
import { waitFor } from './wait-for.ts';

type Cbor = Parameters<typeof encodeCbor>[0];

/** A board in the hands of a test, which sends what it wants and when it wants: the C library would not err. */
export class BridgeBoard {
  /** Everything that came, payloads copied. */
  readonly frames: Frame[] = [];
  check: Check = 'crc32c';
  channel = 0;
  session = 0;
  readonly #device: SerialDevice;
  #nonce = 1;
  #sequence = 0;

  constructor(device: SerialDevice) {
    this.#device = device;
    const decoder = new FrameDecoder({
      frame: (frame) => void this.frames.push({ ...frame, payload: frame.payload.slice() }),
      discarded: () => undefined,
    });
    device.onData = (bytes) => decoder.push(bytes);
  }

  /** Frames of a type that came on the present channel. */
  of(wanted: number): Frame[] {
    return this.frames.filter(({ type: found, channel }) => found === wanted && channel === this.channel);
  }

  /** Highest number that was acknowledged on this channel; -1 before the first ACK. */
  get acknowledged(): number {
    return Math.max(-1, ...this.of(type.ack).map(({ payload }) => readAck(payload)));
  }

  get naks(): { sequence: number; code: number; waitMs: number }[] {
    return this.of(type.nak).map(({ payload }) => readNak(payload));
  }

  /** Opens a conversation; resolves with the gateway's HELLO. */
  async hello(given: Partial<BoardHello> = {}): Promise<Exclude<GatewayHello, { kind: 'ask' }>> {
    const nonce = this.#nonce++;
    const hello: BoardHello = {
      versionMin: 1,
      versionMax: 1,
      reset: 1,
      frameBytesMax: 256,
      window: 8,
      features: feature.commands | feature.firmware,
      nonce,
      session: this.session,
      oldest: 1,
      bootCount: 1,
      uptimeMs: 1000,
      lost: 0,
      description: 7,
      identity: 'test-1',
      hardware: 'test-hw',
      firmware: 'test-fw',
      version: '1.0.0',
      hash: new Uint8Array(),
      ...given,
    };
    await this.raw(Buffer.alloc(1));
    await this.send(type.hello, writeBoardHello(hello), { channel: 0 });
    if ((hello.features & feature.oneWay) !== 0) return { kind: 'refuse', code: 0, retryS: 0, nonce };
    const answer = await waitFor('the answer to HELLO', () => {
      const hellos = this.frames
        .filter(({ type: found }) => found === type.hello)
        .map((one) => readGatewayHello(one.payload));
      return hellos.find((one) => one.kind !== 'ask' && one.nonce === nonce);
    });
    if (answer.kind === 'ask') throw new Error('an ask has no nonce');
    if (answer.kind === 'accept') {
      this.channel = answer.channel;
      this.session = answer.session;
    }
    return answer;
  }

  /** Two entities: temp (integer, scale 0.1, °C) and valve (boolean, writable). */
  async describe(): Promise<void> {
    const before = this.of(type.describe).length;
    await this.send(type.describe, Buffer.concat([Buffer.from([0, 2]), ENTITIES]));
    if (this.channel !== 0) await waitFor('the answer to DESCRIBE', () => this.of(type.describe).length > before);
  }

  /** Values as [entity, value, offset]; under a number where one is given. */
  async data(number: number | null, ...values: [entity: number, value: Cbor, offsetMs: number][]): Promise<void> {
    const items = values.flatMap((triple) => triple.map((one) => encodeCbor(one)));
    await this.send(type.data, writeData(0, items), number === null ? {} : { number });
  }

  async send(
    of: number,
    payload: Uint8Array,
    given: { number?: number; channel?: number; flags?: number } = {},
  ): Promise<void> {
    const { number, channel = this.channel, flags = number === undefined ? 0 : flag.numbered } = given;
    const sequence = number ?? this.#sequence++;
    await this.raw(
      Buffer.from(encodeFrame({ check: this.check, type: of, flags, sequence: sequence & 0xffff, channel, payload })),
    );
  }

  /** A frame without a number that never comes. */
  loseFrame(): void {
    this.#sequence++;
  }

  raw(bytes: Buffer): Promise<void> {
    return this.#device.send(bytes);
  }
}

/** CBOR maps of the entities, as `describe` sends them. */
const ENTITIES = Buffer.concat([map([0, 'temp'], [1, 1], [2, '°C'], [3, 0.1]), map([0, 'valve'], [1, 0], [6, true])]);

function map(...pairs: [key: number, value: Cbor][]): Buffer {
  return Buffer.concat([Buffer.from([0xa0 | pairs.length]), ...pairs.flat().map((one) => encodeCbor(one))]);
}

export function text(value: string): Uint8Array {
  return bytesOf(value);
}
