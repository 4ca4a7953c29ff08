import { GatewayError } from '../../core/errors.ts';
import type { Message, Party } from '../../core/message.ts';
import type { Router, Subscription } from '../../core/router.ts';
import { isFilter } from '../../core/subject.ts';
import type { Calls, Outcome } from './calls.ts';
import { readSubscribe, writeMessage, writeSubscribed } from './codec/messages.ts';
import { code, limit, type } from './codec/words.ts';
import type { OutgoingFrame } from './numbered-out.ts';
import type { BoardCounters } from './options.ts';
import type { SubjectRules } from './subject-rules.ts';

/** Around subject and payload of a REQUEST; a MESSAGE has less. */
const HEAD_BYTES = 7;

export interface SubscriptionParts {
  readonly router: Router;
  readonly party: Party;
  readonly rules: SubjectRules;
  readonly calls: Calls;
  readonly counters: BoardCounters;
  readonly timeoutMs: number;
  /** The board serves requests. */
  servesRequests(): boolean;
  /** Payload bytes of a frame to the board. */
  room(): number;
  send(type: number, payload: Uint8Array): void;
  add(frame: OutgoingFrame): boolean;
  answer(reply: string, outcome: Outcome): void;
}

/** What a board subscribes to: messages and requests on their way to it. They end with its channel. */
export class BoardSubscriptions {
  readonly #parts: SubscriptionParts;
  readonly #open = new Map<number, Subscription>();

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
  }

  get filters(): string[] {
    return Array.from(this.#open.values(), ({ filter }) => filter);
  }

  /** A SUBSCRIBE of the board; the same again is answered again. Throws Malformed. */
  take(payload: Uint8Array): void {
    const { subscription, isOn, subject } = readSubscribe(payload);
    const { rules, send } = this.#parts;
    const filter = rules.whole(subject);
    let why: number = code.ok;
    if (isOn && (!isFilter(filter) || subject.length > limit.subjectBytes)) why = code.malformed;
    else if (isOn && !rules.maySubscribe(filter)) why = code.not_permitted;
    else if (!isOn || this.#open.get(subscription)?.filter !== filter) {
      this.#end(subscription);
      if (isOn) this.#begin(subscription, filter, subject.startsWith('.'));
    }
    send(type.subscribe, writeSubscribed(subscription, why));
  }

  /** The channel has ended. */
  end(): void {
    for (const subscription of [...this.#open.keys()]) this.#end(subscription);
  }

  #begin(number: number, filter: string, isRelative: boolean): void {
    const deliver = (message: Message): boolean => this.#deliver(number, message, isRelative);
    const subscription: Subscription = { filter, queue: '', owner: this.#parts.party, deliver };
    this.#open.set(number, subscription);
    this.#parts.router.subscribe(subscription);
  }

  #end(number: number): void {
    const subscription = this.#open.get(number);
    if (subscription === undefined) return;
    this.#open.delete(number);
    this.#parts.router.unsubscribe(subscription);
  }

  #deliver(number: number, message: Message, isRelative: boolean): boolean {
    const { party, rules, calls, counters, timeoutMs, room, add, answer, servesRequests } = this.#parts;
    const { origin, reply, payload } = message;
    // Its own publications do not come back.
    if (origin.kind === party.kind && origin.name === party.name) return false;
    const subject = isRelative ? rules.relative(message.subject) : message.subject;
    const isRequest = reply !== '' && servesRequests() && this.#isAnswerable(message);
    if (HEAD_BYTES + Buffer.byteLength(subject) + payload.length > room()) {
      counters.dropped++;
      const why = `${payload.length} bytes do not fit into a frame of the board on ${party.name}`;
      if (isRequest) answer(reply, new GatewayError('payload_too_large', why, { retriable: false }));
      return false;
    }
    if (isRequest) {
      calls.call(subject, payload, timeoutMs, (outcome) => answer(reply, outcome));
      return true;
    }
    const bytes = writeMessage(number, subject, payload);
    const done = (fault: number | null): void => {
      if (fault !== null) counters.dropped++;
    };
    const isTaken = add({ type: type.message, payload: () => bytes, done });
    if (!isTaken) counters.dropped++;
    return isTaken;
  }

  /** Where a lane takes the message, the box itself answers it; `$JS.ACK…` is no answer in words. */
  #isAnswerable(message: Message): boolean {
    if (message.reply.startsWith('$')) return false;
    return message.origin.kind === 'hub' || !this.#parts.router.isJournaled(message);
  }
}
