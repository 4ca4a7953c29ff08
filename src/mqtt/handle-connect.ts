import { randomBytes } from 'node:crypto';
import type { IConnackPacket, IConnectPacket } from 'mqtt-packet';
import { subjectToTopic } from '../core/topic.ts';
import type { User } from '../core/users.ts';
import { Client, TOPIC_ALIAS_MAX } from './client.ts';
import type { Connection } from './connection.ts';
import { login, wrongPassword } from './login.ts';
import {
  type Connect,
  decodeConnect,
  type ProtocolVersion,
  readProtocolLevel,
  versionRefused,
} from './packet-decoder.ts';
import { connack } from './packet-encoder.ts';
import { PacketError, protocolError } from './packet-error.ts';
import type { PacketFramer } from './packet-framer.ts';
import { PacketReader } from './packet-reader.ts';
import { propertiesToHeaders } from './properties.ts';
import type { Properties } from './property-reader.ts';
import { reason, returnCode } from './reason-codes.ts';
import { withResponses } from './response-rights.ts';
import type { Will } from './will.ts';

/** Devices use serial numbers, names and UUIDs; longer ones only fill logs and tables. [MQTT-3.1.3-5] asks for 23. */
const CLIENT_ID_BYTES_MAX = 256;
/** Of a client that does not say [MQTT5 3.1.2.11.3]. */
const RECEIVE_MAXIMUM = 65_535;
/** Above this level it is not a later version but a bridge of mosquitto, which takes a refusal in words of 3.1.1. */
const PRIVATE_LEVEL = 0x80;

/**
 * CONNECT [MQTT-3.1]. Who the client is, is found out before anything else of it counts.
 */
export function handleConnect(connection: Connection, { bytes, start, body, end }: PacketFramer): void {
  const reader = new PacketReader(bytes, body, end);
  const level = readProtocolLevel(reader);
  const version = level >= 5 && level < PRIVATE_LEVEL ? 5 : 4;
  connection.version = version;
  if (level !== 4 && level !== 5) throw versionRefused(level);
  if (!connection.context.connectRate.take(connection.address)) {
    throw new PacketError(reason.connectionRateExceeded, 'clients connect faster than is allowed', {
      hint: 'a client that loses its connection should wait before it tries again; or raise mqtt.connect_rate',
      returnCode: returnCode.serverUnavailable,
    });
  }
  const connect = decodeConnect(reader, version, start);
  connection.packetBytesMax = connect.properties.packetBytesMax ?? Number.POSITIVE_INFINITY;
  if (connect.properties.authenticationMethod !== undefined) {
    throw new PacketError(reason.badAuthenticationMethod, 'enhanced authentication is not supported', {
      hint: 'take the authentication method out of the settings of the client',
    });
  }
  const clientId = clientIdOf(connect.packet, version);
  const user = login(connection, connect.packet, clientId);
  if (user instanceof Promise) {
    connection.waitForLogin(user, (found) => {
      if (found === null) throw wrongPassword();
      admit(connection, connect, version, clientId, found);
    });
  } else admit(connection, connect, version, clientId, user);
}

/** The client is who it says; now what it asks for. */
function admit(
  connection: Connection,
  connect: Connect,
  version: ProtocolVersion,
  clientId: string,
  user: User | null,
): void {
  const { packet, properties } = connect;
  const { options, sessions, requests } = connection.context;
  const rights = properties.requestResponse === 1 ? withResponses(user, requests.responseSubject(clientId)) : user;
  const will = readWill(connection, connect, user);
  const receiveMaximum = Math.min(properties.receiveMaximum ?? RECEIVE_MAXIMUM, options.inflightMax);
  makeRoom(connection, clientId, user);
  const isClean = packet.clean !== false;
  // A session of 3.1.1 has no end of its own: it gets the longest that there is.
  const wantedS = version === 5 ? (properties.sessionExpiryS ?? 0) : isClean ? 0 : Number.POSITIVE_INFINITY;
  const expiryS = sessions.grantedExpiryS(wantedS);
  const { session, isPresent } = sessions.open({ clientId, user, isClean, expiryS, will });
  const client = new Client(connection, session, {
    user: rights,
    version,
    keepAliveMs: keepAliveS(packet, version, options.keepAliveMaxS) * 1000,
    packetBytesMax: properties.packetBytesMax ?? Number.POSITIVE_INFINITY,
    topicAliasMaximum: properties.topicAliasMaximum ?? 0,
    wantsProblems: properties.requestProblem !== 0,
    receiveMaximum,
    sessionExpiryS: properties.sessionExpiryS ?? 0,
  });
  const answer = connack(version, isPresent, version === 5 ? connackProperties(client, packet, properties) : {});
  if (answer.length > client.packetBytesMax) {
    // Nothing can be said to it, not even why. [MQTT-3.1.2-24]
    connection.context.counters.featuresRefused++;
    session.will = null;
    sessions.left(session);
    connection.end(null);
    return;
  }
  connection.accept(client);
  connection.answer(answer);
  client.join();
  noteWishes(client, connect);
}

function clientIdOf({ clientId, clean }: IConnectPacket, version: number): string {
  if (Buffer.byteLength(clientId) > CLIENT_ID_BYTES_MAX) {
    throw new PacketError(reason.clientIdInvalid, `the client identifier is longer than ${CLIENT_ID_BYTES_MAX} bytes`, {
      returnCode: returnCode.identifierRejected,
    });
  }
  if (clientId !== '') return clientId;
  // [MQTT-3.1.3-8]
  if (version === 4 && clean === false) {
    throw new PacketError(reason.clientIdInvalid, 'a client without an identifier asks for its old session', {
      hint: 'give the client an identifier, or set clean session',
      returnCode: returnCode.identifierRejected,
    });
  }
  // [MQTT-3.1.3-6]
  return `petiole-${randomBytes(8).toString('hex')}`;
}

/** A server can lower a keep alive only in MQTT 5 [MQTT-3.1.2-21]. */
function keepAliveS({ keepalive = 0 }: IConnectPacket, version: number, maxS: number): number {
  return version === 5 && (keepalive === 0 || keepalive > maxS) ? maxS : keepalive;
}

/** The same client again takes the place of its old connection [MQTT-3.1.4-3]; another one needs a free place. */
function makeRoom({ context }: Connection, clientId: string, user: User | null): void {
  const { clients, options } = context;
  const old = clients.get(clientId);
  if (old !== undefined && (old.client?.user?.name ?? null) !== (user?.name ?? null)) {
    throw new PacketError(reason.clientIdInvalid, 'the client identifier is in use by another user', {
      hint: 'two devices with different users have one identifier: give each its own',
      returnCode: returnCode.identifierRejected,
    });
  }
  if (old !== undefined) {
    old.fail(
      new PacketError(reason.takenOver, 'another connection has the same client identifier', {
        hint: 'if this repeats, two devices have one identifier: give each its own',
      }),
    );
  } else if (clients.size >= options.connectionsMax) {
    throw new PacketError(
      reason.quotaExceeded,
      `${options.connectionsMax} clients are connected, and no more allowed`,
      {
        hint: 'raise mqtt.connections_max',
        returnCode: returnCode.serverUnavailable,
      },
    );
  }
}

function connackProperties(
  client: Client,
  { clientId, keepalive = 0 }: IConnectPacket,
  { sessionExpiryS = 0, requestResponse = 0 }: Properties,
): NonNullable<IConnackPacket['properties']> {
  const { options } = client.connection.context;
  const keepAlive = client.keepAliveMs / 1000;
  return {
    // [MQTT-3.2.2-21]: absent, it is what the client asked for.
    ...(sessionExpiryS !== client.session.expiryS && { sessionExpiryInterval: client.session.expiryS }),
    receiveMaximum: options.inflightMax,
    retainAvailable: client.connection.context.retained !== null,
    maximumPacketSize: options.packetBytesMax,
    ...(clientId === '' && { assignedClientIdentifier: client.party.name }),
    ...(requestResponse === 1 && { responseInformation: responseTopics(client) }),
    topicAliasMaximum: TOPIC_ALIAS_MAX,
    ...(keepAlive !== keepalive && { serverKeepAlive: keepAlive }),
  };
}

/** With this in front its response topics are its own. */
function responseTopics({ party, connection }: Client): string {
  return `${subjectToTopic(connection.context.requests.responseSubject(party.name))}/`;
}

/** What a client of 3.1.1 asks for and cannot be refused; one line each in the log. */
function noteWishes(client: Client, { packet }: Connect): void {
  if (client.version === 5) return;
  if (packet.clean === false && !client.session.isPersistent) {
    client.note('clean session 0', 'a client asks for a session that outlives its connection: it gets a clean one');
  }
  if (packet.will?.retain === true && client.connection.context.retained === null) client.retainIgnored();
}

/** The checks of a PUBLISH, before there is a client. */
function readWill(
  { version, context }: Connection,
  { packet, willProperties }: Connect,
  user: User | null,
): Will | null {
  const { will } = packet;
  if (will === undefined) return null;
  const isRetained = will.retain === true && context.retained !== null;
  if (version === 5 && will.retain === true && !isRetained) {
    // [MQTT-3.2.2-13]
    throw new PacketError(reason.retainNotSupported, 'the will is to be retained', {
      hint: 'clear its retain flag, or set mqtt.retained to on',
    });
  }
  const topic = Buffer.from(will.topic);
  const { subject, refusal, why } = context.permits.topicsOf(user).read(topic, 0, topic.length);
  if (refusal !== 0) {
    const isForbidden = refusal === reason.notAuthorized;
    throw new PacketError(refusal, `the will: ${why}`, {
      hint: 'give the will another topic',
      returnCode: isForbidden ? returnCode.notAuthorized : returnCode.none,
    });
  }
  if (typeof will.payload === 'string') throw protocolError('the will has no payload');
  const payload = Buffer.from(will.payload);
  return {
    subject,
    headers: propertiesToHeaders(willProperties),
    payload,
    retain: isRetained,
    qos: will.qos ?? 0,
    delayS: willProperties.willDelayS ?? 0,
  };
}
