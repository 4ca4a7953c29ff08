import type { Message } from '../core/message.ts';
import type { ProtocolVersion } from './packet-decoder.ts';
import { headersToProperties, subscriptionIdentifierProperty, writeVarint } from './properties.ts';
import type { RetainedMessage } from './retained-port.ts';
import { type TopicNames, topicField } from './topic-names.ts';

/** QoS 0, not retained, no DUP. */
const PUBLISH = 0x30;
const RETAIN = 0x01;
/** First byte and the longest remaining length. */
const HEADER_BYTES_MAX = 5;

const NOTHING = Buffer.alloc(0);

/**
 * Makes the outgoing PUBLISH of a message. The router gives one message to all its subscribers in a row, so the packet of
 * the last message is kept: encoded once for each protocol version, its bytes are shared by all of them.
 */
export class PublishEncoder {
  readonly #topics: TopicNames;
  #message: Message | null = null;
  #topic: Buffer | null = null;
  #properties: Buffer | null = null;
  #version4: Buffer | null = null;
  #version5: Buffer | null = null;

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

  /** With the retain flag, for Retain As Published; not remembered, because bridges ask for it and hardly anybody else. */
  encodeRetained(message: Message, version: ProtocolVersion, identifier: number): Buffer | null {
    const packet = this.encode(message, version, identifier);
    if (packet === null) return null;
    const own = Buffer.from(packet);
    own[0] = PUBLISH | RETAIN;
    return own;
  }

  #begin(message: Message): void {
    this.#message = message;
    this.#topic = this.#topics.topicOf(message.subject);
    this.#properties = null;
    this.#version4 = null;
    this.#version5 = null;
  }
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

/** `topic` has its length in front; `properties` are null in 3.1.1. */
function publish(topic: Buffer, properties: Buffer | null, payload: Buffer, flags = 0): Buffer {
  const lengthBytes = properties === null ? 0 : varintBytes(properties.length);
  const remaining = topic.length + lengthBytes + (properties ?? NOTHING).length + payload.length;
  const packet = Buffer.allocUnsafe(HEADER_BYTES_MAX + remaining);
  packet[0] = PUBLISH | flags;
  let at = writeVarint(packet, remaining, 1);
  at += topic.copy(packet, at);
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
