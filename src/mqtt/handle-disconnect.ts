import type { Client } from './client.ts';
import { malformed, protocolError } from './packet-error.ts';
import type { PacketFramer } from './packet-framer.ts';
import { PacketReader } from './packet-reader.ts';
import { place, readProperties } from './property-reader.ts';
import { clientDisconnectCodes, reason } from './reason-codes.ts';

/** DISCONNECT [MQTT-3.14]: the normal one takes the will away, every other reason leaves it to be published. */
export function handleDisconnect(client: Client, { bytes, body, end }: PacketFramer): void {
  const reasonCode = client.version === 5 ? readReason(client, new PacketReader(bytes, body, end)) : reason.success;
  if (client.version === 4 && body !== end) throw malformed('a DISCONNECT has a body');
  // [MQTT-3.14.4-3]
  if (reasonCode === reason.success) client.discardWill();
  client.connection.end(null);
}

function readReason(client: Client, reader: PacketReader): number {
  if (reader.rest === 0) return reason.success;
  const reasonCode = reader.uint8('reason code');
  if (!clientDisconnectCodes.has(reasonCode)) {
    throw protocolError(`reason code 0x${reasonCode.toString(16)} is not for the DISCONNECT of a client`);
  }
  if (reader.rest > 0) {
    const { sessionExpiryS } = readProperties(reader, place.disconnect);
    reader.finish('DISCONNECT');
    if (sessionExpiryS === undefined) return reasonCode;
    // [MQTT5 3.14.2.2.2]
    if (sessionExpiryS > 0 && client.sessionExpiryS === 0) {
      throw protocolError('a DISCONNECT sets a Session Expiry Interval and the CONNECT had none');
    }
    client.connection.context.sessions.setExpiry(client.session, sessionExpiryS);
  }
  return reasonCode;
}
