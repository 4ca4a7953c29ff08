import type { Receipt } from '../core/router.ts';
import type { Connection } from './connection.ts';
import type { Inbound } from './inbound.ts';
import { pubcomp } from './packet-encoder.ts';
import { reason } from './reason-codes.ts';
import type { SessionStore } from './session-port.ts';

/** Where the PUBREC of a message goes that has no receipt yet. */
interface Waiting {
  readonly inbound: Inbound;
  readonly token: number;
}

/**
 * The packet identifiers of QoS 2 messages that a session has sent and not released: the same again is the same message
 * [MQTT-4.3.3-10]. Of a persistent session they are on disk in the commit of the message before its PUBREC leaves, and off
 * the disk before its PUBCOMP leaves: the client may then use the identifier for another message.
 */
export class Received implements Receipt {
  readonly #id: number;
  readonly #store: SessionStore | null;
  /** Without a receipt yet; the client may have sent it twice, over two connections. At most 65,535, as all here. */
  readonly #pending = new Map<number, Waiting[]>();
  readonly #identifiers: Set<number>;
  readonly #releases: Releases;

  constructor(id: number, store: SessionStore | null, identifiers: readonly number[] = []) {
    this.#id = id;
    this.#store = store;
    this.#identifiers = new Set(identifiers);
    this.#releases = new Releases(this.#identifiers, store);
  }

  /** Whether it is known, so that the PUBLISH is one that was sent again. */
  has(packetIdentifier: number): boolean {
    return this.#identifiers.has(packetIdentifier) || this.#pending.has(packetIdentifier);
  }

  /** A PUBLISH of QoS 2: passed to `publish` with its receipt, unless it was here before. */
  take(packetIdentifier: number, inbound: Inbound, publish: (receipt: Receipt, token: number) => void): void {
    const token = inbound.addQos2(packetIdentifier);
    if (this.#identifiers.has(packetIdentifier)) {
      inbound.settle(token, reason.success, '');
      return;
    }
    const waiting = this.#pending.get(packetIdentifier);
    if (waiting !== undefined) {
      waiting.push({ inbound, token });
      return;
    }
    this.#pending.set(packetIdentifier, [{ inbound, token }]);
    const store = this.#store;
    if (store === null) {
      publish(this, packetIdentifier);
      return;
    }
    store.receive(this.#id, packetIdentifier, () => {
      publish(store.saved(this), packetIdentifier);
      return this.#pending.has(packetIdentifier);
    });
  }

  accepted(packetIdentifier: number): void {
    const waiting = this.#pending.get(packetIdentifier);
    this.#pending.delete(packetIdentifier);
    this.#identifiers.add(packetIdentifier);
    for (const { inbound, token } of waiting ?? []) inbound.accepted(token);
  }

  refused(packetIdentifier: number, error: Error): void {
    const waiting = this.#pending.get(packetIdentifier);
    this.#pending.delete(packetIdentifier);
    for (const { inbound, token } of waiting ?? []) {
      inbound.completeQos2(packetIdentifier);
      inbound.refused(token, error);
    }
  }

  /** PUBREL: the answer is a PUBCOMP once the identifier is free. False for one that is not known. */
  release(packetIdentifier: number, connection: Connection): boolean {
    if (!this.#identifiers.has(packetIdentifier)) return false;
    this.#releases.add(packetIdentifier, connection);
    if (this.#store === null) {
      this.#releases.accepted(packetIdentifier);
      return true;
    }
    this.#store.forget(this.#id, packetIdentifier);
    this.#store.after(this.#releases, packetIdentifier, 0);
    return true;
  }
}

/** PUBRELs whose commit is under way. */
class Releases implements Receipt {
  readonly #identifiers: Set<number>;
  readonly #store: SessionStore | null;
  /** By packet identifier: who asked last gets the PUBCOMP. */
  readonly #askers = new Map<number, Connection>();

  constructor(identifiers: Set<number>, store: SessionStore | null) {
    this.#identifiers = identifiers;
    this.#store = store;
  }

  add(packetIdentifier: number, connection: Connection): void {
    this.#askers.set(packetIdentifier, connection);
  }

  accepted(packetIdentifier: number): void {
    const connection = this.#askers.get(packetIdentifier);
    if (connection === undefined) return;
    this.#askers.delete(packetIdentifier);
    this.#identifiers.delete(packetIdentifier);
    connection.client?.inbound.completeQos2(packetIdentifier);
    connection.answer(pubcomp(packetIdentifier));
  }

  /** The store could not write; it tries again by itself. */
  refused(packetIdentifier: number): void {
    if (this.#askers.has(packetIdentifier)) this.#store?.after(this, packetIdentifier, 0);
  }
}
