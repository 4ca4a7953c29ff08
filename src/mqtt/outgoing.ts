import type { Receipt } from '../core/router.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { DeliveryBacklog } from './delivery-backlog.ts';
import { type DeliveryLoss, encodeDelivery } from './delivery-encoder.ts';
import { expired } from './expired.ts';
import { pubrel, pubrelUnknown } from './packet-encoder.ts';
import type { Delivery, DeliveryOwner, SessionStore } from './session-port.ts';

/**
 * The QoS 1 and 2 messages on their way to one session, in order.
 *
 *   add ─▶ (persistent: commit ─▶) waiting ─▶ PUBLISH: inflight ─▶ PUBACK, or PUBREC ─▶ PUBREL ─▶ PUBCOMP: complete
 *
 * Of a persistent session each delivery is on disk before it is sent, and until it is complete; the memory has those in
 * flight and a few next ones while the client is there, and none while it is away. The packet identifier is made of the
 * sequence, so it needs no place in the store and is the same after a restart [MQTT-4.4.0-1].
 */

const PACKET_IDENTIFIERS = 65_535;
/** Retained messages wait for a client until fewer than these are under way, so that they never fill its bounds. */
const RETAINED_UNDER_WAY_MAX = 100;

/** A full queue is searched for expired messages this often. */
const PURGE_MS = 5_000;

export class Outgoing implements DeliveryOwner, Receipt {
  readonly id: number;
  readonly #context: Context;
  /** Null for a session that ends with its connection. */
  readonly #store: SessionStore | null;
  #client: Client | null = null;
  readonly #backlog: DeliveryBacklog;
  #receiveMaximum = 0;
  #next = 1;
  /** By packet identifier. */
  readonly #inflight = new Map<number, Delivery>();
  /** PUBRECs whose commit is under way. */
  readonly #releasing = new Set<number>();
  /** Not complete, wherever they are. */
  #count = 0;
  #bytes = 0;
  /** Highest sequence that was sent; what was before is sent again with DUP. */
  #sentThrough = 0;
  #dupThrough = 0;
  /** What was queued when the client came: its rules may have changed since. */
  #queuedThrough = 0;
  #isPumpDue = false;
  /** Not before this, on the monotonic clock. */
  #purgeAt = 0;
  #whenRoom: (() => void) | null = null;
  dropped = 0;

  constructor(context: Context, id: number, store: SessionStore | null) {
    this.#context = context;
    this.id = id;
    this.#store = store;
    this.#backlog = new DeliveryBacklog(id, store, () => this.#pump());
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get sentThrough(): number {
    return this.#sentThrough;
  }

  get inflight(): number {
    return this.#inflight.size;
  }

  /** The client would get another message at once. */
  get isReady(): boolean {
    return this.#client !== null && this.#backlog.isEmpty && this.#inflight.size < this.#receiveMaximum;
  }

  /** What the store has; `sentThrough` as it was saved, or the last one where it is not known. */
  restore({ count, bytes, last }: { count: number; bytes: number; last: number }, sentThrough: number): void {
    this.#count = count;
    this.#bytes = bytes;
    this.#next = Math.max(last, sentThrough) + 1;
    this.#sentThrough = sentThrough;
  }

  /** The disk has lost what was there: only what is in memory is left, and no more is to be read. */
  lostDisk(): void {
    const left = [...this.#inflight.values(), ...this.#backlog.waiting];
    this.#context.counters.deliveriesNotKept += this.#count - left.length;
    this.#count = left.length;
    this.#bytes = left.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#backlog.lostDisk();
  }

  /** False where a bound forbids it, which is counted. */
  add(delivery: Delivery): boolean {
    const { sessionQueueMax, sessionQueueBytesMax } = this.#context.options;
    const isFull = this.#count >= sessionQueueMax || this.#bytes + delivery.bytes > sessionQueueBytesMax;
    if (isFull || this.#store?.hasRoom(delivery.bytes) === false) {
      this.#lose('deliveriesQueueFull');
      if (this.#client === null) void this.#purge();
      return false;
    }
    delivery.sequence = this.#next++;
    this.#count++;
    this.#bytes += delivery.bytes;
    if (this.#store !== null) {
      this.#store.enqueue(this, delivery);
    } else {
      this.#backlog.push(delivery);
      this.#pump();
    }
    return true;
  }

  committed(delivery: Delivery, kept: boolean): void {
    if (!kept) {
      this.#uncount(delivery);
      this.#lose('deliveriesNotKept');
    } else {
      this.#backlog.committed(delivery);
      this.#pump();
    }
  }

  /** The client is there: what it may have got and not acknowledged goes out again, in order [MQTT-4.4.0-1]. */
  attach(client: Client): void {
    this.#client = client;
    this.#receiveMaximum = client.receiveMaximum;
    this.#dupThrough = this.#sentThrough;
    this.#queuedThrough = this.#next - 1;
    this.#backlog.open(this.#count === 0);
    this.#pump();
  }

  /** The client has gone. Returns what another member of a shared subscription may get in its place. */
  detach(): Delivery[] {
    const orphans = [...this.#inflight.values(), ...this.#backlog.close()].filter(
      // [MQTT-4.8.2-5]: a QoS 2 message that was sent is for nobody else.
      ({ share, qos, sequence }) => share !== '' && (qos === 1 || sequence > this.#sentThrough),
    );
    this.#client = null;
    this.#inflight.clear();
    this.#releasing.clear();
    this.#whenRoom = null;
    return this.#store === null ? orphans : [];
  }

  /** [MQTT-4.3.2-5]; one that is not known may be late, from before a reconnect. */
  puback(packetIdentifier: number): void {
    const delivery = this.#inflight.get(packetIdentifier);
    if (delivery === undefined || delivery.qos !== 1) return;
    this.#complete(packetIdentifier, delivery);
  }

  /** [MQTT-4.3.3-9]; a reason code of 0x80 or more ends the exchange. */
  pubrec(packetIdentifier: number, reasonCode: number): void {
    const client = this.#client;
    const delivery = this.#inflight.get(packetIdentifier);
    if (delivery === undefined || delivery.qos !== 2) {
      if (reasonCode >= 0x80) return;
      if (client?.version === 5) client.connection.answer(pubrelUnknown(5, packetIdentifier));
      else client?.connection.answer(pubrel(packetIdentifier));
    } else if (reasonCode >= 0x80 && !delivery.isReleased) {
      this.#complete(packetIdentifier, delivery);
    } else if (delivery.isReleased) {
      client?.connection.answer(pubrel(packetIdentifier));
    } else if (this.#store === null) {
      delivery.isReleased = true;
      client?.connection.answer(pubrel(packetIdentifier));
    } else if (!this.#releasing.has(packetIdentifier)) {
      // Not before it is on disk: a PUBLISH of a box that has forgotten the PUBREC would be a new message to the client.
      this.#releasing.add(packetIdentifier);
      this.#store.release(this.id, delivery.sequence);
      this.#store.after(this, packetIdentifier, 0);
    }
  }

  /** The PUBREC is on disk. */
  accepted(packetIdentifier: number): void {
    const delivery = this.#inflight.get(packetIdentifier);
    if (!this.#releasing.delete(packetIdentifier) || delivery === undefined) return;
    delivery.isReleased = true;
    this.#client?.connection.answer(pubrel(packetIdentifier));
  }

  /** The store could not write; it tries again by itself. */
  refused(packetIdentifier: number): void {
    if (this.#releasing.has(packetIdentifier)) this.#store?.after(this, packetIdentifier, 0);
  }

  pubcomp(packetIdentifier: number): void {
    const delivery = this.#inflight.get(packetIdentifier);
    if (delivery?.qos === 2 && delivery.isReleased) this.#complete(packetIdentifier, delivery);
  }

  #complete(packetIdentifier: number, delivery: Delivery): void {
    this.#inflight.delete(packetIdentifier);
    this.#remove(delivery);
    this.#pump();
  }

  #remove(delivery: Delivery): void {
    this.#uncount(delivery);
    this.#store?.remove(this.id, delivery.sequence, delivery.bytes);
  }

  #uncount({ bytes }: Delivery): void {
    this.#count--;
    this.#bytes -= bytes;
  }

  #lose(why: DeliveryLoss): void {
    this.#context.counters[why]++;
    this.dropped++;
  }

  /** Retained messages wait for this. */
  get hasRoomForRetained(): boolean {
    return this.#count < Math.min(RETAINED_UNDER_WAY_MAX, this.#context.options.sessionQueueMax / 2);
  }

  whenRoom(done: () => void): void {
    this.#whenRoom = done;
  }

  /** Sends what the client takes. */
  #pump(): void {
    const client = this.#client;
    if (client === null) return;
    for (let delivery = this.#backlog.next; delivery !== undefined; delivery = this.#backlog.next) {
      if (this.#inflight.size >= this.#receiveMaximum) break;
      if (client.connection.waitingBytes >= client.outboundBytesMax / 2) {
        this.#pumpLater(client);
        break;
      }
      const packetIdentifier = ((delivery.sequence - 1) % PACKET_IDENTIFIERS) + 1;
      // All others have come round while the client keeps this one.
      if (this.#inflight.has(packetIdentifier)) break;
      this.#backlog.take();
      this.#send(client, delivery, packetIdentifier);
    }
    this.#backlog.refill();
    if (this.#whenRoom !== null && this.hasRoomForRetained) {
      const done = this.#whenRoom;
      this.#whenRoom = null;
      done();
    }
  }

  #pumpLater(client: Client): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    client.connection.whenTaken(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #send(client: Client, delivery: Delivery, packetIdentifier: number): void {
    if (delivery.isReleased) {
      this.#inflight.set(packetIdentifier, delivery);
      client.connection.answer(pubrel(packetIdentifier));
      return;
    }
    const { sequence } = delivery;
    const past = { isSent: sequence <= this.#dupThrough, isQueued: sequence <= this.#queuedThrough };
    const packet = encodeDelivery(this.#context, client, delivery, packetIdentifier, past);
    if (typeof packet === 'string') {
      this.#remove(delivery);
      this.#lose(packet);
      return;
    }
    // Before it is written: a connection that ends over it takes it back.
    this.#inflight.set(packetIdentifier, delivery);
    this.#sentThrough = Math.max(this.#sentThrough, sequence);
    client.deliverPacket(packet);
  }

  /** So that what has expired in the queue of an absent client does not keep out what is new. */
  async #purge(): Promise<void> {
    const now = performance.now();
    if (this.#store === null || now < this.#purgeAt) return;
    this.#purgeAt = now + PURGE_MS;
    const life = this.#backlog.life;
    // Once the client is back it looks for itself.
    const pages = expired(this.#store, this.id, this.#sentThrough, this.#context.clock);
    for await (const delivery of pages) {
      if (life !== this.#backlog.life) return;
      this.#remove(delivery);
      this.#lose('deliveriesExpired');
    }
  }
}
