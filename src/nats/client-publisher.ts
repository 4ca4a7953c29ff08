import { headerValue } from '../core/headers.ts';
import { type Message, NO_HEADERS, type Party } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { ClientContext } from './client-context.ts';
import type { Known } from './duplicate-window.ts';
import { type ApiError, failureOf, IN_PROCESS, pubAck, pubAckError, refusalOf } from './puback-json.ts';

/** Messages of one client that wait for their commit: more than any client's window of asynchronous publishes. */
const WAITING_MAX = 4096;
/** And their bytes: a quarter of what may wait for the disk in all. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

const BOX: Party = { kind: 'box', name: 'nats' };
const DOLLAR = 0x24;
const MSG_ID = 'Nats-Msg-Id';

/** JetStream's API (of any domain), its acknowledgements, buckets and object stores: the box has none of its own. */
const AT_HUB_ONLY = ['$JS.', '$KV.', '$OBJ.'];

/** A publish that somebody waits for. */
interface Slot {
  readonly reply: string;
  readonly lane: number;
  readonly bytes: number;
  readonly known: Known | null;
}

/** The connection, as its publisher sees it. */
export interface PublisherPeer {
  readonly context: ClientContext;
  readonly party: Party;
  /** A request reached nobody. */
  noResponders(reply: string): void;
  /** Not to be read until `resume`: too much of it waits for the disk. */
  pause(): void;
  resume(): void;
  /** Every receipt that will come has come. */
  settled(): void;
  /** A message was not kept and nobody waits for an answer that could say so. */
  notKept(reason: string): void;
}

/**
 * What one client publishes. A message into a lane is answered with a PubAck after the commit, where it has a reply
 * subject; any other goes live to whoever has interest.
 *
 * The token of a receipt is the index of a slot where somebody waits, else below zero: minus one minus the bytes.
 */
export class ClientPublisher implements Receipt {
  readonly #peer: PublisherPeer;
  readonly #slots: (Slot | null)[] = [];
  readonly #free: number[] = [];
  #waiting = 0;
  #waitingBytes = 0;
  #isPaused = false;

  constructor(peer: PublisherPeer) {
    this.#peer = peer;
  }

  /** Every receipt that will come has come. */
  get isSettled(): boolean {
    return this.#waiting === 0;
  }

  publish(message: Message): void {
    const { router, lanes, hub } = this.#peer.context;
    const { subject, reply, headers, payload } = message;
    const bytes = headers.length + payload.length;
    if (reply !== '' || headers.length > 0) {
      const lane = lanes.laneOf(message);
      if (lane >= 0) {
        this.#keep(message, lane, bytes);
        return;
      }
    }
    this.#begin(bytes);
    const reached = router.publish(message, this, -1 - bytes);
    if (reply === '') this.#checkPause();
    // What only JetStream at the hub answers has no other responder, whoever listens to everything.
    else if (reached === 0 || (isAtHubOnly(subject) && !hub()?.up)) this.#peer.noResponders(reply);
  }

  #keep(message: Message, lane: number, bytes: number): void {
    const { router, duplicates, counters } = this.#peer.context;
    const { reply, headers } = message;
    let known: Known | null = null;
    if (headers.length > 0) {
      const refusal = refusalOf(headers);
      if (refusal !== null) {
        this.#refuse(reply, lane, refusal);
        return;
      }
      const id = headerValue(headers, MSG_ID);
      if (id) {
        const nowMs = performance.now();
        const before = duplicates.find(lane, id, nowMs);
        if (before !== null) {
          counters.duplicates++;
          const { sequence } = before;
          if (sequence > 0) this.#answer(reply, pubAck(this.#streamOf(lane), sequence, true));
          else if (reply !== '') this.#answer(reply, pubAckError(this.#streamOf(lane), IN_PROCESS));
          return;
        }
        known = duplicates.add(lane, id, nowMs);
      }
    }
    this.#begin(bytes);
    if (reply === '' && known === null) {
      router.publish(message, this, -1 - bytes);
    } else {
      const token = this.#free.pop() ?? this.#slots.length;
      this.#slots[token] = { reply, lane, bytes, known };
      router.publish(message, this, token);
    }
    this.#checkPause();
  }

  accepted(token: number, _reached: number, sequence = 0): void {
    if (token < 0) {
      this.#end(-1 - token);
      return;
    }
    const { reply, lane, bytes, known } = this.#take(token);
    if (known !== null) known.sequence = sequence;
    if (reply !== '') {
      this.#peer.context.counters.receipts++;
      this.#answer(reply, pubAck(this.#streamOf(lane), sequence, false));
    }
    this.#end(bytes);
  }

  refused(token: number, error: Error): void {
    if (token < 0) {
      this.#peer.context.counters.messagesRefused++;
      this.#peer.notKept(error.message);
      this.#end(-1 - token);
      return;
    }
    const { reply, lane, bytes, known } = this.#take(token);
    if (known !== null) this.#peer.context.duplicates.forget(known);
    this.#refuse(reply, lane, failureOf(error));
    this.#end(bytes);
  }

  #refuse(reply: string, lane: number, error: ApiError): void {
    this.#peer.context.counters.messagesRefused++;
    this.#peer.notKept(error.description);
    this.#answer(reply, pubAckError(this.#streamOf(lane), error));
  }

  /** To local parties only: whoever waits for a receipt of the box is at the box. */
  #answer(reply: string, payload: Buffer): void {
    if (reply === '') return;
    const { router } = this.#peer.context;
    const message = { subject: reply, reply: '', headers: NO_HEADERS, payload, receivedAtMs: Date.now(), origin: BOX };
    router.deliver(message, router.servedQueues(reply));
  }

  #streamOf(lane: number): string {
    return this.#peer.context.lanes.streamOf(lane);
  }

  #take(token: number): Slot {
    const slot = this.#slots[token] as Slot;
    this.#slots[token] = null;
    this.#free.push(token);
    return slot;
  }

  #begin(bytes: number): void {
    this.#waiting++;
    this.#waitingBytes += bytes;
  }

  #end(bytes: number): void {
    this.#waiting--;
    this.#waitingBytes -= bytes;
    if (this.#waiting === 0) this.#peer.settled();
    if (this.#isPaused && this.#waiting <= WAITING_MAX / 2 && this.#waitingBytes <= WAITING_BYTES_MAX / 2) {
      this.#isPaused = false;
      this.#peer.resume();
    }
  }

  #checkPause(): void {
    if (this.#isPaused || (this.#waiting < WAITING_MAX && this.#waitingBytes < WAITING_BYTES_MAX)) return;
    this.#isPaused = true;
    this.#peer.pause();
  }
}

function isAtHubOnly(subject: string): boolean {
  return subject.charCodeAt(0) === DOLLAR && AT_HUB_ONLY.some((prefix) => subject.startsWith(prefix));
}
