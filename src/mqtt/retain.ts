import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { expiresMs } from './properties.ts';
import { reason } from './reason-codes.ts';
import type { RetainedStore } from './retained-port.ts';

/**
 * A PUBLISH with the retain flag [MQTT-3.3.1-5]: kept, then passed on like any other. The PUBACK waits until the retained
 * value is on disk, also on a subject that no lane takes. What the limits forbid is not taken at all where that can be
 * said (QoS 1 and 2 of MQTT 5); otherwise it is passed on and not retained, because a client of 3.1.1 that gets no PUBACK would
 * send the same again for ever.
 */
export function publishRetained(
  client: Client,
  store: RetainedStore,
  message: Message,
  qos: number,
  packetIdentifier: number,
): void {
  const { inbound, connection } = client;
  const { context } = connection;
  if (qos === 2 && client.session.received.has(packetIdentifier)) {
    // Sent again: what it is to retain was retained, and may have been replaced since.
    publishOnce(client, message, packetIdentifier);
    return;
  }
  const error = store.keep(message, qos, expiresMs(message.headers, message.receivedAtMs));
  if (error !== null) {
    context.counters.retainedRefused++;
    client.note(error.message, 'messages of a client are not retained');
    if (qos > 0 && client.version === 5) {
      const token = qos === 1 ? inbound.addQos1(packetIdentifier) : inbound.addQos2(packetIdentifier);
      inbound.settle(token, reason.quotaExceeded, error.message);
      if (qos === 2) inbound.completeQos2(packetIdentifier);
      return;
    }
    // The value there is of yesterday: none is better than a wrong one.
    store.clear(message.subject);
  }
  if (qos === 0) context.router.publish(message, inbound, inbound.addQos0());
  else if (qos === 1) context.router.publish(message, store.after(inbound), inbound.addQos1(packetIdentifier));
  else publishOnce(client, message, packetIdentifier, store);
}

/** QoS 2: the router gets it once, however often the client sends it before its PUBREL [MQTT-4.3.3-10]. */
export function publishOnce(
  client: Client,
  message: Message,
  packetIdentifier: number,
  retained: RetainedStore | null = null,
): void {
  const { router } = client.connection.context;
  client.session.received.take(packetIdentifier, client.inbound, (receipt, token) => {
    router.publish(message, retained === null ? receipt : retained.after(receipt), token);
  });
}

/** A will with the retain flag [MQTT-3.1.2-17]; nobody is there to be told that it was not kept. */
export function publishRetainedWill(context: Context, store: RetainedStore, message: Message, receipt: Receipt): void {
  const error = store.keep(message, message.qos ?? 0, expiresMs(message.headers, message.receivedAtMs));
  if (error !== null) {
    context.counters.retainedRefused++;
    store.clear(message.subject);
    const { name } = message.origin;
    if (context.notices.isNew(name, error.message)) {
      context.log.warn(
        { client: name, reason: error.message, hint: error.hint },
        'the will of a client is not retained',
      );
    }
  }
  context.router.publish(message, store.after(receipt), 0);
}
