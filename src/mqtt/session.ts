import type { Message, Party } from '../core/message.ts';
import type { User } from '../core/users.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { Outgoing } from './outgoing.ts';
import { expiresMs } from './properties.ts';
import { Received } from './received.ts';
import type { RetainedMessage } from './retained-port.ts';
import type { Delivery, SessionRow, SessionStore } from './session-port.ts';
import { writeSession } from './session-record.ts';
import type { SubscriptionOptions, TopicSubscription } from './topic-subscription.ts';
import type { Will } from './will.ts';

/** What a delivery costs beside its bytes, in memory and in the store. */
const DELIVERY_COST = 100;

/**
 * What the server keeps of a client [MQTT-3.1.2-4] [MQTT5 4.1]: its subscriptions, its will and the QoS 1 and 2 messages
 * that are not complete, in both directions. A persistent one is in the store, and there while the client is away. Any
 * other ends with its connection.
 */
export class Session implements SessionRow {
  /** Number of its row in the store, 0 for none; one that is not persistent has a row while it has a will. */
  readonly id: number;
  readonly isPersistent: boolean;
  readonly party: Party;
  /** By topic filter as the client wrote it. */
  readonly subscriptions = new Map<string, TopicSubscription>();
  readonly outgoing: Outgoing;
  readonly received: Received;
  readonly context: Context;
  /** Its rules, as of the last CONNECT; null for an anonymous one. */
  user: User | null;
  /** Seconds that it lives without a connection. */
  expiryS = 0;
  will: Will | null = null;
  /** Wall clock; 0 where that could not be trusted, or while its client is there. */
  leftAtMs = 0;
  #client: Client | null = null;
  /** On the monotonic clock. */
  #leftAt = 0;
  #willDueAt = 0;
  #isRestored = false;

  constructor(
    context: Context,
    party: Party,
    user: User | null,
    id = 0,
    store: SessionStore | null = null,
    received: readonly number[] = [],
  ) {
    this.context = context;
    this.party = party;
    this.user = user;
    this.id = id;
    this.isPersistent = store !== null;
    this.outgoing = new Outgoing(context, id, store);
    this.received = new Received(id, store, received);
  }

  get clientId(): string {
    return this.party.name;
  }

  /** Its row. */
  get data(): string {
    return writeSession(this);
  }

  get hasShared(): boolean {
    return [...this.subscriptions.keys()].some((filter) => filter.startsWith('$share/'));
  }

  /** Null while it is away. */
  get client(): Client | null {
    return this.#client;
  }

  attach(client: Client): void {
    this.#client = client;
    this.user = client.user;
  }

  /** A CONNECT has come: a will that was due later is not [MQTT-3.1.3-9]. */
  isThere(will: Will | null): void {
    this.will = will;
    this.#willDueAt = 0;
    this.leftAtMs = 0;
  }

  /** The client is away since now, or since `leftAtMs` where a box wrote that before this one. */
  away(leftAtMs: number, isRestored = false): void {
    this.#isRestored = isRestored;
    this.#leftAt = performance.now();
    this.leftAtMs = leftAtMs;
  }

  /** How long its client is away; `nowMs` is the wall clock, which may be wrong. */
  awayMs(nowMs: number): number {
    const byWallMs = this.leftAtMs > 0 ? nowMs - this.leftAtMs : 0;
    const sinceMs = performance.now() - this.#leftAt;
    return this.#isRestored ? Math.max(sinceMs, byWallMs) : sinceMs;
  }

  willDelayed(delayS: number): void {
    this.#willDueAt = performance.now() + delayS * 1000;
  }

  get isWillDue(): boolean {
    return this.will !== null && performance.now() >= this.#willDueAt;
  }

  /** Its client has gone. */
  detach(): Delivery[] {
    this.#client = null;
    return this.outgoing.detach();
  }

  /** No router hears of it any more. */
  endSubscriptions(): void {
    for (const subscription of this.subscriptions.values()) subscription.end();
    this.subscriptions.clear();
  }

  /** A member of a shared subscription that would send another message at once. */
  get isReady(): boolean {
    return this.outgoing.isReady;
  }

  /** False where it is dropped. */
  deliver(message: Message, options: SubscriptionOptions, share: string): boolean {
    const { requests } = this.context;
    const qos = options.qos === 0 ? 0 : Math.min(options.qos, requests.qosOf(message));
    const shown = message.reply === '' ? message : requests.shown(message);
    if (!this.#deliverShown(shown, qos, options, share)) return false;
    if (message.reply !== '') this.#client?.noteRequest(message);
    return true;
  }

  #deliverShown(message: Message, qos: number, options: SubscriptionOptions, share: string): boolean {
    const retain = options.retainAsPublished && message.retain === true;
    if (qos === 0) return this.#client?.deliver(message, options.identifier, retain) ?? false;
    if (this.#client === null && !this.isPersistent) return false;
    if (this.#isForbidden(message.subject)) return false;
    const expires = message.headers.length === 0 ? 0 : expiresMs(message.headers, message.receivedAtMs);
    return this.outgoing.add(delivery(message, qos, options.identifier, retain, expires, share));
  }

  /** At the QoS of both, if that is not 0. */
  deliverRetained(message: RetainedMessage, qos: number, identifier: number): boolean {
    if (this.#isForbidden(message.subject)) return false;
    if (message.expiresMs > 0 && message.expiresMs <= this.context.clock()) return false;
    return this.outgoing.add(delivery(message, qos, identifier, true, message.expiresMs, ''));
  }

  /** A subscription is made only where the rules cover its whole filter: this is the second lock. */
  #isForbidden(subject: string): boolean {
    if (this.user === null || this.user.mayReceive(subject)) return false;
    this.context.counters.deliveriesForbidden++;
    return true;
  }
}

function delivery(
  content: Message | RetainedMessage,
  qos: number,
  identifier: number,
  retain: boolean,
  expires: number,
  share: string,
): Delivery {
  const bytes = DELIVERY_COST + content.subject.length + content.headers.length + content.payload.length;
  return { sequence: 0, content, qos, identifier, retain, expiresMs: expires, bytes, share, isReleased: false };
}
