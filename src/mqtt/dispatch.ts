import type { Client } from './client.ts';
import { handleAcknowledgement } from './handle-acknowledgement.ts';
import { handleDisconnect } from './handle-disconnect.ts';
import { handlePublish } from './handle-publish.ts';
import { handleSubscribe } from './handle-subscribe.ts';
import { handleUnsubscribe } from './handle-unsubscribe.ts';
import { pingresp } from './packet-encoder.ts';
import { malformed, protocolError } from './packet-error.ts';
import type { PacketFramer } from './packet-framer.ts';
import { packetType } from './reason-codes.ts';

/** Gives a packet of a connected client to the file of its family. Throws a PacketError for what ends the connection. */
export function dispatch(client: Client, framer: PacketFramer): void {
  const type = (framer.bytes[framer.start] ?? 0) >> 4;
  switch (type) {
    case packetType.publish:
      handlePublish(client, framer);
      return;
    case packetType.pingreq:
      if (framer.end !== framer.body) throw malformed('a PINGREQ has a body');
      client.connection.answer(pingresp);
      return;
    case packetType.subscribe:
      handleSubscribe(client, framer);
      return;
    case packetType.unsubscribe:
      handleUnsubscribe(client, framer);
      return;
    case packetType.disconnect:
      handleDisconnect(client, framer);
      return;
    case packetType.puback:
    case packetType.pubrec:
    case packetType.pubrel:
    case packetType.pubcomp:
      handleAcknowledgement(client, type, framer);
      return;
    case packetType.connect:
      // [MQTT-3.1.0-2]
      throw protocolError('there is a second CONNECT', 'the client library is broken: update it');
    case packetType.auth:
      throw protocolError('there is an AUTH packet, and the CONNECT had no authentication method');
    default:
      throw protocolError(`packet type ${type} is not for a server`);
  }
}
