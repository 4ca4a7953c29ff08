import type { Session } from './session.ts';
import type { SubscriptionOptions } from './topic-subscription.ts';
import type { Will } from './will.ts';

/** A session as its row in the store has it. */
export interface SessionRecord {
  /** Name; null for an anonymous one. */
  readonly user: string | null;
  readonly expiryS: number;
  /** Its client was there when this was written. */
  readonly isConnected: boolean;
  /** When it left, on the wall clock; 0 where that could not be trusted. */
  readonly leftAtMs: number;
  /** Deliveries up to here may have been sent. */
  readonly sentThrough: number;
  readonly subscriptions: readonly (readonly [topicFilter: string, options: SubscriptionOptions])[];
  readonly will: Will | null;
}

/** JSON with short keys: of 10,000 sessions they are read at every start. Buffers are base64. */
interface Stored {
  u: string | null;
  e: number;
  c: boolean;
  l: number;
  s: number;
  t: [filter: string, qos: number, noLocal: boolean, retainAsPublished: boolean, identifier: number][];
  w?: { t: string; h: string; p: string; q: number; r: boolean; d: number };
}

export function writeSession(session: Session): string {
  const { user, expiryS, client, leftAtMs, outgoing, subscriptions, will } = session;
  const stored: Stored = {
    u: user?.name ?? null,
    e: expiryS,
    c: client !== null,
    l: leftAtMs,
    s: outgoing.sentThrough,
    t: Array.from(subscriptions, ([filter, { options }]) => {
      const { qos, noLocal, retainAsPublished, identifier } = options;
      return [filter, qos, noLocal, retainAsPublished, identifier];
    }),
  };
  if (will !== null) {
    const { subject, headers, payload, qos, retain, delayS } = will;
    stored.w = { t: subject, h: text(headers), p: text(payload), q: qos, r: retain, d: delayS };
  }
  return JSON.stringify(stored);
}

/** Null for what is no session: the disk may have been damaged. */
export function readSession(data: string): SessionRecord | null {
  try {
    return recordOf(JSON.parse(data) as Stored);
  } catch {
    return null;
  }
}

function recordOf({ u, e, c, l, s, t, w }: Stored): SessionRecord {
  return {
    user: u,
    expiryS: e,
    isConnected: c,
    leftAtMs: l,
    sentThrough: s,
    subscriptions: t.map(([filter, qos, noLocal, retainAsPublished, identifier]) => [
      filter,
      { qos, noLocal, retainAsPublished, identifier },
    ]),
    will: w ? { subject: w.t, headers: bytes(w.h), payload: bytes(w.p), qos: w.q, retain: w.r, delayS: w.d } : null,
  };
}

function text(buffer: Buffer): string {
  return buffer.toString('base64');
}

function bytes(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}
