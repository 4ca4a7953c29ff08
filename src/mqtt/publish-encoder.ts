import type { Message } from '../core/message.ts';
import type { ProtocolVersion } from './packet-decoder.ts';
import { headersToProperties, subscriptionIdentifierProperty, topicAliasProperty, writeVarint } from './properties.ts';
import type { RetainedMessage } from './retained-port.ts';
import { type TopicNames, topicField } from './topic-names.ts';

/** What of a message goes into a PUBLISH. */
export interface Content {
  readonly subject: string;
  readonly headers: Buffer;
  readonly payload: Buffer;
}

/** QoS 0, not retained, no DUP. */
const PUBLISH = 0x30;
const RETAIN = 0x01;
/** First byte and the longest remaining length. */
const HEADER_BYTES_MAX = 5;

const NOTHING = Buffer.alloc(0);
/** Its length, 0. */
const NO_TOPIC = Buffer.alloc(2);

/**
 * Makes the outgoing PUBLISH of a message. The router gives one message to all its subscribers in a row, so the packet of
 * the last message is kept: encoded once for each protocol version, its bytes are shared by all of them.
 */
export class PublishEncoder {
  readonly #topics: TopicNames;
  #message: Content | null = null;
  #topic: Buffer | null = null;
  #properties: Buffer | null = null;
  #version4: Buffer | null = null;
  #version5: Buffer | null = null;
  /** With room for a packet identifier. */
  #identified4: Buffer | null = null;
  #identified5: Buffer | null = null;
  /** With this alias in place of the topic name. */
  #aliased: Buffer | null = null;
  #alias = 0;

  constructor(topics: TopicNames) {
    this.#topics = topics;
  }

  /** Null where the subject has no topic name that MQTT can carry. `identifier` 0: no Subscription Identifier. */
  encode(message: Message, version: ProtocolVersion, identifier: number): Buffer | null {
    if (message !== this.#message) this.#begin(message);
    if (this.#topic === null) return null;
    if (version === 4) {
      this.#version4 ??= publish(this.#topic, null, message.payload);
      return this.#version4;
    }
    this.#properties ??= headersToProperties(message.headers);
    if (identifier > 0) {
      const properties = Buffer.concat([this.#properties, subscriptionIdentifierProperty(identifier)]);
      return publish(this.#topic, properties, message.payload);
    }
    this.#version5 ??= publish(this.#topic, this.#properties, message.payload);
    return this.#version5;
  }

  /**
   * At QoS 1 or 2: `flags` are those of the first byte (DUP 8, QoS << 1, retain 1). The caller owns the packet: two bytes
   * of each are its packet identifier. `remainingS`: what is left of the Message Expiry Interval, null where it has not
   * waited. `alias`: as for encodeAliased; 0 for none.
   */
  encodeWithIdentifier(
    content: Content,
    version: ProtocolVersion,
    identifier: number,
    flags: number,
    packetIdentifier: number,
    remainingS: number | null,
    alias = 0,
  ): Buffer | null {
    if (content !== this.#message) this.#begin(content);
    const topic = this.#topic;
    if (topic === null) return null;
    const id = Buffer.of(packetIdentifier >> 8, packetIdentifier & 0xff);
    if (version === 4 || (identifier === 0 && remainingS === null && alias === 0)) {
      this.#properties ??= version === 5 ? headersToProperties(content.headers) : null;
      let template = version === 4 ? this.#identified4 : this.#identified5;
      template ??= publish(topic, version === 4 ? null : this.#properties, content.payload, 0, id);
      if (version === 4) this.#identified4 = template;
      else this.#identified5 = template;
      const packet = Buffer.from(template);
      packet[0] = PUBLISH | flags;
      // The topic name has its length in front.
      const at = packet.length - tailBytes(version, this.#properties, content.payload) - 2;
      packet[at] = packetIdentifier >> 8;
      packet[at + 1] = packetIdentifier & 0xff;
      return packet;
    }
    const properties = withOwn(headersToProperties(content.headers, remainingS), alias, identifier);
    return publish(alias > 0 ? NO_TOPIC : topic, properties, content.payload, flags, id);
  }

  /**
   * MQTT 5, with a topic alias [MQTT-3.3.2-8]: above zero the client knows it, and the topic name is left out; below zero
   * this packet sets it. Subscribers of one topic often have one alias for it, so the last such packet is kept.
   */
  encodeAliased(message: Message, identifier: number, alias: number): Buffer | null {
    if (message !== this.#message) this.#begin(message);
    if (this.#topic === null) return null;
    if (identifier === 0 && alias === this.#alias && this.#aliased !== null) return this.#aliased;
    this.#properties ??= headersToProperties(message.headers);
    const packet = publish(
      alias > 0 ? NO_TOPIC : this.#topic,
      withOwn(this.#properties, alias, identifier),
      message.payload,
    );
    if (identifier > 0) return packet;
    this.#alias = alias;
    this.#aliased = packet;
    return packet;
  }

  /** With the retain flag, for Retain As Published; not remembered, because bridges ask for it and hardly anybody else. */
  encodeRetained(message: Message, version: ProtocolVersion, identifier: number): Buffer | null {
    const packet = this.encode(message, version, identifier);
    if (packet === null) return null;
    const own = Buffer.from(packet);
    own[0] = PUBLISH | RETAIN;
    return own;
  }

  #begin(message: Content): void {
    this.#message = message;
    this.#topic = this.#topics.topicOf(message.subject);
    this.#properties = null;
    this.#version4 = null;
    this.#version5 = null;
    this.#identified4 = null;
    this.#identified5 = null;
    this.#aliased = null;
  }
}

/** With the properties of one connection behind those of the message. */
function withOwn(properties: Buffer, alias: number, identifier: number): Buffer {
  const parts = [properties];
  if (alias !== 0) parts.push(topicAliasProperty(Math.abs(alias)));
  if (identifier > 0) parts.push(subscriptionIdentifierProperty(identifier));
  return Buffer.concat(parts);
}

/** What stands behind the packet identifier. */
function tailBytes(version: ProtocolVersion, properties: Buffer | null, payload: Buffer): number {
  if (version === 4) return payload.length;
  const length = properties?.length ?? 0;
  return varintBytes(length) + length + payload.length;
}

/** The PUBLISH of a retained message to a new subscriber [MQTT-3.3.1-8]; it lives `remainingS` more, null for ever. */
export function encodeRetained(
  { subject, headers, payload }: RetainedMessage,
  version: ProtocolVersion,
  identifier: number,
  remainingS: number | null,
): Buffer | null {
  const topic = topicField(subject);
  if (topic === null) return null;
  if (version === 4) return publish(topic, null, payload, RETAIN);
  let properties = headersToProperties(headers, remainingS);
  if (identifier > 0) properties = Buffer.concat([properties, subscriptionIdentifierProperty(identifier)]);
  return publish(topic, properties, payload, RETAIN);
}

/** `topic` has its length in front; `properties` are null in 3.1.1; `id` is the packet identifier, empty at QoS 0. */
function publish(topic: Buffer, properties: Buffer | null, payload: Buffer, flags = 0, id: Buffer = NOTHING): Buffer {
  const lengthBytes = properties === null ? 0 : varintBytes(properties.length);
  const remaining = topic.length + id.length + lengthBytes + (properties ?? NOTHING).length + payload.length;
  const packet = Buffer.allocUnsafe(HEADER_BYTES_MAX + remaining);
  packet[0] = PUBLISH | flags;
  let at = writeVarint(packet, remaining, 1);
  at += topic.copy(packet, at);
  if (id.length > 0) at += id.copy(packet, at);
  if (properties !== null) {
    at = writeVarint(packet, properties.length, at);
    at += properties.copy(packet, at);
  }
  at += payload.copy(packet, at);
  return packet.subarray(0, at);
}

function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}
