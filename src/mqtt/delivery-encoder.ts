import type { Client } from './client.ts';
import type { Context } from './context.ts';
import type { Delivery } from './session-port.ts';

const DUP = 0x08;
const RETAIN = 0x01;

/** Why a delivery does not reach its client, by the name of its counter. */
export type DeliveryLoss =
  | 'deliveriesQueueFull'
  | 'deliveriesExpired'
  | 'deliveriesTooLarge'
  | 'deliveriesNotKept'
  | 'deliveriesForbidden';

/**
 * The PUBLISH of a QoS 1 or 2 delivery for its client, or why it must not go. `isSent`: the client may have had it over an
 * earlier connection. `isQueued`: it waited while the client was away, and its rules may have changed since.
 */
export function encodeDelivery(
  { publishes, clock }: Context,
  client: Client,
  delivery: Delivery,
  packetIdentifier: number,
  { isSent, isQueued }: { isSent: boolean; isQueued: boolean },
): Buffer | DeliveryLoss {
  const { content, qos, identifier, retain, expiresMs } = delivery;
  // A right that was taken away while the message waited: what is queued is no way around it.
  if (isQueued && client.user?.mayReceive(content.subject) === false) return 'deliveriesForbidden';
  const leftMs = expiresMs === 0 ? 0 : expiresMs - clock();
  // [MQTT-3.3.2-5]
  if (expiresMs > 0 && leftMs <= 0 && !isSent) return 'deliveriesExpired';
  const flags = (qos << 1) | (isSent ? DUP : 0) | (retain ? RETAIN : 0);
  const remainingS = expiresMs === 0 ? null : Math.max(1, Math.ceil(leftMs / 1000));
  const alias = client.aliasOf(content.subject);
  const packet = publishes.encodeWithIdentifier(
    content,
    client.version,
    identifier,
    flags,
    packetIdentifier,
    remainingS,
    alias,
  );
  // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
  if (packet === null || packet.length > client.packetBytesMax) return 'deliveriesTooLarge';
  if (alias < 0) client.setAlias(content.subject);
  return packet;
}
