import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  packet,
  properties,
  property,
  publishPacket,
  readVarint,
  u16,
  u32,
  type Version,
  varint,
} from './mqtt-packets.ts';
import { SeededRandom } from './seeded-random.ts';

/*
 * Broken MQTT, again and again the same: a case is a number, and with the seed it says which bytes are sent.
 *
 *   blind      packets of recorded sessions with bits flipped, parts cut, copied, moved, lengths changed; what the
 *              broker says to it is not foretold, only that it speaks MQTT and lives on
 *   directed   one good packet with one fault, of which the specification says the reason code
 */

export interface RecordedSession {
  client: string;
  version: Version;
  packets: Buffer[];
}

/** What real clients said; record-mqtt-sessions.ts wrote it down. */
export function readSessions(): RecordedSession[] {
  const file = join(import.meta.dirname, '../fixtures/mqtt-sessions.json');
  const sessions = JSON.parse(readFileSync(file, 'utf8')) as { client: string; version: Version; packets: string[] }[];
  return sessions.map(({ packets, ...rest }) => ({
    ...rest,
    packets: packets.map((text) => Buffer.from(text, 'hex')),
  }));
}

export interface FuzzCase {
  number: number;
  version: Version;
  /** Whether it begins with a CONNECT of its own, on a connection that has said nothing. */
  isWhole: boolean;
  bytes: Buffer;
  /** Reason codes of MQTT 5 that may answer it, a CONNACK where it is whole, else a DISCONNECT; null: not foretold. */
  codes: readonly number[] | null;
  /** For the message of a failure. */
  what: string;
}

/** One case grows no larger, so that a batch stays within memory. */
const CASE_BYTES_MAX = 8192;
const DIRECTED_SHARE = 0.15;
const WHOLE_SHARE = 0.15;
const INTERESTING = [0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xc0, 0xed, 0xef, 0xfe, 0xff, 0x23, 0x2b, 0x24, 0x2f];
const INTERESTING_LENGTHS = [0, 1, 2, 3, 4, 127, 128, 255, 256, 16_383, 16_384, 32_768, 65_534, 65_535];

export class FuzzCases {
  readonly seed: number;
  readonly #sessions: RecordedSession[];

  constructor(seed: number) {
    this.seed = seed;
    this.#sessions = readSessions();
  }

  /** The same for the same number and seed, whatever came before. */
  get(number: number): FuzzCase {
    const random = new SeededRandom(Math.imul(this.seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
    if (random.chance(DIRECTED_SHARE)) return { number, ...pick(random, directed)(random) };
    const { client, version, packets } = pick(random, this.#sessions);
    if (random.chance(WHOLE_SHARE)) {
      const bytes = mutate(random, packets, this.#sessions);
      return { number, version, isWhole: true, bytes, codes: null, what: `session of ${client}` };
    }
    const inner = packets.slice(1, -1);
    const from = Math.floor(random.between(0, inner.length));
    const some = inner.length === 0 ? packets.slice(1) : inner.slice(from, from + 1 + Math.floor(random.between(0, 3)));
    const bytes = mutate(random, some, this.#sessions);
    return { number, version, isWhole: false, bytes, codes: null, what: `packets of ${client}` };
  }
}

function pick<T>(random: SeededRandom, from: readonly T[]): T {
  const one = from[Math.floor(random.between(0, from.length))];
  if (one === undefined) throw new Error('there is nothing to pick from');
  return one;
}

/** Some packets with one to four mutations; half of the mutated packets get a right length again, to come further in. */
function mutate(random: SeededRandom, packets: readonly Buffer[], sessions: readonly RecordedSession[]): Buffer {
  let mutated: Buffer[] = packets.map((bytes) => Buffer.from(bytes));
  const mutations = 1 + Math.floor(random.next() ** 2 * 4);
  for (let i = 0; i < mutations; i++) {
    const at = Math.floor(random.between(0, mutated.length));
    const bytes = mutated[at] ?? Buffer.alloc(0);
    if (random.chance(0.12)) mutated = moved(random, mutated, at, sessions);
    else mutated[at] = random.chance(0.5) ? repaired(changed(random, bytes)) : changed(random, bytes);
  }
  return Buffer.concat(mutated).subarray(0, CASE_BYTES_MAX);
}

/** Whole packets: one twice, one less, two the other way round, one of another session. */
function moved(random: SeededRandom, packets: Buffer[], at: number, sessions: readonly RecordedSession[]): Buffer[] {
  const one = packets[at] ?? Buffer.alloc(0);
  const before = packets.slice(0, at);
  const after = packets.slice(at + 1);
  switch (Math.floor(random.between(0, 4))) {
    case 0:
      return [...before, ...Array.from({ length: 1 + Math.floor(random.between(1, 12)) }, () => one), ...after];
    case 1:
      return packets.length > 1 ? [...before, ...after] : packets;
    case 2:
      return [...after, one, ...before];
    default:
      return [...before, pick(random, pick(random, sessions).packets), one, ...after];
  }
}

function changed(random: SeededRandom, bytes: Buffer): Buffer {
  const at = Math.floor(random.between(0, bytes.length));
  const length = 1 + Math.floor(random.next() ** 3 * Math.max(1, bytes.length - at));
  const own = Buffer.from(bytes);
  switch (Math.floor(random.between(0, 9))) {
    case 0:
      own[at] = (own[at] ?? 0) ^ (1 << Math.floor(random.between(0, 8)));
      return own;
    case 1:
      own[at] = pick(random, INTERESTING);
      return own;
    case 2:
      own[at] = Math.floor(random.between(0, 256));
      return own;
    case 3:
      return Buffer.concat([own.subarray(0, at), own.subarray(at + length)]);
    case 4:
      return Buffer.concat([own.subarray(0, at + length), own.subarray(at)]);
    case 5: {
      const noise = Buffer.from(Array.from({ length: Math.min(length, 64) }, () => Math.floor(random.between(0, 256))));
      return Buffer.concat([own.subarray(0, at), noise, own.subarray(at)]);
    }
    case 6:
      return own.subarray(0, at);
    case 7:
      if (at + 2 <= own.length) own.writeUInt16BE(pick(random, INTERESTING_LENGTHS), at);
      return own;
    default: {
      // The remaining length itself, also such as no packet has.
      const end = bytes.length > 1 ? (header(bytes)?.end ?? 2) : 1;
      const lie = random.chance(0.3)
        ? Buffer.of(0xff, 0xff, 0xff, Math.floor(random.between(0, 256)))
        : varint(Math.floor(2 ** random.between(0, 28)));
      return Buffer.concat([own.subarray(0, 1), lie, own.subarray(end)]);
    }
  }
}

/** Where the variable header begins. */
function header(bytes: Buffer): { value: number; end: number } | null {
  try {
    return readVarint(bytes, 1);
  } catch {
    return null;
  }
}

function repaired(bytes: Buffer): Buffer {
  const end = header(bytes)?.end;
  if (end === undefined || end > bytes.length) return bytes;
  const body = bytes.subarray(end);
  return Buffer.concat([bytes.subarray(0, 1), varint(body.length), body]);
}

/** True where the bytes end with the end of a packet, so that a further packet will be read as one. */
export function endsWithPacket(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; ) {
    let length: { value: number; end: number } | null;
    try {
      length = readVarint(bytes, at + 1);
    } catch {
      return false;
    }
    if (length === null) return false;
    at = length.end + length.value;
    if (at > bytes.length) return false;
  }
  return true;
}

/** The first bytes of its packets, as far as they can be told apart. */
export function packetTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    types.push((bytes[at] ?? 0) >> 4);
    let length: { value: number; end: number } | null;
    try {
      length = readVarint(bytes, at + 1);
    } catch {
      break;
    }
    if (length === null) break;
    at = length.end + length.value;
  }
  return types;
}

type Directed = (random: SeededRandom) => Omit<FuzzCase, 'number'>;

/** A fault in a packet of a connected client of MQTT 5. */
function fault(what: string, codes: readonly number[], make: (random: SeededRandom) => Buffer): Directed {
  return (random) => ({ version: 5, isWhole: false, bytes: make(random), codes, what });
}

/** A CONNECT of MQTT 5 that is refused. */
function connectFault(what: string, codes: readonly number[], make: (random: SeededRandom) => Buffer): Directed {
  return (random) => ({ version: 5, isWhole: true, bytes: make(random), codes, what });
}

const badTexts = [
  Buffer.of(0, 1, 0),
  Buffer.of(0, 2, 0xc3, 0x28),
  Buffer.of(0, 3, 0xed, 0xa0, 0x80),
  Buffer.of(0, 1, 0xff),
];
const onceOnly = [
  [property.payloadFormat, 1],
  [property.messageExpiry, u32(9)],
  [property.contentType, 'a'],
  [property.responseTopic, 'r'],
  [property.correlationData, 'c'],
  [property.topicAlias, u16(1)],
] as const;
const misplaced = [
  [property.receiveMaximum, u16(9)],
  [property.sessionExpiry, u32(9)],
  [property.reasonString, 'why'],
  [property.willDelay, u32(1)],
  [property.maximumPacketSize, u32(100)],
  [property.serverKeepAlive, u16(9)],
] as const;

/** After MQTT 5.0, sections 2 to 4: the reason code of each. */
const directed: readonly Directed[] = [
  fault('flags of the fixed header', [0x81], (random) => {
    const [type, good] = pick(random, [
      [4, 0],
      [5, 0],
      [6, 2],
      [7, 0],
      [8, 2],
      [10, 2],
      [12, 0],
      [14, 0],
    ] as const);
    const wrong = (good + 1 + Math.floor(random.between(0, 15))) & 0x0f;
    return packet((type << 4) | wrong, u16(1), properties(), 'a', 0);
  }),
  fault('packet type 0', [0x81], (random) => packet(Math.floor(random.between(0, 16)), u16(1))),
  fault('a packet of a server', [0x81, 0x82], (random) =>
    packet(pick(random, [0x20, 0x90, 0xb0, 0xd0]), u16(1), properties()),
  ),
  fault('remaining length of five bytes', [0x81], (random) =>
    Buffer.of(pick(random, [0x30, 0x82, 0xa2, 0xe0]), 0x80 | Math.floor(random.between(0, 128)), 0xff, 0xff, 0xff, 1),
  ),
  fault('packet too large', [0x95], (random) =>
    Buffer.concat([Buffer.of(0x30), varint(2 ** 28 - 1 - Math.floor(random.between(0, 1000)))]),
  ),
  fault('a PUBLISH cut short', [0x81], (random) => {
    const whole = publishPacket({ version: 5, topic: 'fuzz/cut', id: 9, payload: '' });
    return repaired(whole.subarray(0, 2 + Math.floor(random.between(0, whole.length - 2))));
  }),
  fault('a topic name that is no text', [0x81], (random) => packet(0x30, pick(random, badTexts), properties())),
  fault('a topic filter that is no text', [0x81], (random) =>
    packet(0x82, u16(1), properties(), pick(random, badTexts), 0),
  ),
  fault('a user property that is no text', [0x81], (random) =>
    packet(0x30, 'a', properties(property.userProperty, 'k', pick(random, badTexts))),
  ),
  fault('a wildcard in a topic name', [0x81, 0x82, 0x90], (random) =>
    publishPacket({ version: 5, topic: pick(random, ['#', '+', 'a/#', 'a/+/b']) }),
  ),
  fault('QoS 3', [0x81], (random) => packet(pick(random, [0x36, 0x37, 0x3e, 0x3f]), 'a', u16(1), properties())),
  fault('DUP with QoS 0', [0x81, 0x82], () => packet(0x38, 'a', properties())),
  fault('packet identifier 0', [0x81, 0x82], (random) =>
    packet(pick(random, [0x82, 0xa2]), u16(0), properties(), 'a', 0),
  ),
  fault('a property twice', [0x82], (random) => {
    const [id, value] = pick(random, onceOnly);
    return packet(0x30, 'a', properties(id, value, id, value));
  }),
  fault('a property of another packet', [0x81, 0x82], (random) =>
    packet(0x30, 'a', properties(...pick(random, misplaced))),
  ),
  fault('an unknown property', [0x81, 0x82], (random) =>
    packet(0x30, 'a', properties(pick(random, [0x00, 0x04, 0x0a, 0x2b, 0x7e]), 0)),
  ),
  fault('properties longer than their packet', [0x81], (random) =>
    packet(0x30, 'a', varint(1 + Math.floor(random.between(0, 20_000)))),
  ),
  fault('a value that is not allowed', [0x81, 0x82], (random) =>
    packet(0x30, 'a', properties(property.payloadFormat, 2 + Math.floor(random.between(0, 254)))),
  ),
  fault('alias 0 or too large', [0x94], (random) =>
    packet(0x30, 'a', properties(property.topicAlias, u16(pick(random, [0, 65_535])))),
  ),
  fault('an alias that stands for nothing', [0x82], () => packet(0x30, '', properties(property.topicAlias, u16(2)))),
  fault('no topic at all', [0x82, 0x81], () => packet(0x30, '', properties())),
  fault('a subscription identifier of a client', [0x82], (random) =>
    packet(0x30, 'a', properties(property.subscriptionIdentifier, varint(1 + Math.floor(random.between(0, 200_000))))),
  ),
  fault('subscription identifier 0', [0x82], () =>
    packet(0x82, u16(1), properties(property.subscriptionIdentifier, 0), 'a', 0),
  ),
  fault('no topic filter', [0x81, 0x82], (random) => packet(pick(random, [0x82, 0xa2]), u16(1), properties())),
  fault('reserved subscription options', [0x81], (random) =>
    packet(0x82, u16(1), properties(), 'a', pick(random, [0x40, 0x80, 0xc0, 0x03])),
  ),
  fault('retain handling 3', [0x81, 0x82], () => packet(0x82, u16(1), properties(), 'a', 0x30)),
  fault('No Local on a share', [0x82], () => packet(0x82, u16(1), properties(), '$share/g/a', 0x04)),
  fault('a second CONNECT', [0x82], (random) => pick(random, [good({}), packet(0x10, 'MQTT', 4, 2, u16(0), 'x')])),
  fault('AUTH without a method', [0x82], (random) => pick(random, [packet(0xf0), packet(0xf0, 0x18, properties())])),
  fault('a PINGREQ with a body', [0x81], () => packet(0xc0, 0)),
  connectFault('reserved connect flag', [0x81], () => good({ flags: 0x03 })),
  connectFault('will QoS without a will', [0x81, 0x82], (random) =>
    good({ flags: pick(random, [0x0a, 0x12, 0x1a, 0x22]) }),
  ),
  connectFault('protocol version 6 and up', [0x84], (random) =>
    good({ level: 6 + Math.floor(random.between(0, 100)) }),
  ),
  connectFault('an authentication method', [0x8c], () =>
    good({ fields: properties(property.authenticationMethod, 'PLAIN') }),
  ),
  connectFault('authentication data alone', [0x81, 0x82], () =>
    good({ fields: properties(property.authenticationData, 'x') }),
  ),
  connectFault('Receive Maximum 0', [0x82], () => good({ fields: properties(property.receiveMaximum, u16(0)) })),
  connectFault('Maximum Packet Size 0', [0x82], () => good({ fields: properties(property.maximumPacketSize, u32(0)) })),
  connectFault('a property twice', [0x82], () => good({ fields: properties(0x11, u32(0), 0x11, u32(0)) })),
  connectFault('a client identifier that is no text', [0x81], (random) => good({ id: pick(random, badTexts) })),
  connectFault('bytes behind the payload', [0x81], (random) =>
    good({ rest: Buffer.alloc(1 + Math.floor(random.between(0, 9))) }),
  ),
];

interface ConnectParts {
  level?: number;
  flags?: number;
  fields?: Buffer;
  id?: Buffer;
  rest?: Buffer;
}

function good({ level = 5, flags = 0x02, fields = properties(), id, rest }: ConnectParts): Buffer {
  return packet(0x10, 'MQTT', level, flags, u16(0), fields, id ?? 'fuzz', rest ?? Buffer.alloc(0));
}

/** For the tally. */
export const directedCount: number = directed.length;
