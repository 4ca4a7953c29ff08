import type { Message, Party } from '../core/message.ts';
import type { User } from '../core/users.ts';
import { Answers, REPLY_PREFIX } from './answers.ts';
import type { Connection } from './connection.ts';
import type { Context } from './context.ts';
import { Inbound } from './inbound.ts';
import { OutboundAliases } from './outbound-aliases.ts';
import type { ProtocolVersion } from './packet-decoder.ts';
import { encodeRetained } from './publish-encoder.ts';
import { RetainedDelivery } from './retained-delivery.ts';
import type { RetainedMessage, RetainedWalk } from './retained-port.ts';
import type { Session } from './session.ts';
import type { TopicName, TopicReader } from './topic-names.ts';
import type { TopicSubscription } from './topic-subscription.ts';

/** Offered to MQTT 5 clients: what saves most of the topic bytes of a device with a handful of topics. */
export const TOPIC_ALIAS_MAX = 16;

/** What a CONNECT settles for the rest of the connection. */
export interface ClientFields {
  /** Null for an anonymous one, who may do everything. */
  readonly user: User | null;
  readonly version: ProtocolVersion;
  /** 0: none. */
  readonly keepAliveMs: number;
  /** Largest packet that the client takes. */
  readonly packetBytesMax: number;
  /** Topic aliases that it takes; 0: none. */
  readonly topicAliasMaximum: number;
  /** Request Problem Information. */
  readonly wantsProblems: boolean;
  /** QoS 1 and 2 messages that it takes at once. */
  readonly receiveMaximum: number;
  /** Session Expiry Interval of the CONNECT, in seconds: what a DISCONNECT may say depends on it. */
  readonly sessionExpiryS: number;
}

/** A connected client: its session, aliases, will and counters. Lives as long as its connection. */
export class Client {
  readonly connection: Connection;
  readonly session: Session;
  readonly version: ProtocolVersion;
  readonly keepAliveMs: number;
  readonly packetBytesMax: number;
  readonly wantsProblems: boolean;
  readonly receiveMaximum: number;
  readonly sessionExpiryS: number;
  readonly inbound: Inbound;
  readonly user: User | null;
  /** The topic names that it may publish to; the others are refused like those that nobody may. */
  readonly topics: TopicReader;
  /** By alias; at most TOPIC_ALIAS_MAX. */
  readonly aliases: (TopicName | undefined)[] = [];
  readonly #context: Context;
  /** Made for the first subscription that gets retained messages. */
  #retained: RetainedDelivery | null = null;
  /** Made for the first request that it gets. */
  #answers: Answers | null = null;
  /** Null for a client that takes none. */
  readonly #outboundAliases: OutboundAliases | null;
  #isRetainNoted = false;
  #hasSaidGoodbye = false;
  messagesIn = 0;
  messagesOut = 0;
  /** Deliveries that it did not get. */
  dropped = 0;

  constructor(connection: Connection, session: Session, fields: ClientFields) {
    const { user, version, keepAliveMs, packetBytesMax, wantsProblems, receiveMaximum, sessionExpiryS } = fields;
    this.connection = connection;
    this.#context = connection.context;
    this.session = session;
    this.user = user;
    this.topics = this.#context.permits.topicsOf(user);
    this.version = version;
    this.keepAliveMs = keepAliveMs;
    this.packetBytesMax = packetBytesMax;
    this.wantsProblems = wantsProblems;
    this.receiveMaximum = receiveMaximum;
    this.sessionExpiryS = sessionExpiryS;
    this.#outboundAliases = fields.topicAliasMaximum > 0 ? new OutboundAliases(fields.topicAliasMaximum) : null;
    this.inbound = new Inbound(this, this.#context.options.inflightMax);
  }

  get party(): Party {
    return this.session.party;
  }

  get subscriptions(): ReadonlyMap<string, TopicSubscription> {
    return this.session.subscriptions;
  }

  /** Bytes that may wait for it. */
  get outboundBytesMax(): number {
    return this.#context.options.outboundBytesMax;
  }

  /** Sends a message at QoS 0; false where it is dropped. */
  deliver(message: Message, subscriptionIdentifier: number, retainAsPublished: boolean): boolean {
    const { counters, publishes, options } = this.#context;
    // A subscription is made only where the rules cover its whole filter: this is the second lock.
    if (this.user !== null && !this.user.mayReceive(message.subject)) {
      counters.deliveriesForbidden++;
      return false;
    }
    const isRetained = retainAsPublished && message.retain === true;
    const alias = isRetained ? 0 : this.aliasOf(message.subject);
    let packet: Buffer | null;
    if (isRetained) packet = publishes.encodeRetained(message, this.version, subscriptionIdentifier);
    else if (alias === 0) packet = publishes.encode(message, this.version, subscriptionIdentifier);
    else packet = publishes.encodeAliased(message, subscriptionIdentifier, alias);
    if (packet === null || packet.length > this.packetBytesMax) {
      // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
      counters.deliveriesTooLarge++;
      this.dropped++;
      return false;
    }
    const waitingBytes = this.connection.waitingBytes;
    if (waitingBytes > 0 && waitingBytes + packet.length > options.outboundBytesMax) {
      counters.deliveriesDropped++;
      this.dropped++;
      return false;
    }
    if (alias < 0) this.setAlias(message.subject);
    this.deliverPacket(packet);
    return true;
  }

  /** Sends a retained message; false where it has expired or is too large. Who calls waits for room. */
  deliverRetained(message: RetainedMessage, qosMax: number, subscriptionIdentifier: number): boolean {
    const { counters, clock } = this.#context;
    const qos = Math.min(message.qos, qosMax);
    if (qos > 0) return this.session.deliverRetained(message, qos, subscriptionIdentifier);
    if (this.user !== null && !this.user.mayReceive(message.subject)) {
      counters.deliveriesForbidden++;
      return false;
    }
    const leftMs = message.expiresMs - clock();
    // [MQTT-3.3.2-5]
    if (message.expiresMs > 0 && leftMs <= 0) return false;
    const remainingS = message.expiresMs > 0 ? Math.ceil(leftMs / 1000) : null;
    const packet = encodeRetained(message, this.version, subscriptionIdentifier, remainingS);
    if (packet === null || packet.length > this.packetBytesMax) {
      counters.deliveriesTooLarge++;
      this.dropped++;
      return false;
    }
    this.deliverPacket(packet);
    return true;
  }

  /** The topic alias of a subject; below zero one that the next PUBLISH on it may set; 0: none. */
  aliasOf(subject: string): number {
    return this.#outboundAliases?.of(subject) ?? 0;
  }

  /** The PUBLISH that sets it is on its way. */
  setAlias(subject: string): void {
    this.#outboundAliases?.set(subject);
  }

  /** Sends a PUBLISH, and counts it. */
  deliverPacket(packet: Buffer): void {
    this.#context.counters.messagesOut++;
    this.messagesOut++;
    this.connection.send(packet);
  }

  /** The retained messages of a subscription go out in later turns, behind its SUBACK. */
  sendRetained(subscription: TopicSubscription, walk: RetainedWalk): void {
    this.#retained ??= new RetainedDelivery(this, this.#context.retainedRound);
    this.#retained.begin(subscription, walk);
  }

  endSubscription(filter: string, subscription: TopicSubscription): void {
    this.session.subscriptions.delete(filter);
    subscription.end();
    this.#retained?.cancel(subscription);
  }

  /** It gets a message with a reply subject, and may answer it. */
  noteRequest(message: Message): void {
    this.#answers ??= new Answers();
    this.#answers.note(message);
  }

  /** Where an answer on a subject goes that it may not publish to; null where it was not asked. */
  answerSubject(wanted: string): string | null {
    const subject = this.#answers?.subjectOf(wanted) ?? null;
    if (subject !== null || !wanted.startsWith(REPLY_PREFIX)) return subject;
    // A client of 3.1.1 cannot be told that it was too late; as in NATS, its answer goes to an inbox that nobody reads.
    this.#context.counters.answersLate++;
    return this.#context.requests.nobody;
  }

  /** QoS 0, and the disk is behind. */
  messageShed(): void {
    this.#context.counters.messagesShed++;
    this.note('flood', 'messages of QoS 0 come in faster than the disk takes them, and are dropped');
  }

  /** A message of this client was not kept. */
  messageRefused(error: Error): void {
    this.#context.counters.messagesRefused++;
    this.note(error.message, 'messages of a client are not kept');
  }

  /**
   * Retained messages are off. MQTT 3.1.1 has no means to refuse a retain flag, and many sensors set it: the message is
   * taken as a live one.
   */
  retainIgnored(): void {
    this.#context.counters.retainIgnored++;
    if (this.#isRetainNoted) return;
    this.#isRetainNoted = true;
    this.note('retain', 'a client sets the retain flag: its messages are taken, and not retained');
  }

  /** One line of the log for each fault of each client. */
  note(fault: string, text: string): void {
    const { notices, log } = this.#context;
    const { name } = this.party;
    if (notices.isNew(name, fault)) log.warn({ client: name, remote: this.connection.remote, reason: fault }, text);
  }

  /** A DISCONNECT in order takes the will away [MQTT-3.1.2-10]. */
  discardWill(): void {
    this.session.will = null;
    this.#hasSaidGoodbye = true;
  }

  /** The CONNACK is on its way. */
  join(): void {
    this.session.attach(this);
    this.session.outgoing.attach(this);
  }

  /** The connection has ended. */
  leave(): void {
    const { clients, sessions, lost } = this.#context;
    const { remote, nowMs, openedAtMs } = this.connection;
    const { name: clientId } = this.party;
    // Where another connection has taken its place it is not gone.
    if (clients.get(clientId) === this.connection) {
      clients.delete(clientId);
      const { messagesIn } = this;
      if (!this.#hasSaidGoodbye) lost.note({ clientId, remote, lastSeenMs: nowMs, messagesIn }, openedAtMs);
    }
    this.#retained?.end();
    this.inbound.end();
    sessions.left(this.session);
  }
}
