import { buildHeaders, headerStatus, headerValue, isHeaderKey } from '../core/headers.ts';
import { NO_HEADERS } from '../core/message.ts';
import { isTopicName } from '../core/topic.ts';
import type { Properties } from './property-reader.ts';

/*
 * The properties of an MQTT 5 PUBLISH as the header block of its message, and back without loss
 * [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]:
 *
 *   Payload Format Indicator    Mqtt-Payload-Format: 0 | 1
 *   Message Expiry Interval     Mqtt-Message-Expiry: <seconds>
 *   Content Type                Content-Type: <text>
 *   Response Topic              Mqtt-Response-Topic: <topic name, as in MQTT>
 *   Correlation Data            Mqtt-Correlation-Data: <base64>
 *   User Property               <name>: <value>, in order, duplicates kept
 *
 * Topic Alias and Subscription Identifier belong to one connection and stay there. An MQTT subscriber gets every other
 * header of a NATS publisher as a user property.
 *
 * Escapes, as bytes of UTF-8 in %XX:
 *   in a name     all but visible ASCII, `:` and `%`; the empty name is a lone `%`. A name that means something to the hub
 *                 or to this table (Nats-, Nmqtt-, Mqtt-, Petiole-, Content-Type, in any case) has its first letter
 *                 escaped: no device can pass for the box or set what a stream acts on.
 *   in a value    CR, LF, and a `%` that would be read as an escape; what is behind the colon and one blank is the value
 */

const PAYLOAD_FORMAT = 'Mqtt-Payload-Format';
const MESSAGE_EXPIRY = 'Mqtt-Message-Expiry';
const CONTENT_TYPE = 'Content-Type';
export const RESPONSE_TOPIC = 'Mqtt-Response-Topic';
export const CORRELATION_DATA = 'Mqtt-Correlation-Data';

const RESERVED_NAME = /^(?:nats-|nmqtt-|mqtt-|petiole-|content-type$)/i;
const EMPTY_NAME = '%';
const FIELD_BYTES_MAX = 65_535;
const UINT32_MAX = 0xffff_ffff;
const VARINT_BYTES_MAX = 4;

const NOTHING = Buffer.alloc(0);

/** The header block of a PUBLISH or a will; NO_HEADERS where nothing is to be carried. */
export function propertiesToHeaders(properties: Properties): Buffer {
  const { payloadFormat, messageExpiryS, contentType, responseTopic, correlationData, user } = properties;
  const pairs: [string, string][] = [];
  if (payloadFormat !== undefined) pairs.push([PAYLOAD_FORMAT, String(payloadFormat)]);
  if (messageExpiryS !== undefined) pairs.push([MESSAGE_EXPIRY, String(messageExpiryS)]);
  if (contentType !== undefined) pairs.push([CONTENT_TYPE, escapeValue(contentType)]);
  if (responseTopic !== undefined) pairs.push([RESPONSE_TOPIC, escapeValue(responseTopic)]);
  if (correlationData !== undefined) pairs.push([CORRELATION_DATA, correlationData.toString('base64')]);
  for (const [name, value] of user ?? []) pairs.push([escapeName(name), escapeValue(value)]);
  return pairs.length === 0 ? NO_HEADERS : buildHeaders(pairs);
}

/**
 * The properties of an outgoing PUBLISH, without their length. A header that MQTT cannot carry (U+0000, too long, a
 * value that is not what its name says) is left out. `remainingS`: what is left of the Message Expiry Interval of a message
 * that has waited [MQTT-3.3.2-6].
 */
export function headersToProperties(headers: Buffer, remainingS: number | null = null): Buffer {
  if (headers.length === 0 || headerStatus(headers) !== 0) return NOTHING;
  const parts: Buffer[] = [];
  const once = new Set<string>();
  for (const line of headers.toString('utf8').split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const key = line.slice(0, colon);
    // Not trimmed, as elsewhere: white space at the ends of a user property is part of it.
    const value = line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    const encode = fixedProperties.get(key);
    if (encode === undefined) {
      parts.push(userProperty(unescapeName(key), unescapeText(value)));
    } else if (!once.has(key)) {
      // Twice would be a protocol error [MQTT5 3.3.2.3]; a NATS publisher may have done it.
      once.add(key);
      parts.push(encode(key === MESSAGE_EXPIRY && remainingS !== null ? String(remainingS) : value));
    }
  }
  return Buffer.concat(parts);
}

const fixedProperties: ReadonlyMap<string, (value: string) => Buffer> = new Map([
  [PAYLOAD_FORMAT, (value) => (value === '0' || value === '1' ? Buffer.of(0x01, Number(value)) : NOTHING)],
  [MESSAGE_EXPIRY, expiryProperty],
  [CONTENT_TYPE, (value) => textProperty(0x03, unescapeText(value))],
  // [MQTT-3.3.2-14]
  [RESPONSE_TOPIC, (value) => (isTopicName(unescapeText(value)) ? textProperty(0x08, unescapeText(value)) : NOTHING)],
  [CORRELATION_DATA, (value) => field(0x09, Buffer.from(value, 'base64'))],
]);

/** The Message Expiry Interval of a header block, in seconds; null for none. */
export function expiryS(headers: Buffer): number | null {
  const value = headerValue(headers, MESSAGE_EXPIRY);
  return value !== null && isUint32(value) ? Number(value) : null;
}

/** A wall clock before this is a clock without a battery: what it stamps does not expire, since its age is not known. */
export const CLOCK_FLOOR_MS: number = Date.UTC(2026, 0, 1);

/** When a message of that time expires, on the wall clock in milliseconds; 0 for never. */
export function expiresMs(headers: Buffer, receivedAtMs: number): number {
  if (headers.length === 0 || receivedAtMs < CLOCK_FLOOR_MS) return 0;
  const seconds = expiryS(headers);
  return seconds === null ? 0 : receivedAtMs + seconds * 1000;
}

function isUint32(value: string): boolean {
  return /^\d{1,10}$/.test(value) && Number(value) <= UINT32_MAX;
}

/** Of a live message sent as it came: it has not waited, so nothing is to be taken off [MQTT-3.3.2-6]. */
function expiryProperty(value: string): Buffer {
  if (!isUint32(value)) return NOTHING;
  const bytes = Buffer.alloc(5);
  bytes[0] = 0x02;
  bytes.writeUInt32BE(Number(value), 1);
  return bytes;
}

function textProperty(identifier: number, text: string): Buffer {
  return text.includes('\0') ? NOTHING : field(identifier, Buffer.from(text));
}

function userProperty(name: string, value: string): Buffer {
  if (name.includes('\0') || value.includes('\0')) return NOTHING;
  const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
  if (nameBytes.length > FIELD_BYTES_MAX || valueBytes.length > FIELD_BYTES_MAX) return NOTHING;
  return Buffer.concat([field(0x26, nameBytes), uint16(valueBytes.length), valueBytes]);
}

function field(identifier: number, bytes: Buffer): Buffer {
  if (bytes.length > FIELD_BYTES_MAX) return NOTHING;
  return Buffer.concat([Buffer.of(identifier), uint16(bytes.length), bytes]);
}

function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

/** The Subscription Identifier of an outgoing PUBLISH [MQTT-3.3.4-3]. */
export function subscriptionIdentifierProperty(identifier: number): Buffer {
  return Buffer.concat([Buffer.of(0x0b), varint(identifier)]);
}

/** The Topic Alias of an outgoing PUBLISH [MQTT5 3.3.2.3.4]. */
export function topicAliasProperty(alias: number): Buffer {
  return Buffer.of(0x23, alias >> 8, alias & 0xff);
}

/** Variable byte integer [MQTT-1.5.5]. */
export function varint(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(VARINT_BYTES_MAX);
  return bytes.subarray(0, writeVarint(bytes, value, 0));
}

/** Returns where the next byte goes. */
export function writeVarint(bytes: Buffer, value: number, start: number): number {
  let at = start;
  let rest = value;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

function escapeName(name: string): string {
  if (name === '') return EMPTY_NAME;
  const first = RESERVED_NAME.test(name) ? percent(name.slice(0, 1)) : '';
  const rest = first === '' ? name : name.slice(1);
  if (isHeaderKey(rest) && !rest.includes('%')) return first + rest;
  return first + rest.replace(/[^!-9;-~]+|%/g, percent);
}

function unescapeName(key: string): string {
  return key === EMPTY_NAME ? '' : unescapeText(key);
}

function escapeValue(value: string): string {
  return value.replace(/[\r\n]+|%(?=[0-9A-F]{2})/g, percent);
}

function percent(text: string): string {
  return Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

function unescapeText(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/(?:%[0-9A-F]{2})+/g, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'));
}
