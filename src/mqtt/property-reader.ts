import { isTopicName } from '../core/topic.ts';
import { malformed, protocolError } from './packet-error.ts';
import type { PacketReader } from './packet-reader.ts';

/** The properties of one packet as they came, the user properties in their order [MQTT-3.3.2-18]. */
export interface Properties {
  payloadFormat?: number;
  messageExpiryS?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Buffer;
  subscriptionIdentifier?: number;
  sessionExpiryS?: number;
  authenticationMethod?: string;
  authenticationData?: Buffer;
  requestProblem?: number;
  willDelayS?: number;
  requestResponse?: number;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  packetBytesMax?: number;
  user?: [name: string, value: string][];
}

/** Where properties stand: bits, so that the table can say for each property where it may. */
export const place = {
  connect: 1,
  will: 2,
  publish: 4,
  acknowledge: 8,
  subscribe: 16,
  unsubscribe: 32,
  disconnect: 64,
} as const;

type Field = Exclude<keyof Properties, 'user'>;
type Type = 'uint8' | 'flag' | 'uint16' | 'uint32' | 'varint' | 'utf8' | 'binary';

interface Kind {
  readonly field: Field;
  readonly label: string;
  readonly type: Type;
  readonly places: number;
  /** 0 is a protocol error. */
  readonly isPositive: boolean;
}

const USER_PROPERTY = 0x26;
/** Each costs an array and two strings: hundreds of times its bytes, were they tiny. Real devices send a handful. */
const USER_PROPERTIES_MAX = 256;

const both = place.will | place.publish;

/** What a client may send, after [MQTT5 2.2.2.2]; user properties may stand everywhere. */
const kinds: ReadonlyMap<number, Kind> = new Map([
  [0x01, kind('payloadFormat', 'Payload Format Indicator', 'flag', both)],
  [0x02, kind('messageExpiryS', 'Message Expiry Interval', 'uint32', both)],
  [0x03, kind('contentType', 'Content Type', 'utf8', both)],
  [0x08, kind('responseTopic', 'Response Topic', 'utf8', both)],
  [0x09, kind('correlationData', 'Correlation Data', 'binary', both)],
  // In a PUBLISH only of a server: for the handler to say. [MQTT-3.3.4-6]
  [0x0b, kind('subscriptionIdentifier', 'Subscription Identifier', 'varint', place.subscribe | place.publish, true)],
  [0x11, kind('sessionExpiryS', 'Session Expiry Interval', 'uint32', place.connect | place.disconnect)],
  [0x15, kind('authenticationMethod', 'Authentication Method', 'utf8', place.connect)],
  [0x16, kind('authenticationData', 'Authentication Data', 'binary', place.connect)],
  [0x17, kind('requestProblem', 'Request Problem Information', 'flag', place.connect)],
  [0x18, kind('willDelayS', 'Will Delay Interval', 'uint32', place.will)],
  [0x19, kind('requestResponse', 'Request Response Information', 'flag', place.connect)],
  [0x1f, kind('reasonString', 'Reason String', 'utf8', place.acknowledge | place.disconnect)],
  [0x21, kind('receiveMaximum', 'Receive Maximum', 'uint16', place.connect, true)],
  [0x22, kind('topicAliasMaximum', 'Topic Alias Maximum', 'uint16', place.connect)],
  // Alias 0 has a reason code of its own, so the handler judges it. [MQTT-3.3.2-8]
  [0x23, kind('topicAlias', 'Topic Alias', 'uint16', place.publish)],
  [0x27, kind('packetBytesMax', 'Maximum Packet Size', 'uint32', place.connect, true)],
]);

function kind(field: Field, label: string, type: Type, places: number, isPositive = false): Kind {
  return { field, label, type, places, isPositive };
}

/**
 * Reads the property length and what it covers. `where` is one of `place`. Throws a PacketError: 0x81 for what cannot be
 * read or does not belong there, 0x82 for a duplicate or a forbidden value.
 */
export function readProperties(reader: PacketReader, where: number): Properties {
  const length = reader.varint('property length');
  const end = reader.at + length;
  if (end > reader.end) throw malformed('the properties are longer than their packet');
  const properties: Properties = {};
  while (reader.at < end) readProperty(reader, where, properties);
  if (reader.at > end) throw malformed('a property is longer than the property length says');
  return properties;
}

function readProperty(reader: PacketReader, where: number, properties: Properties): void {
  const identifier = reader.uint8('property identifier');
  if (identifier === USER_PROPERTY) {
    properties.user ??= [];
    if (properties.user.length === USER_PROPERTIES_MAX) {
      throw protocolError(`there are more than ${USER_PROPERTIES_MAX} user properties`, 'put them into the payload');
    }
    properties.user.push([reader.utf8('name of a user property'), reader.utf8('value of a user property')]);
    return;
  }
  const known = kinds.get(identifier);
  if (known === undefined || (known.places & where) === 0) {
    throw malformed(`property 0x${identifier.toString(16).padStart(2, '0')} does not belong there`);
  }
  const { field, label, type, isPositive } = known;
  if (properties[field] !== undefined) throw protocolError(`the ${label} is there twice`);
  const value = readValue(reader, type, label);
  if (isPositive && value === 0) throw protocolError(`the ${label} is 0`);
  // [MQTT-3.3.2-14]
  if (field === 'responseTopic' && !isTopicName(String(value))) {
    throw protocolError('the Response Topic is empty or has a wildcard');
  }
  Object.assign(properties, { [field]: value });
}

function readValue(reader: PacketReader, type: Type, label: string): number | string | Buffer {
  if (type !== 'flag') return reader[type](label);
  const value = reader.uint8(label);
  if (value > 1) throw protocolError(`the ${label} is ${value} and must be 0 or 1`);
  return value;
}
