import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { Receipt } from '../core/router.ts';
import type { Client } from './client.ts';
import { clip } from './packet-encoder.ts';
import { reason } from './reason-codes.ts';
import { PUBREC, ReceiptWindow } from './receipt-window.ts';

/** The token of every QoS 0 message: they are counted and not told apart. */
export const QOS_0_TOKEN = -1;

/** A reason string makes a PUBACK no longer than this. */
const PUBACK_BYTES_MAX = 256;

/** There is no room now: what MQTT 5 calls a quota. */
const quotaCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['lane_full', 'queue_full', 'disk_full']);

/**
 * The messages of one client that the router has and that have no receipt yet, and how the client is told. Bounds both:
 * QoS 1 and 2 by the Receive Maximum, and QoS 0, so that a flood of them cannot fill the memory in front of the disk.
 */
export class Inbound implements Receipt {
  readonly #client: Client;
  readonly #max: number;
  readonly #window = new ReceiptWindow();
  /** Packet identifiers of the QoS 2 messages of this connection that are not complete. */
  readonly #qos2 = new Set<number>();
  #qos0 = 0;
  #isOver = false;

  constructor(client: Client, max: number) {
    this.#client = client;
    this.#max = max;
  }

  /** QoS 1 messages without a PUBACK, QoS 2 messages without a PUBCOMP. */
  get inflight(): number {
    return this.#window.pubacks + this.#qos2.size;
  }

  /** One more message of this QoS would break the Receive Maximum; a QoS 2 message that comes again does not. */
  isAtReceiveMaximum(qos: number, packetIdentifier: number): boolean {
    return this.inflight >= this.#max && !(qos === 2 && this.#qos2.has(packetIdentifier));
  }

  /**
   * The client is to be read no further: a client of 3.1.1 does not know the bound, and nobody knows one for QoS 0. What
   * waits for a PUBREL does not count here, since that must be read. Where the disk is behind, everybody waits until what it
   * sent has its receipts: one turn each, so that a flood of one cannot fill the room of all.
   */
  get isFull(): boolean {
    // MQTT 5 sends no more than the bound, but may send a QoS 2 message twice.
    const windowMax = this.#client.version === 4 ? this.#max : 2 * this.#max;
    if (this.#qos0 >= this.#max || this.#window.size >= windowMax) return true;
    return this.#client.connection.context.router.isBehind && !this.isSettled;
  }

  /** Every receipt that will come has come. */
  get isSettled(): boolean {
    return this.#qos0 === 0 && this.#window.isSettled;
  }

  addQos0(): number {
    this.#qos0++;
    return QOS_0_TOKEN;
  }

  addQos1(packetIdentifier: number): number {
    return this.#window.add(packetIdentifier);
  }

  addQos2(packetIdentifier: number): number {
    this.#qos2.add(packetIdentifier);
    return this.#window.add(packetIdentifier, PUBREC);
  }

  /** Its PUBCOMP is on its way. */
  completeQos2(packetIdentifier: number): void {
    this.#qos2.delete(packetIdentifier);
  }

  /** The PUBACKs and PUBRECs that are due. */
  takePubacks(): Buffer | null {
    return this.#window.take();
  }

  accepted(token: number): void {
    // The receipt came after its connection: the client sends the message again, or has gone for good.
    if (this.#isOver) return;
    if (token === QOS_0_TOKEN) this.#settleQos0();
    else this.settle(token, reason.success, '');
  }

  /**
   * A client of MQTT 5 is told why, and gives the message up. A client of 3.1.1 cannot be told: it gets no PUBACK and is
   * not read for a while, then its connection is closed, and it sends the message again on the next one.
   */
  refused(token: number, error: Error): void {
    if (this.#isOver) return;
    const code = error instanceof GatewayError ? error.code : null;
    if (token === QOS_0_TOKEN && code === 'queue_full') this.#client.messageShed();
    else this.#client.messageRefused(error);
    if (token === QOS_0_TOKEN) {
      this.#settleQos0();
    } else if (this.#client.version === 4 || code === 'stopping') {
      // A box that stops will take the message after its start, so an MQTT 5 client must keep it as well.
      this.#window.hold(token);
      this.#client.connection.stall();
    } else {
      const isQuota = code !== null && quotaCodes.has(code);
      this.settle(token, isQuota ? reason.quotaExceeded : reason.unspecifiedError, error.message);
    }
  }

  /** Decides a PUBACK or PUBREC; it goes out when those before it have gone. */
  settle(token: number, reasonCode: number, text: string): void {
    const { packetBytesMax, wantsProblems, connection } = this.#client;
    // [MQTT-3.1.2-29] [MQTT-3.4.2-2]
    const isTold = text !== '' && wantsProblems && packetBytesMax >= PUBACK_BYTES_MAX;
    this.#window.settle(token, reasonCode, isTold ? clip(text) : '');
    connection.flushSoon();
  }

  #settleQos0(): void {
    this.#qos0--;
    if (this.#qos0 === 0 || this.#qos0 === this.#max - 1) this.#client.connection.flushSoon();
  }

  /** The connection has ended: receipts that come later are for nobody. */
  end(): void {
    this.#isOver = true;
  }
}
