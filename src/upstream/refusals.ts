import { GatewayError } from '../core/errors.ts';
import { isSubject } from '../core/subject.ts';
import type { Hub, LossReason, UpRecord } from './ports.ts';
import { meaningOf, type PubAck } from './puback.ts';

/** What the link's refusal means: the record is lost, the pass ends, or there is no room now (`wait`). */
export type LinkRefusal = { loss: LossReason; detail: string } | { trouble: GatewayError } | 'wait';

/** `record`: what the link did not take, with a header block of `headerBytes`. */
export function linkRefusal(
  result: Exclude<ReturnType<Hub['forward']>, 'sent'>,
  hub: Hub,
  { subject, payload }: Pick<UpRecord, 'subject' | 'payload'>,
  headerBytes: number,
): LinkRefusal {
  switch (result) {
    case 'too-large':
      return oversize('the hub', headerBytes, payload.length);
    case 'no-interest':
      return {
        trouble: new GatewayError(
          'no_interest',
          `the hub shows no interest in ${hub.nameAtHub(subject)}, which a stream of it takes`,
          {
            hint: 'the stream has no leader, or the hub is shutting down; it goes on by itself',
          },
        ),
      };
    case 'forbidden': {
      if (!isSubject(subject)) return { loss: 'undecodable', detail: 'not a legal NATS subject' };
      const atHub = hub.nameAtHub(subject);
      return {
        trouble: new GatewayError('permission_denied', `the hub does not let this box publish to ${atHub}`, {
          hint: `allow publish on ${atHub} for the user of this box at the hub (or take it out of upstream.deny_exports)`,
        }),
      };
    }
    case 'full':
    case 'not-connected':
      return 'wait';
  }
}

/** A record that is larger than `taker` takes. */
export function oversize(taker: string, headerBytes: number, payloadBytes: number) {
  const detail = `larger than ${taker} takes: headers ${headerBytes}, payload ${payloadBytes} bytes`;
  return { loss: 'oversize', detail } as const;
}

/** What the stream's refusal means, and how it is said. */
export function streamRefusal(
  stream: string,
  { errorCode, description }: NonNullable<PubAck['error']>,
): { meaning: ReturnType<typeof meaningOf>; reason: GatewayError } {
  const what = `stream ${stream} refuses a record: ${description} (${errorCode})`;
  const meaning = meaningOf(errorCode);
  if (meaning === 'doubt' || meaning === 'never') return { meaning, reason: new GatewayError('hub_error', what) };
  const hint = 'make room in the stream at the hub (its limits, or its storage); it goes on by itself';
  return { meaning, reason: new GatewayError('stream_refused', what, meaning === 'busy' ? { hint } : {}) };
}
