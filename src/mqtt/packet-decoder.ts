import mqtt, { type IConnectPacket, type ISubscribePacket, type IUnsubscribePacket } from 'mqtt-packet';
import { malformed, PacketError, protocolError } from './packet-error.ts';
import type { PacketReader } from './packet-reader.ts';
import { type Properties, place, readProperties } from './property-reader.ts';
import { reason, returnCode } from './reason-codes.ts';

/*
 * mqtt-packet decodes CONNECT, SUBSCRIBE and UNSUBSCRIBE, after a strict walk over the same bytes: it takes text that is
 * not UTF-8, U+0000, duplicate and misplaced properties, a packet identifier 0, a password without a user name, bytes
 * after the end, and it loses the order of user properties. What passes the walk, it decodes without an error.
 * PUBLISH does not pass here: there is nothing in it to decode (see handle-publish.ts).
 */

/** 4 is MQTT 3.1.1. */
export type ProtocolVersion = 4 | 5;

const USER_NAME = 0x80;
const PASSWORD = 0x40;
const WILL_RETAIN = 0x20;
const WILL_QOS_SHIFT = 3;
const WILL = 0x04;
const RESERVED = 0x01;

const versionHint = 'set the client to MQTT 3.1.1 or 5';

export interface Connect {
  readonly packet: IConnectPacket;
  readonly properties: Properties;
  readonly willProperties: Properties;
}

export interface Subscribe {
  readonly packet: ISubscribePacket;
  readonly properties: Properties;
}

/**
 * The protocol level of a CONNECT: 3 for MQTT 3.1, otherwise as it stands there, so that the refusal can be in words the
 * client knows. Throws where the protocol is not MQTT.
 */
export function readProtocolLevel(reader: PacketReader): number {
  const name = reader.binary('protocol name').toString('latin1');
  const level = reader.uint8('protocol level');
  if (name === 'MQIsdp') return 3;
  if (name !== 'MQTT')
    throw new PacketError(reason.unsupportedVersion, 'the protocol name is not MQTT', { hint: versionHint });
  return level;
}

export function versionRefused(level: number): PacketError {
  return new PacketError(reason.unsupportedVersion, `protocol level ${level} is not supported`, {
    hint: versionHint,
    returnCode: returnCode.unacceptableVersion,
  });
}

/** `start` is that of the packet, with its fixed header. The reader stands behind the protocol level. */
export function decodeConnect(reader: PacketReader, version: ProtocolVersion, start: number): Connect {
  const flags = reader.uint8('connect flags');
  checkConnectFlags(flags, version);
  reader.uint16('keep alive');
  const properties = version === 5 ? readProperties(reader, place.connect) : {};
  reader.utf8('client identifier');
  let willProperties: Properties = {};
  if ((flags & WILL) !== 0) {
    if (version === 5) willProperties = readProperties(reader, place.will);
    reader.utf8('will topic');
    reader.binary('will payload');
  }
  if ((flags & USER_NAME) !== 0) reader.utf8('user name');
  if ((flags & PASSWORD) !== 0) reader.binary('password');
  reader.finish('CONNECT');
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError('there is Authentication Data without an Authentication Method');
  }
  return { packet: decode<IConnectPacket>(reader, start, version), properties, willProperties };
}

function checkConnectFlags(flags: number, version: ProtocolVersion): void {
  // [MQTT-3.1.2-3]
  if ((flags & RESERVED) !== 0) throw malformed('the reserved bit of the connect flags is set');
  const willQos = (flags >> WILL_QOS_SHIFT) & 3;
  // [MQTT-3.1.2-14]
  if (willQos === 3) throw malformed('the will has QoS 3');
  // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15]
  if ((flags & WILL) === 0 && (willQos > 0 || (flags & WILL_RETAIN) !== 0)) {
    throw malformed('there are flags of a will and no will');
  }
  // [MQTT-3.1.2-22]; MQTT 5 allows it.
  if (version === 4 && (flags & PASSWORD) !== 0 && (flags & USER_NAME) === 0) {
    throw malformed('there is a password without a user name');
  }
}

/** Topic filters are still to be judged, each for itself. */
export function decodeSubscribe(reader: PacketReader, version: ProtocolVersion, start: number): Subscribe {
  readPacketIdentifier(reader);
  const properties = version === 5 ? readProperties(reader, place.subscribe) : {};
  // [MQTT-3.8.3-3]
  if (reader.rest === 0) throw protocolError('the SUBSCRIBE has no topic filter');
  while (reader.rest > 0) {
    reader.utf8('topic filter');
    checkSubscriptionOptions(reader.uint8('subscription options'), version);
  }
  return { packet: decode<ISubscribePacket>(reader, start, version), properties };
}

function checkSubscriptionOptions(options: number, version: ProtocolVersion): void {
  // [MQTT-3.8.3-4] and, for 5.0, [MQTT-3.8.3-5]
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0)
    throw malformed('reserved bits of the subscription options are set');
  if ((options & 0x03) === 3) throw malformed('a subscription asks for QoS 3');
  if ((options & 0x30) === 0x30) throw protocolError('a subscription has Retain Handling 3');
}

export function decodeUnsubscribe(reader: PacketReader, version: ProtocolVersion, start: number): IUnsubscribePacket {
  readPacketIdentifier(reader);
  if (version === 5) readProperties(reader, place.unsubscribe);
  // [MQTT-3.10.3-2]
  if (reader.rest === 0) throw protocolError('the UNSUBSCRIBE has no topic filter');
  while (reader.rest > 0) reader.utf8('topic filter');
  return decode<IUnsubscribePacket>(reader, start, version);
}

/** Never 0 [MQTT-2.2.1-3]. */
export function readPacketIdentifier(reader: PacketReader): number {
  const packetIdentifier = reader.uint16('packet identifier');
  if (packetIdentifier === 0) throw protocolError('the packet identifier is 0');
  return packetIdentifier;
}

/** One parser for each packet: it is told the version, keeps nothing, and none of these packets comes often. */
function decode<T>({ bytes, end }: PacketReader, start: number, version: ProtocolVersion): T {
  let decoded: unknown;
  const parser = mqtt.parser({ protocolVersion: version });
  parser.on('packet', (packet) => {
    decoded = packet;
  });
  parser.on('error', (error: Error) => {
    throw malformed(error.message);
  });
  parser.parse(bytes.subarray(start, end));
  if (decoded === undefined) throw malformed('the packet ends too soon');
  return decoded as T;
}
