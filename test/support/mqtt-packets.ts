/**
 * MQTT packets byte by byte, as the specification draws them, so that a test can also write what no library would.
 *
 *     packet(0x32, 'a/b', u16(7), properties(), raw('payload'))
 */

/** A number is one byte, a string is a UTF-8 string with its two bytes of length, a buffer stands as it is. */
export type Field = number | string | Buffer;

export type Version = 4 | 5;

/** Property identifiers of MQTT 5, section 2.2.2.2. */
export const property = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiry: 0x11,
  assignedClientIdentifier: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelay: 0x18,
  requestResponseInformation: 0x19,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardAvailable: 0x28,
  identifiersAvailable: 0x29,
  sharedAvailable: 0x2a,
} as const;

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

export function u32(value: number): Buffer {
  return Buffer.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** Text without a length in front: a payload. */
export function raw(text: string): Buffer {
  return Buffer.from(text);
}

/** Binary data with its two bytes of length; also for strings that are no good UTF-8. */
export function binary(bytes: Buffer): Buffer {
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.from(bytes);
}

export function join(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map((field) => {
      if (typeof field === 'number') return Buffer.of(field);
      return typeof field === 'string' ? binary(Buffer.from(field)) : field;
    }),
  );
}

/** A whole packet: its first byte, the remaining length, the fields. */
export function packet(first: number, ...fields: Field[]): Buffer {
  const body = join(fields);
  return Buffer.concat([Buffer.of(first), varint(body.length), body]);
}

/** The property block of a version 5 packet. */
export function properties(...fields: Field[]): Buffer {
  const body = join(fields);
  return Buffer.concat([varint(body.length), body]);
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').replace(/../g, '$& ').trimEnd();
}

export interface Will {
  topic: string;
  payload?: string;
  /** QoS and retain as they stand in the connect flags: QoS << 3, retain 0x20. */
  flags?: number;
  /** Property fields, version 5 only. */
  properties?: readonly Field[];
}

export interface ConnectFields {
  version?: Version;
  clientId?: string;
  /** Clean session, clean start; default true. */
  clean?: boolean;
  /** Seconds; default 0. */
  keepAlive?: number;
  /** Property fields, version 5 only. */
  properties?: readonly Field[];
  will?: Will;
  username?: string;
  password?: string;
}

/** CONNECT. [MQTT 3.1] */
export function connectPacket(fields: ConnectFields = {}): Buffer {
  const { version = 4, clientId = 'c1', clean = true, keepAlive = 0, will, username, password } = fields;
  let flags = clean ? 0x02 : 0;
  if (will !== undefined) flags |= 0x04 | (will.flags ?? 0);
  if (username !== undefined) flags |= 0x80;
  if (password !== undefined) flags |= 0x40;
  const parts: Field[] = ['MQTT', version, flags, u16(keepAlive)];
  if (version === 5) parts.push(properties(...(fields.properties ?? [])));
  parts.push(clientId);
  if (will !== undefined) {
    if (version === 5) parts.push(properties(...(will.properties ?? [])));
    parts.push(will.topic, will.payload ?? 'gone');
  }
  if (username !== undefined) parts.push(username);
  if (password !== undefined) parts.push(password);
  return packet(0x10, ...parts);
}

export interface PublishFields {
  version?: Version;
  topic?: Field;
  payload?: string | Buffer;
  /** Makes it QoS 1. */
  id?: number;
  /** DUP 0x08, retain 0x01; QoS 2 as 0x04 together with an `id`. */
  flags?: number;
  properties?: readonly Field[];
}

/** PUBLISH of QoS 0, or of QoS 1 with an `id`. [MQTT 3.3] */
export function publishPacket(fields: PublishFields = {}): Buffer {
  const { version = 4, topic = 'a/b', payload = 'x', id, flags = 0 } = fields;
  const qos = id === undefined || (flags & 0x06) !== 0 ? 0 : 0x02;
  const parts: Field[] = [topic];
  if (id !== undefined) parts.push(u16(id));
  if (version === 5) parts.push(properties(...(fields.properties ?? [])));
  parts.push(typeof payload === 'string' ? raw(payload) : payload);
  return packet(0x30 | flags | qos, ...parts);
}

/** SUBSCRIBE; each filter with its options byte. [MQTT 3.8] */
export function subscribePacket(
  version: Version,
  id: number,
  filters: readonly (readonly [filter: Field, options: number])[],
  ...fields: Field[]
): Buffer {
  const head = version === 5 ? [u16(id), properties(...fields)] : [u16(id)];
  return packet(0x82, ...head, ...filters.flat());
}

export function unsubscribePacket(version: Version, id: number, ...filters: string[]): Buffer {
  return packet(0xa2, u16(id), ...(version === 5 ? [properties()] : []), ...filters);
}

export function subackPacket(version: Version, id: number, ...codes: number[]): Buffer {
  return packet(0x90, u16(id), ...(version === 5 ? [properties()] : []), ...codes);
}

export function pubackPacket(id: number): Buffer {
  return packet(0x40, u16(id));
}

export const PINGREQ: Buffer = packet(0xc0);
export const PINGRESP: Buffer = packet(0xd0);
export const DISCONNECT: Buffer = packet(0xe0);

/** Reads a remaining length; null where it is not complete. */
export function readVarint(bytes: Buffer, start: number): { value: number; end: number } | null {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return { value, end: start + i + 1 };
  }
  throw new Error(`no remaining length: ${hex(bytes.subarray(start, start + 4))}`);
}

/** Bytes of the properties that are a number of a fixed width. */
const numberWidths: ReadonlyMap<number, number> = new Map([
  ...[0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a].map((id) => [id, 1] as const),
  ...[0x13, 0x21, 0x22, 0x23].map((id) => [id, 2] as const),
  ...[0x02, 0x11, 0x18, 0x27].map((id) => [id, 4] as const),
]);

export type PropertyValue = number | string | readonly [key: string, value: string];

/** The property block that begins at `start`, in order; binary data as text. */
export function readProperties(
  bytes: Buffer,
  start: number,
): { entries: [id: number, value: PropertyValue][]; end: number } {
  const length = readVarint(bytes, start);
  if (length === null) throw new Error(`no property length: ${hex(bytes)}`);
  const end = length.end + length.value;
  const entries: [number, PropertyValue][] = [];
  let at = length.end;
  const text = () => {
    const size = bytes.readUInt16BE(at);
    at += 2 + size;
    return bytes.toString('utf8', at - size, at);
  };
  while (at < end) {
    const id = bytes.readUInt8(at++);
    const width = numberWidths.get(id);
    if (width !== undefined) {
      entries.push([id, bytes.readUIntBE(at, width)]);
      at += width;
    } else if (id === property.subscriptionIdentifier) {
      const number = readVarint(bytes, at);
      if (number === null) throw new Error(`no subscription identifier: ${hex(bytes)}`);
      at = number.end;
      entries.push([id, number.value]);
    } else if (id === property.userProperty) entries.push([id, [text(), text()]]);
    else entries.push([id, text()]);
  }
  if (at !== end) throw new Error(`properties of ${length.value} bytes end elsewhere: ${hex(bytes)}`);
  return { entries, end };
}
