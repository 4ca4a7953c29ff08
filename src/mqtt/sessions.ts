import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { User } from '../core/users.ts';
import type { Connection } from './connection.ts';
import type { Context } from './context.ts';
import { beginSubscription } from './handle-subscribe.ts';
import { CLOCK_FLOOR_MS } from './properties.ts';
import { Session } from './session.ts';
import type { SessionStore, StoredSession } from './session-port.ts';
import { readSession } from './session-record.ts';
import { publishWill, type Will } from './will.ts';

/** What a CONNECT asks for. */
export interface SessionWish {
  readonly clientId: string;
  readonly user: User | null;
  /** Clean Start, or Clean Session of 3.1.1. */
  readonly isClean: boolean;
  /** Session Expiry Interval in seconds; Infinity for a session of 3.1.1 that is not clean. */
  readonly expiryS: number;
  readonly will: Will | null;
}

export interface SessionsStatus {
  /** Persistent ones. */
  count: number;
  countMax: number;
  /** Those of them whose client is there. */
  connected: number;
  /** Deliveries that are not complete. */
  queued: number;
  bytes: number;
  bytesMax: number;
}

/**
 * The sessions of all clients: who gets which, when one ends, and when a will is due.
 *
 *   CONNECT ─▶ there ─▶ away (expiry interval runs, will delay runs) ─▶ CONNECT: there again
 *                        └─▶ ended: will, subscriptions and queue go
 *
 * Time away is counted by the monotonic clock. Over a restart it is counted by the wall clock, but only where that could be
 * trusted both times: a box without a battery clock keeps a session rather too long than too short.
 */
export class Sessions {
  readonly #context: Context;
  /** Null: every session ends with its connection. */
  readonly #store: SessionStore | null;
  /** Persistent ones, by client identifier. */
  readonly #sessions = new Map<string, Session>();

  constructor(context: Context, store: SessionStore | null) {
    this.#context = context;
    this.#store = store;
  }

  /** Brings back what the disk has: the interest of these sessions is there before any client is. */
  start(): void {
    this.#store?.listen(this);
    for (const stored of this.#store?.takeStored() ?? []) this.#restore(stored);
  }

  /** The store was opened late, or another took its place. */
  opened(isAnew: boolean): void {
    for (const stored of this.#store?.takeStored() ?? []) {
      // A client that came in the meantime has a newer session.
      if (this.#sessions.has(stored.clientId)) this.#store?.drop(stored.id, stored.queue.bytes);
      else this.#restore(stored);
    }
    if (!isAnew) return;
    for (const session of this.#sessions.values()) {
      session.outgoing.lostDisk();
      this.#store?.change(session);
    }
  }

  #restore(stored: StoredSession): void {
    const { counters, authenticator, log } = this.#context;
    const { clientId, id, queue, received } = stored;
    const record = readSession(stored.data);
    const earlier = this.#sessions.get(clientId);
    if (record === null || earlier !== undefined) {
      // What a damaged disk makes of a session must not keep the others from coming back.
      counters.sessionsDiscarded++;
      log.error({ client: clientId }, 'a stored session cannot be read, or is there twice: it is given up');
      counters.deliveriesSessionEnded += queue.count;
      this.#store?.drop(id, queue.bytes);
      return;
    }
    const user = record.user === null ? null : (authenticator?.userOf(record.user, clientId) ?? null);
    const party = { kind: 'mqtt', name: clientId } as const;
    const session = new Session(this.#context, party, user, id, this.#store, received);
    session.expiryS = record.expiryS;
    session.will = record.will;
    if (record.isConnected) session.away(this.#trustedMs());
    else session.away(record.leftAtMs, true);
    // A client that was there when the box died may have got everything that was committed.
    session.outgoing.restore(queue, record.isConnected ? queue.last : record.sentThrough);
    const isNobodys = record.user !== null && user === null;
    if (isNobodys || record.expiryS === 0) {
      if (isNobodys) {
        counters.sessionsDiscarded++;
        session.will = null;
      }
      this.#end(session);
      return;
    }
    this.#sessions.set(clientId, session);
    for (const [topic, options] of record.subscriptions) beginSubscription(session, topic, options);
    if (record.will !== null) session.willDelayed(record.will.delayS);
    const isWillPublished = this.#publishDueWill(session);
    if (record.isConnected || isWillPublished) this.#store?.change(session);
  }

  /** The wall clock, or 0 where that is one without a battery. */
  #trustedMs(): number {
    const nowMs = this.#context.clock();
    return nowMs < CLOCK_FLOOR_MS ? 0 : nowMs;
  }

  /** What is granted of a wish, in seconds. */
  grantedExpiryS(wanted: number): number {
    return this.#store === null ? 0 : Math.min(wanted, this.#context.options.sessionExpiryMaxS);
  }

  /** The session of a CONNECT, and whether it was there before [MQTT-3.2.2-2] [MQTT-3.2.2-3]. */
  open({ clientId, user, isClean, expiryS, will }: SessionWish): { session: Session; isPresent: boolean } {
    const { counters, options } = this.#context;
    const known = this.#sessions.get(clientId);
    if (known !== undefined) {
      const isForeign = (known.user?.name ?? null) !== (user?.name ?? null);
      if (!isClean && !isForeign && !this.#isOver(known)) {
        known.expiryS = expiryS;
        known.isThere(will);
        this.#store?.change(known);
        return { session: known, isPresent: true };
      }
      if (isForeign) counters.sessionsDiscarded++;
      this.#end(known);
    }
    const party = { kind: 'mqtt', name: clientId } as const;
    const store = this.#store;
    const isPersistent = store !== null && expiryS > 0 && this.#sessions.size < options.sessionsMax;
    if (expiryS > 0 && !isPersistent) counters.sessionsRefused++;
    // A will is in the store too, so that it is published though the box dies with its client.
    const id = isPersistent || (store !== null && will !== null) ? store.nextId() : 0;
    const session = new Session(this.#context, party, user, id, isPersistent ? store : null);
    session.expiryS = isPersistent ? expiryS : 0;
    session.isThere(will);
    if (isPersistent) this.#sessions.set(clientId, session);
    if (id > 0) store?.change(session);
    return { session, isPresent: false };
  }

  /** A DISCONNECT may say how long the session is kept [MQTT5 3.14.2.2.2]. */
  setExpiry(session: Session, expiryS: number): void {
    if (session.isPersistent) session.expiryS = this.grantedExpiryS(expiryS);
  }

  /** Its client has gone. */
  left(session: Session): void {
    if (session.expiryS === 0) {
      this.#end(session);
      return;
    }
    session.detach();
    session.away(this.#trustedMs());
    if (session.will !== null) session.willDelayed(session.will.delayS);
    this.#publishDueWill(session);
    this.#store?.change(session);
  }

  /** An answer to a client that must not leave before what it answers is on disk. */
  answer(session: Session, connection: Connection, packet: Buffer): void {
    const store = this.#store;
    if (!session.isPersistent || store === null) {
      connection.answer(packet);
      return;
    }
    store.change(session);
    store.after(new SavedAnswer(connection, packet), 0, 0);
  }

  /** Once a second: ends what has expired, and publishes the wills that are due. */
  sweep(): void {
    for (const session of this.#sessions.values()) {
      if (session.client !== null) continue;
      if (this.#isOver(session)) {
        this.#context.counters.sessionsExpired++;
        this.#end(session);
      } else if (this.#publishDueWill(session)) this.#store?.change(session);
    }
  }

  #isOver(session: Session): boolean {
    return session.client === null && session.awayMs(this.#context.clock()) >= session.expiryS * 1000;
  }

  #publishDueWill(session: Session): boolean {
    const { will } = session;
    if (will === null || !session.isWillDue) return false;
    session.will = null;
    publishWill(this.#context, will, session.party);
    return true;
  }

  /** A will waits no longer than its session [MQTT-3.1.3-9]; it is published in the commit that ends the session. */
  #end(session: Session): void {
    const { counters } = this.#context;
    const { outgoing, will, party } = session;
    if (this.#sessions.get(party.name) === session) this.#sessions.delete(party.name);
    const orphans = session.detach();
    const { hasShared } = session;
    session.endSubscriptions();
    session.will = null;
    if (will !== null) publishWill(this.#context, will, party);
    for (const { content, share } of orphans) this.#passOn(content as Message, share);
    if (!session.isPersistent) {
      if (session.id > 0) this.#store?.drop(session.id, 0);
      return;
    }
    counters.deliveriesSessionEnded += outgoing.count;
    void this.#dropStored(session, hasShared);
  }

  /** What members of shared subscriptions had not begun goes to others [MQTT5 4.8.2]; then the rest goes. */
  async #dropStored({ id, outgoing, party }: Session, hasShared: boolean): Promise<void> {
    const { bytes, sentThrough } = outgoing;
    for (let after = 0, isEnd = !hasShared || outgoing.count === 0; !isEnd; ) {
      const page = await this.#store?.read(id, after);
      if (page === undefined) break;
      after = page.through;
      isEnd = page.isEnd;
      for (const { share, qos, sequence, content } of page.deliveries) {
        if (share === '' || (qos === 2 && sequence <= sentThrough)) continue;
        this.#context.counters.deliveriesSessionEnded--;
        this.#passOn({ ...content, reply: '', receivedAtMs: this.#context.clock(), origin: party, qos }, share);
      }
    }
    this.#store?.drop(id, bytes);
  }

  #passOn(message: Message, share: string): void {
    this.#context.router.deliverToQueue(message, share);
  }

  status(): SessionsStatus | null {
    if (this.#store === null) return null;
    let [connected, queued] = [0, 0];
    for (const { client, outgoing } of this.#sessions.values()) {
      if (client !== null) connected++;
      queued += outgoing.count;
    }
    const countMax = this.#context.options.sessionsMax;
    return { count: this.#sessions.size, countMax, connected, queued, ...this.#store.status() };
  }
}

/** A store that cannot write keeps no client waiting: it tries again by itself. */
class SavedAnswer implements Receipt {
  readonly #connection: Connection;
  readonly #packet: Buffer;

  constructor(connection: Connection, packet: Buffer) {
    this.#connection = connection;
    this.#packet = packet;
  }

  accepted(): void {
    this.#connection.answer(this.#packet);
  }

  refused(): void {
    this.#connection.answer(this.#packet);
  }
}
