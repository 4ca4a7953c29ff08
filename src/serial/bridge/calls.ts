import { describeError, GatewayError } from '../../core/errors.ts';
import { NO_HEADERS, type Party } from '../../core/message.ts';
import type { Router } from '../../core/router.ts';
import { errorHeaders } from '../error-headers.ts';
import { type Reply, readReply, writeRequest } from './codec/messages.ts';
import { textOf } from './codec/payload.ts';
import { code, codeName, type } from './codec/words.ts';
import { NO_ANSWER, type OutgoingFrame } from './numbered-out.ts';

/** Requests and commands that a board has not answered yet: more than it works off in a minute. */
const PENDING_MAX = 64;
/** Identifiers are 16 bits. */
const IDS = 0x10000;

export type Outcome = Buffer | GatewayError;

interface Pending {
  readonly timer: NodeJS.Timeout;
  /** The board may have it. */
  isSent: boolean;
  answer(outcome: Outcome): void;
}

/** What is asked of the board of one port, and who waits for its answers. */
export class Calls {
  readonly #port: string;
  readonly #add: (frame: OutgoingFrame) => boolean;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  constructor(port: string, add: (frame: OutgoingFrame) => boolean) {
    this.#port = port;
    this.#add = add;
  }

  /** `subject` '' for a command. `answer` is called once, also where nothing could be sent. */
  call(subject: string, payload: Uint8Array, timeoutMs: number, answer: (outcome: Outcome) => void): void {
    if (this.#pending.size >= PENDING_MAX) {
      answer(new GatewayError('queue_full', `${PENDING_MAX} requests wait for the board on ${this.#port} already`));
      return;
    }
    const id = this.#nextId();
    const untilMs = performance.now() + timeoutMs;
    const timer = setTimeout(() => {
      const why = `The board on ${this.#port} did not answer within ${timeoutMs} ms`;
      this.#settle(id, new GatewayError('request_timeout', why));
    }, timeoutMs);
    this.#pending.set(id, { timer, isSent: false, answer });
    const isSent = this.#add({
      type: type.request,
      survives: true,
      payload: () => {
        const pending = this.#pending.get(id);
        if (pending === undefined) return null;
        pending.isSent = true;
        const leftMs = Math.max(1, Math.round(untilMs - performance.now()));
        return writeRequest({ id, leftMs, subject, payload });
      },
      done: (fault) => {
        if (fault !== null) this.#settle(id, this.#faultOf(fault, ''));
      },
    });
    if (!isSent) this.#settle(id, new GatewayError('not_connected', `The board on ${this.#port} is not there`));
  }

  /** A REPLY; false where nobody waits for it. */
  reply(payload: Uint8Array): boolean {
    const reply: Reply = readReply(payload);
    if (!this.#pending.has(reply.id)) return false;
    const isError = reply.code !== code.ok;
    // A copy: the decoder's buffer is used again.
    this.#settle(reply.id, isError ? this.#faultOf(reply.code, textOf(reply.payload)) : Buffer.from(reply.payload));
    return true;
  }

  /**
   * The channel has ended: what was asked may have been carried out, and is not asked again. `isFollowed`: what was not
   * sent yet waits for the next channel.
   */
  fail(isFollowed = false): void {
    const error = new GatewayError('port_lost', `The board on ${this.#port} has gone before it answered`);
    for (const [id, { isSent }] of [...this.#pending]) if (isSent || !isFollowed) this.#settle(id, error);
  }

  #settle(id: number, outcome: Outcome): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    pending.answer(outcome);
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) % IDS;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  #faultOf(fault: number, text: string): GatewayError {
    if (fault === NO_ANSWER) return new GatewayError('request_timeout', `The board on ${this.#port} does not answer`);
    const why = text === '' ? codeName(fault) : `${codeName(fault)}: ${text}`;
    const isWrong = fault === code.bad_value || fault === code.unknown_entity || fault === code.malformed;
    return new GatewayError(isWrong ? 'config_invalid' : 'bridge_refused', `The board on ${this.#port} says ${why}`);
  }
}

/** Answers who asked: with what came back, or with why nothing did. */
export function answerTo(router: Router, party: Party): (reply: string, outcome: Outcome) => void {
  return (subject, outcome) => {
    const isError = outcome instanceof GatewayError;
    const payload = isError ? Buffer.from(`${describeError(outcome).message}\n`) : outcome;
    const headers = isError ? errorHeaders(outcome) : NO_HEADERS;
    router.publish({ subject, reply: '', headers, payload, receivedAtMs: Date.now(), origin: party });
  };
}
