import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { expiryS } from './properties.ts';
import { reason } from './reason-codes.ts';
import type { RetainedStore } from './retained-port.ts';

/** A wall clock before this is a clock without a battery: what it stamps does not expire, since its age is not known. */
const CLOCK_FLOOR_MS = Date.UTC(2026, 0, 1);

/**
 * A PUBLISH with the retain flag [MQTT-3.3.1-5]: kept, then passed on like any other. The PUBACK waits until the retained
 * value is on disk, also on a subject that no lane takes. What the limits forbid is not taken at all where that can be
 * said (QoS 1 of MQTT 5); otherwise it is passed on and not retained, because a client of 3.1.1 that gets no PUBACK would
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
  const error = store.keep(message, qos, expiresMs(message));
  if (error !== null) {
    context.counters.retainedRefused++;
    client.note(error.message, 'messages of a client are not retained');
    if (qos === 1 && client.version === 5) {
      inbound.settle(inbound.addQos1(packetIdentifier), reason.quotaExceeded, error.message);
      return;
    }
    // The value there is of yesterday: none is better than a wrong one.
    store.clear(message.subject);
  }
  if (qos === 0) context.router.publish(message, inbound, inbound.addQos0());
  else context.router.publish(message, store.after(inbound), inbound.addQos1(packetIdentifier));
}

/** A will with the retain flag [MQTT-3.1.2-17]; nobody is there to be told that it was not kept. */
export function publishRetainedWill(context: Context, store: RetainedStore, message: Message, receipt: Receipt): void {
  const error = store.keep(message, 0, expiresMs(message));
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

function expiresMs({ headers, receivedAtMs }: Message): number {
  if (headers.length === 0 || receivedAtMs < CLOCK_FLOOR_MS) return 0;
  const seconds = expiryS(headers);
  return seconds === null ? 0 : receivedAtMs + seconds * 1000;
}
