import { type Message, NO_HEADERS } from '../core/message.ts';
import { type Client, TOPIC_ALIAS_MAX } from './client.ts';
import { malformed, PacketError, protocolError } from './packet-error.ts';
import type { PacketFramer } from './packet-framer.ts';
import { PacketReader } from './packet-reader.ts';
import { propertiesToHeaders } from './properties.ts';
import { type Properties, place, readProperties } from './property-reader.ts';
import { reason } from './reason-codes.ts';
import { publishOnce, publishRetained } from './retain.ts';
import type { TopicName } from './topic-names.ts';

const RETAIN = 0x01;
const DUP = 0x08;

/**
 * PUBLISH [MQTT-3.3], the hot path. The fields are read where they lie: topic name to its remembered subject, payload as
 * a part of the chunk, and no properties cost nothing. The PUBACK comes from the receipt (inbound.ts).
 *
 *   first byte │ topic name │ packet identifier (QoS 1, 2) │ properties (MQTT 5) │ payload
 */
export function handlePublish(client: Client, { bytes, start, body, end }: PacketFramer): void {
  const { context, nowMs } = client.connection;
  const first = bytes[start] ?? 0;
  const qos = (first >> 1) & 3;
  checkFlags(client, first, qos);
  if (body + 2 > end) throw malformed('the packet ends within the topic name');
  const topicStart = body + 2;
  let at = topicStart + (((bytes[body] ?? 0) << 8) | (bytes[body + 1] ?? 0));
  if (at > end) throw malformed('the packet ends within the topic name');
  let name = at === topicStart ? null : client.topics.read(bytes, topicStart, at);
  let packetIdentifier = 0;
  if (qos > 0) {
    if (at + 2 > end) throw malformed('the packet ends within the packet identifier');
    packetIdentifier = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    // [MQTT-2.2.1-3]
    if (packetIdentifier === 0) throw protocolError('the packet identifier is 0');
    at += 2;
    if (client.version === 5 && client.inbound.isAtReceiveMaximum(qos, packetIdentifier)) exceeded(client);
  }
  let headers = NO_HEADERS;
  let request: Properties | null = null;
  if (client.version === 5) {
    if (at < end && bytes[at] === 0) {
      at++;
    } else {
      const reader = new PacketReader(bytes, at, end);
      const properties = readProperties(reader, place.publish);
      // [MQTT-3.3.4-6]
      if (properties.subscriptionIdentifier !== undefined)
        throw protocolError('a client sets a Subscription Identifier');
      if (properties.topicAlias !== undefined) name = resolveAlias(client, properties.topicAlias, name);
      headers = propertiesToHeaders(properties);
      if (properties.responseTopic !== undefined) request = properties;
      at = reader.at;
    }
  }
  if (name === null) {
    // [MQTT-4.7.3-1]; in MQTT 5 it takes an alias. [MQTT-3.3.2-8]
    throw client.version === 5
      ? protocolError('there is no topic name and no alias')
      : malformed('the topic name is empty');
  }
  client.messagesIn++;
  context.counters.messagesIn++;
  let { subject } = name;
  if (name.refusal !== 0) {
    const answered = name.wanted === undefined ? null : client.answerSubject(name.wanted);
    if (answered === null) {
      refuseTopic(client, name, qos, packetIdentifier);
      return;
    }
    subject = answered;
  }
  const { inbound, party } = client;
  const { router, retained } = context;
  const retain = (first & RETAIN) !== 0 && retained !== null;
  const message: Message = {
    subject,
    reply: request === null ? '' : context.requests.replyOf(client, request),
    headers,
    payload: bytes.subarray(at, end),
    receivedAtMs: nowMs,
    origin: party,
    retain,
    qos,
  };
  if (retain) publishRetained(client, retained, message, qos, packetIdentifier);
  else if (qos === 2) publishOnce(client, message, packetIdentifier);
  else router.publish(message, inbound, qos === 0 ? inbound.addQos0() : inbound.addQos1(packetIdentifier));
  if (inbound.isFull) client.connection.pauseForReceipts();
}

function checkFlags(client: Client, first: number, qos: number): void {
  // [MQTT-3.3.1-4]
  if (qos === 3) throw malformed('a PUBLISH has QoS 3');
  // [MQTT-3.3.1-2]
  if (qos === 0 && (first & DUP) !== 0) throw malformed('a PUBLISH of QoS 0 is marked as a duplicate');
  if ((first & RETAIN) === 0 || client.connection.context.retained !== null) return;
  if (client.version === 5) {
    // [MQTT-3.2.2-14]
    throw new PacketError(reason.retainNotSupported, 'retained messages are off', {
      hint: 'set mqtt.retained to on, or clear the retain flag, as the CONNACK asks (Retain Available 0)',
    });
  }
  client.retainIgnored();
}

/** [MQTT-3.3.4-9]; a client of 3.1.1 does not come here: it is not read. */
function exceeded(client: Client): never {
  const { inflightMax } = client.connection.context.options;
  throw new PacketError(
    reason.receiveMaximumExceeded,
    `more than ${inflightMax} messages without a PUBACK or PUBCOMP (Receive Maximum)`,
  );
}

/** [MQTT-3.3.2-8] to [MQTT-3.3.2-12]; aliases live as long as the connection. */
function resolveAlias(client: Client, alias: number, name: TopicName | null): TopicName {
  if (alias === 0 || alias > TOPIC_ALIAS_MAX) {
    throw new PacketError(reason.topicAliasInvalid, `topic alias ${alias} is not within 1 to ${TOPIC_ALIAS_MAX}`);
  }
  if (name !== null) {
    client.aliases[alias] = name;
    return name;
  }
  const known = client.aliases[alias];
  if (known === undefined) throw protocolError(`topic alias ${alias} stands for no topic name yet`);
  return known;
}

/**
 * A well-formed name that is not taken. QoS 0 is dropped and counted. QoS 1 and 2 of MQTT 5 are told in the PUBACK or PUBREC; of 3.1.1,
 * closed: the alternative [MQTT-3.3.5-2] would acknowledge what is not kept.
 */
function refuseTopic(client: Client, { refusal, why }: TopicName, qos: number, packetIdentifier: number): void {
  client.connection.context.counters.topicsRefused++;
  client.note(why, 'messages of a client are refused for their topic');
  if (qos === 0) return;
  if (client.version === 4) throw new PacketError(refusal, why, { hint: 'publish on another topic' });
  const { inbound } = client;
  const token = qos === 1 ? inbound.addQos1(packetIdentifier) : inbound.addQos2(packetIdentifier);
  inbound.settle(token, refusal, why);
  // [MQTT5 4.9]: a PUBREC that refuses ends the exchange.
  if (qos === 2) inbound.completeQos2(packetIdentifier);
}
