import type { Client } from './client.ts';
import { decodeUnsubscribe } from './packet-decoder.ts';
import { unsuback } from './packet-encoder.ts';
import type { PacketFramer } from './packet-framer.ts';
import { PacketReader } from './packet-reader.ts';
import { reason } from './reason-codes.ts';

/** UNSUBSCRIBE [MQTT-3.10]: filters are compared character by character [MQTT-3.10.4-1], the `$share/…/` included. */
export function handleUnsubscribe(client: Client, { bytes, start, body, end }: PacketFramer): void {
  const { unsubscriptions, messageId = 0 } = decodeUnsubscribe(
    new PacketReader(bytes, body, end),
    client.version,
    start,
  );
  const codes = unsubscriptions.map((filter) => unsubscribe(client, filter));
  const { connection, session } = client;
  connection.context.sessions.answer(session, connection, unsuback(client.version, messageId, codes));
}

function unsubscribe(client: Client, filter: string): number {
  const subscription = client.subscriptions.get(filter);
  if (subscription === undefined) return reason.noSubscriptionExisted;
  client.endSubscription(filter, subscription);
  return reason.success;
}
