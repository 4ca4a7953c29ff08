import { headerValue } from '../core/headers.ts';
import type { Message } from '../core/message.ts';
import { topicToSubject } from '../core/topic.ts';
import { RESPONSE_TOPIC } from './properties.ts';
import { REQUEST_MS } from './requests.ts';

/** Requests of one client that it has not answered; with more, the oldest is forgotten. */
const REQUESTS_MAX = 64;

/** A client without Response Topics answers a request on `a/b` by publishing to `$reply/a/b`. */
export const REPLY_PREFIX = '$reply.';

interface Request {
  /** Of the request, for those that answer behind `$reply/`; '' for a Response Topic. */
  readonly subject: string;
  readonly reply: string;
  readonly atMs: number;
}

/** What one client was asked and may answer, whatever its rules allow it to publish. */
export class Answers {
  /** By the subject that an answer may be published to, oldest first. */
  readonly #requests = new Map<string, Request>();
  readonly #now: () => number;

  /** `now` is monotonic, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The client gets this message, which has a reply subject. */
  note({ subject, reply, headers, origin }: Message): void {
    const responseTopic = origin.kind === 'mqtt' ? headerValue(headers, RESPONSE_TOPIC) : null;
    this.#remember(reply, subject, reply);
    // Not a right to publish there, which the requester may not have either: the answer takes the way of its request.
    if (responseTopic !== null && !responseTopic.startsWith('$'))
      this.#remember(topicToSubject(responseTopic), '', reply);
  }

  #remember(wanted: string, subject: string, reply: string): void {
    this.#requests.delete(wanted);
    for (const oldest of this.#requests.keys()) {
      if (this.#requests.size < REQUESTS_MAX) break;
      this.#requests.delete(oldest);
    }
    this.#requests.set(wanted, { subject, reply, atMs: this.#now() });
  }

  /**
   * Where an answer goes that the client publishes to this subject; null where it was not asked. Behind `$reply.` stands the
   * subject of the request: of several on one subject the oldest is answered, because devices answer in order.
   */
  subjectOf(wanted: string): string | null {
    const nowMs = this.#now();
    const subject = wanted.startsWith(REPLY_PREFIX) ? wanted.slice(REPLY_PREFIX.length) : null;
    for (const [key, request] of this.#requests) {
      if (nowMs - request.atMs > REQUEST_MS) this.#requests.delete(key);
      else if (subject === null && key === wanted) return request.reply;
      else if (request.subject === subject) {
        this.#requests.delete(key);
        return request.reply;
      }
    }
    return null;
  }
}
