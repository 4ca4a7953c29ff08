/** Hand-made MQTT packets for the load: a library would be the bottleneck that the benchmark is to find in the box. */

export type MqttVersion = 4 | 5;

export interface ConnectFields {
  clientId: string;
  version: MqttVersion;
  username?: string;
  password?: string;
}

function field(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function remainingLength(length: number): Buffer {
  const bytes: number[] = [];
  let rest = length;
  do {
    const more = rest > 127 ? 0x80 : 0;
    bytes.push((rest & 127) | more);
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.from(bytes);
}

function packet(firstByte: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(firstByte), remainingLength(body.length), body]);
}

/** A clean session without keep alive: the load never idles on purpose, and a paced one must not be cut. */
export function connectPacket({ clientId, version, username, password }: ConnectFields): Buffer {
  const flags = 0x02 | (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40);
  const parts = [
    field('MQTT'),
    Buffer.of(version, flags, 0, 0),
    ...(version === 5 ? [Buffer.of(0)] : []),
    field(clientId),
  ];
  if (username !== undefined) parts.push(field(username));
  if (password !== undefined) parts.push(field(password));
  return packet(0x10, Buffer.concat(parts));
}

/** A QoS 1 PUBLISH to be copied and patched: where its packet identifier and its payload begin. */
export interface PublishTemplate {
  bytes: Buffer;
  identifierAt: number;
  payloadAt: number;
}

export function publishTemplate(topic: string, payload: Buffer, version: MqttVersion): PublishTemplate {
  const head = field(topic);
  const afterIdentifier = version === 5 ? Buffer.of(0) : Buffer.alloc(0);
  const bytes = packet(0x32, Buffer.concat([head, Buffer.alloc(2), afterIdentifier, payload]));
  const payloadAt = bytes.length - payload.length;
  return { bytes, identifierAt: payloadAt - afterIdentifier.length - 2, payloadAt };
}

/** DUP of a PUBLISH's first byte [MQTT-3.3.1-1]. */
export const DUP = 0x08;

export interface AckReader {
  /** `receiveMaximum` is 65535 where the server names none. */
  onConnAck(reasonCode: number, receiveMaximum: number): void;
  onPubAck(identifier: number, reasonCode: number): void;
  onDisconnect(reasonCode: number): void;
}

/** Reads what a broker sends to a publisher; returns the bytes of a packet that is not complete yet. */
export function readAcks(chunk: Buffer, reader: AckReader): Buffer | null {
  let at = 0;
  while (at < chunk.length) {
    // Nearly every packet is a PUBACK of four bytes.
    if (chunk[at] === 0x40 && chunk[at + 1] === 2) {
      if (at + 4 > chunk.length) break;
      reader.onPubAck(chunk.readUInt16BE(at + 2), 0);
      at += 4;
      continue;
    }
    const length = readVariable(chunk, at + 1);
    if (length === undefined || length.end + length.value > chunk.length) break;
    readOther(chunk.subarray(length.end, length.end + length.value), (chunk[at] ?? 0) >> 4, reader);
    at = length.end + length.value;
  }
  return at < chunk.length ? chunk.subarray(at) : null;
}

function readOther(body: Buffer, type: number, reader: AckReader): void {
  if (type === 2) reader.onConnAck(body[1] ?? 0, receiveMaximum(body.subarray(2)));
  else if (type === 4) reader.onPubAck(body.readUInt16BE(0), body[2] ?? 0);
  else if (type === 14) reader.onDisconnect(body[0] ?? 0);
}

function readVariable(bytes: Buffer, start: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) return undefined;
    value += (byte & 127) << (7 * i);
    if (byte < 128) return { value, end: start + i + 1 };
  }
  throw new Error('the broker sent a remaining length of more than four bytes');
}

/** Widths of the CONNACK properties that may stand before Receive Maximum (0x21) [MQTT 5, section 3.2.2.3]. */
const propertyWidths: Record<number, number> = { 17: 4, 19: 2, 34: 2, 36: 1, 37: 1, 39: 4, 40: 1, 41: 1, 42: 1 };

function receiveMaximum(properties: Buffer): number {
  let at = readVariable(properties, 0)?.end ?? properties.length;
  while (at < properties.length) {
    const id = properties[at] ?? 0;
    if (id === 0x21) return properties.readUInt16BE(at + 1);
    const width = propertyWidths[id];
    if (width !== undefined) at += 1 + width;
    else {
      // All others are one string or, for a user property, two.
      for (let strings = id === 0x26 ? 2 : 1, field = 0; field < strings; field++) {
        at += (field === 0 ? 3 : 2) + properties.readUInt16BE(at + (field === 0 ? 1 : 0));
      }
    }
  }
  return 65_535;
}
