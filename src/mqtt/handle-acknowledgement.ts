import type { Client } from './client.ts';
import { readPacketIdentifier } from './packet-decoder.ts';
import { pubcomp } from './packet-encoder.ts';
import { malformed, protocolError } from './packet-error.ts';
import type { PacketFramer } from './packet-framer.ts';
import { PacketReader } from './packet-reader.ts';
import { place, readProperties } from './property-reader.ts';
import { packetType } from './reason-codes.ts';

/**
 * PUBACK, PUBREC, PUBREL, PUBCOMP. Messages go out at QoS 0, so there is nothing that a client could acknowledge. A
 * PUBREL may be the end of a QoS 2 exchange that the client began with another server: it is told that nothing is known
 * here, and goes on.
 */
export function handleAcknowledgement(client: Client, type: number, { bytes, body, end }: PacketFramer): void {
  if (type !== packetType.pubrel) throw protocolError('a client acknowledges a packet that was never sent');
  const reader = new PacketReader(bytes, body, end);
  const packetIdentifier = readPacketIdentifier(reader);
  if (client.version === 4 && reader.rest > 0) throw malformed('a PUBREL has more than a packet identifier');
  if (reader.rest > 0) reader.uint8('reason code');
  if (reader.rest > 0) readProperties(reader, place.acknowledge);
  reader.finish('PUBREL');
  client.connection.answer(pubcomp(client.version, packetIdentifier));
}
