import type { Client } from './client.ts';
import { readPacketIdentifier } from './packet-decoder.ts';
import { pubcomp, pubcompUnknown } from './packet-encoder.ts';
import { malformed } from './packet-error.ts';
import type { PacketFramer } from './packet-framer.ts';
import { PacketReader } from './packet-reader.ts';
import { place, readProperties } from './property-reader.ts';
import { packetType, reason } from './reason-codes.ts';

const names: ReadonlyMap<number, string> = new Map([
  [packetType.puback, 'PUBACK'],
  [packetType.pubrec, 'PUBREC'],
  [packetType.pubrel, 'PUBREL'],
  [packetType.pubcomp, 'PUBCOMP'],
]);

/**
 * PUBACK, PUBREC, PUBREL, PUBCOMP [MQTT-3.4] to [MQTT-3.7]. One for a packet identifier that is not in use is answered as
 * the specification has it and harms nobody: clients send them late, after a reconnect.
 */
export function handleAcknowledgement(client: Client, type: number, { bytes, body, end }: PacketFramer): void {
  const { connection, session, version } = client;
  const reader = new PacketReader(bytes, body, end);
  const packetIdentifier = readPacketIdentifier(reader);
  const name = names.get(type) ?? '';
  if (version === 4 && reader.rest > 0) throw malformed(`a ${name} has more than a packet identifier`);
  const reasonCode = reader.rest > 0 ? reader.uint8('reason code') : reason.success;
  if (reader.rest > 0) readProperties(reader, place.acknowledge);
  reader.finish(name);
  switch (type) {
    case packetType.puback:
      session.outgoing.puback(packetIdentifier);
      return;
    case packetType.pubrec:
      session.outgoing.pubrec(packetIdentifier, reasonCode);
      return;
    case packetType.pubcomp:
      session.outgoing.pubcomp(packetIdentifier);
      return;
    default:
      if (!session.received.release(packetIdentifier, connection)) {
        // A session that goes on after a crash may have lost no more than the PUBCOMP: 0x92 "is not an error during recovery"
        // [MQTT5 3.7.2.1], and MQTT.js takes it for one.
        connection.answer(session.isPersistent ? pubcomp(packetIdentifier) : pubcompUnknown(version, packetIdentifier));
      }
  }
}
