import type { GatewayError } from '../core/errors.ts';
import type { Message, Party } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { Context } from './context.ts';
import { publishRetainedWill } from './retain.ts';

/** The will of a client: what is published when its connection ends without a DISCONNECT [MQTT-3.1.2-8]. */
export interface Will {
  readonly subject: string;
  readonly headers: Buffer;
  /** A copy: it lives as long as the session, and must not keep the chunk that it came in. */
  readonly payload: Buffer;
  readonly retain: boolean;
  readonly qos: number;
  /** Will Delay Interval in seconds [MQTT5 3.1.3.2.2]. */
  readonly delayS: number;
}

/** Publishes a will now; who calls knows that it is due. */
export function publishWill(context: Context, will: Will, origin: Party): void {
  const { counters, router, retained, clock } = context;
  const { subject, headers, payload, retain, qos } = will;
  counters.willsPublished++;
  const message: Message = { subject, headers, payload, retain, qos, reply: '', receivedAtMs: clock(), origin };
  const receipt = new WillReceipt(context, origin.name);
  if (will.retain && retained !== null) publishRetainedWill(context, retained, message, receipt);
  else router.publish(message, receipt, 0);
}

/** Nobody is there to send it again. */
class WillReceipt implements Receipt {
  readonly #context: Context;
  readonly #clientId: string;

  constructor(context: Context, clientId: string) {
    this.#context = context;
    this.#clientId = clientId;
  }

  accepted(): void {}

  refused(_token: number, error: GatewayError): void {
    this.#context.counters.messagesRefused++;
    this.#context.log.error({ client: this.#clientId, reason: error.message }, 'the will of a client was not kept');
  }
}
