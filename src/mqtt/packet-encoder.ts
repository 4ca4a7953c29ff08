import mqtt, {
  type IConnackPacket,
  type IDisconnectPacket,
  type IPubackPacket,
  type IPubrecPacket,
  type Packet,
} from 'mqtt-packet';
import type { ProtocolVersion } from './packet-decoder.ts';
import { reason } from './reason-codes.ts';

/* What does not come often goes through mqtt-packet; PUBACK and PUBLISH are written by hand, in their own files. */

type ConnackProperties = NonNullable<IConnackPacket['properties']>;

// It would fill a table of 65,536 two-byte buffers at its first packet: 6 MB for what a shift does.
mqtt.writeToStream.cacheNumbers = false;

/** A reason string is for people: as long as a line of a log. */
const REASON_BYTES_MAX = 200;

export const pingresp: Buffer = Buffer.of(0xd0, 0);

/** CONNACK of success. */
export function connack(version: ProtocolVersion, sessionPresent: boolean, properties: ConnackProperties): Buffer {
  if (version === 4) return Buffer.of(0x20, 2, sessionPresent ? 1 : 0, 0);
  return encode({ cmd: 'connack', sessionPresent, reasonCode: reason.success, properties }, 5);
}

/** CONNACK of refusal: a reason code in MQTT 5, a return code in 3.1.1. */
export function connackRefused(version: ProtocolVersion, code: number, why: string): Buffer {
  if (version === 4) return Buffer.of(0x20, 2, 0, code);
  const packet: IConnackPacket = { cmd: 'connack', sessionPresent: false, reasonCode: code };
  if (why !== '') packet.properties = { reasonString: clip(why) };
  return encode(packet, 5);
}

/** `codes`: one for each topic filter, in order [MQTT-3.8.4-5]. */
export function suback(version: ProtocolVersion, messageId: number, codes: number[]): Buffer {
  return encode({ cmd: 'suback', messageId, granted: codes }, version);
}

export function unsuback(version: ProtocolVersion, messageId: number, codes: number[]): Buffer {
  return encode({ cmd: 'unsuback', messageId, granted: codes }, version);
}

/** MQTT 5 only: a PUBACK or a PUBREC, by its first byte. `text` is the reason string, '' for none. */
export function acknowledgementRefused(first: number, messageId: number, reasonCode: number, text: string): Buffer {
  const packet: IPubackPacket | IPubrecPacket = { cmd: first === 0x40 ? 'puback' : 'pubrec', messageId, reasonCode };
  if (text !== '') packet.properties = { reasonString: clip(text) };
  return encode(packet, 5);
}

/** The next step of a QoS 2 message: success has four bytes in every version. */
export function pubrel(packetIdentifier: number): Buffer {
  return Buffer.of(0x62, 2, packetIdentifier >> 8, packetIdentifier & 0xff);
}

export function pubcomp(packetIdentifier: number): Buffer {
  return Buffer.of(0x70, 2, packetIdentifier >> 8, packetIdentifier & 0xff);
}

/** The answer to a PUBREC for a packet identifier that is not in use [MQTT5 3.6.2.1]. */
export function pubrelUnknown(version: ProtocolVersion, messageId: number): Buffer {
  return encode({ cmd: 'pubrel', messageId, reasonCode: reason.packetIdentifierNotFound }, version);
}

/** The answer to a PUBREL for a packet identifier that was never received. */
export function pubcompUnknown(version: ProtocolVersion, messageId: number): Buffer {
  return encode({ cmd: 'pubcomp', messageId, reasonCode: reason.packetIdentifierNotFound }, version);
}

/** MQTT 5 only: a server of 3.1.1 has no DISCONNECT and just closes. */
export function disconnect(reasonCode: number, why: string): Buffer {
  const packet: IDisconnectPacket = { cmd: 'disconnect', reasonCode };
  if (why !== '') packet.properties = { reasonString: clip(why) };
  return encode(packet, 5);
}

/** A reason string in a packet that stays small, whole characters only. */
export function clip(why: string): string {
  if (Buffer.byteLength(why) <= REASON_BYTES_MAX) return why;
  const bytes = Buffer.from(why).subarray(0, REASON_BYTES_MAX);
  // The last character may have been cut.
  return `${bytes.toString('utf8').replace(/\uFFFD$/, '')}…`;
}

function encode(packet: Packet, protocolVersion: ProtocolVersion): Buffer {
  return mqtt.generate(packet, { protocolVersion });
}
