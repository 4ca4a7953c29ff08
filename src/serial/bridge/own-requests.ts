import { randomBytes } from 'node:crypto';
import { headerStatus, headerValue } from '../../core/headers.ts';
import { type Message, NO_HEADERS, type Party } from '../../core/message.ts';
import type { Router, Subscription } from '../../core/router.ts';
import { type Request, writeReply } from './codec/messages.ts';
import { bytesOf } from './codec/payload.ts';
import { code, type } from './codec/words.ts';
import type { OutgoingFrame } from './numbered-out.ts';

/** Requests of one board without an answer: a program on it has a handful. */
const PENDING_MAX = 32;
/** Longest wait for an answer, whatever the board asks for. */
const WAIT_MS_MAX = 300_000;
/** Text of an error: what fits in the smallest frame. */
const TEXT_BYTES_MAX = 40;

/** Status of a NATS server that finds nobody. */
const NO_RESPONDERS = 503;

interface Pending {
  readonly id: number;
  readonly timer: NodeJS.Timeout;
}

/** Requests that a board makes of whoever serves their subjects, here or in the cloud. */
export class OwnRequests {
  readonly #router: Router;
  readonly #party: Party;
  /** Random for each run: a late answer to the run before must not be taken for one to this. */
  readonly #inbox: string;
  readonly #room: () => number;
  readonly #add: (frame: OutgoingFrame) => boolean;
  readonly #pending = new Map<string, Pending>();
  #subscription: Subscription | null = null;
  #token = 0;

  constructor(
    router: Router,
    party: Party,
    gateway: string,
    room: () => number,
    add: (frame: OutgoingFrame) => boolean,
  ) {
    this.#router = router;
    this.#party = party;
    this.#room = room;
    this.#add = add;
    this.#inbox = `_INBOX.${gateway}.${party.name}-${randomBytes(6).toString('hex')}`;
  }

  /** `subject` is whole, and may be used. */
  make({ id, leftMs, payload }: Request, subject: string): void {
    if (this.#pending.size >= PENDING_MAX) {
      this.#reply(id, code.busy, bytesOf('too many requests'));
      return;
    }
    this.#listen();
    const token = (++this.#token).toString(36);
    const timer = setTimeout(() => this.#settle(token, code.deadline, bytesOf('')), Math.min(leftMs, WAIT_MS_MAX));
    this.#pending.set(token, { id, timer });
    const message: Message = {
      subject,
      reply: `${this.#inbox}.${token}`,
      headers: NO_HEADERS,
      // A copy: the decoder's buffer is used again.
      payload: Buffer.from(payload),
      receivedAtMs: Date.now(),
      origin: this.#party,
    };
    const isKept = this.#router.isJournaled(message);
    // Where a lane takes it, that it is kept is the answer, as a PubAck is to a client of NATS.
    const receipt = {
      accepted: () => isKept && this.#settle(token, code.ok, bytesOf('')),
      refused: (_token: number, error: Error) => this.#settle(token, code.failed, bytesOf(error.message)),
    };
    const reached = this.#router.publish(message, receipt);
    if (reached === 0 && !isKept) this.#settle(token, code.no_responders, bytesOf(''));
  }

  /** The channel has ended: the board does not know its requests any more. */
  forget(): void {
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }

  stop(): void {
    this.forget();
    if (this.#subscription !== null) this.#router.unsubscribe(this.#subscription);
    this.#subscription = null;
  }

  /** Not before the first request: the hub hears of every interest. */
  #listen(): void {
    if (this.#subscription !== null) return;
    this.#subscription = {
      filter: `${this.#inbox}.*`,
      queue: '',
      owner: this.#party,
      deliver: (message) => this.#answer(message),
    };
    this.#router.subscribe(this.#subscription);
  }

  #answer({ subject, headers, payload }: Message): boolean {
    const token = subject.slice(this.#inbox.length + 1);
    if (!this.#pending.has(token)) return false;
    const error = headers.length > 0 ? headerValue(headers, 'Nats-Service-Error') : null;
    if (headers.length > 0 && headerStatus(headers) === NO_RESPONDERS)
      this.#settle(token, code.no_responders, bytesOf(''));
    else if (error) this.#settle(token, code.failed, bytesOf(error));
    else this.#settle(token, code.ok, payload);
    return true;
  }

  #settle(token: string, why: number, payload: Uint8Array): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    this.#pending.delete(token);
    this.#reply(pending.id, why, payload);
  }

  #reply(id: number, why: number, payload: Uint8Array): void {
    const isFull = why === code.ok && payload.length + 3 > this.#room();
    const told = why === code.ok ? payload : payload.subarray(0, TEXT_BYTES_MAX);
    const reply = isFull ? { id, code: code.too_large, payload: bytesOf('') } : { id, code: why, payload: told };
    const bytes = writeReply(reply);
    this.#add({ type: type.reply, payload: () => bytes, done: () => undefined });
  }
}
