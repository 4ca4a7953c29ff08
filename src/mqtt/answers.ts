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
  readonly subject: string;
  readonly atMs: number;
}

/** What one client was asked and may answer, whatever its rules allow it to publish. */
export class Answers {
  /** By the subject of the answer, oldest first. */
  readonly #requests = new Map<string, Request>();

  /** The client gets this message, which has a reply subject. */
  note({ subject, reply, headers, origin }: Message): void {
    const responseTopic = origin.kind === 'mqtt' ? headerValue(headers, RESPONSE_TOPIC) : null;
    this.#remember(reply, subject);
    if (responseTopic !== null && !responseTopic.startsWith('$')) this.#remember(topicToSubject(responseTopic), '');
  }

  #remember(reply: string, subject: string): void {
    this.#requests.delete(reply);
    for (const oldest of this.#requests.keys()) {
      if (this.#requests.size < REQUESTS_MAX) break;
      this.#requests.delete(oldest);
    }
    this.#requests.set(reply, { subject, atMs: performance.now() });
  }

  /**
   * Where an answer goes that the client publishes to this subject; null where it was not asked. Behind `$reply.` stands the
   * subject of the request: of several on one subject the oldest is answered, because devices answer in order.
   */
  subjectOf(wanted: string): string | null {
    const nowMs = performance.now();
    const subject = wanted.startsWith(REPLY_PREFIX) ? wanted.slice(REPLY_PREFIX.length) : null;
    for (const [reply, request] of this.#requests) {
      if (nowMs - request.atMs > REQUEST_MS) this.#requests.delete(reply);
      else if (subject === null && reply === wanted) return reply;
      else if (request.subject === subject) {
        this.#requests.delete(reply);
        return reply;
      }
    }
    return null;
  }
}
