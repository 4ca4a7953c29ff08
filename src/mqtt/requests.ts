import { createHash, randomBytes } from 'node:crypto';
import { appendHeaders, headerStatus, headerValue, removeHeader } from '../core/headers.ts';
import type { Message, Party } from '../core/message.ts';
import type { Router, Subscription } from '../core/router.ts';
import { subjectToTopic, topicToSubject } from '../core/topic.ts';
import type { Client } from './client.ts';
import type { Counters } from './counters.ts';
import { CORRELATION_DATA, RESPONSE_TOPIC } from './properties.ts';
import type { Properties } from './property-reader.ts';

/** How long an answer may take, as long as a NATS server lets a responder by default. */
export const REQUEST_MS = 2 * 60_000;
/** Requests of devices that wait for their answer; with more, the oldest is forgotten. Some 300 bytes each. */
const PENDING_MAX = 4096;
/** And their Correlation Data, of which each may have 64 KiB. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024;
const NONE = Buffer.alloc(0);

/** A device's request, until its answer. */
interface Pending {
  readonly subject: string;
  readonly correlationData: Buffer;
  readonly requester: Party;
  /** The requester may publish to its response topic, so the answer goes to all who subscribe there; else to it alone. */
  readonly isPublic: boolean;
  readonly atMs: number;
}

/**
 * MQTT 5 request/response [MQTT5 4.10] and NATS requests are one thing here.
 *
 *   NATS ─▶ MQTT   a message with a reply subject is a PUBLISH with that subject as its Response Topic, and Correlation Data
 *   MQTT ─▶ NATS   a PUBLISH with a Response Topic is a message with an inbox of the box as its reply subject; what comes
 *                  there goes to the Response Topic, with the Correlation Data of the request
 *
 * Answers are live, as in NATS: no lane takes an inbox, and what is late is dropped and counted.
 */
export class Requests {
  readonly #router: Router;
  readonly #counters: Counters;
  readonly #gateway: string;
  /** Random for each run: a late answer to the run before must not be taken for one to this. */
  readonly #inbox: string;
  readonly #pending = new Map<string, Pending>();
  #pendingBytes = 0;
  #sequence = 0;
  #isListening = false;
  #message: Message | null = null;
  #shown: Message | null = null;

  constructor(router: Router, counters: Counters, gateway: string) {
    this.#router = router;
    this.#counters = counters;
    this.#gateway = gateway;
    this.#inbox = `_INBOX.${gateway}.mqtt-${randomBytes(6).toString('hex')}`;
  }

  /** Where an answer goes that nobody waits for any more. */
  get nobody(): string {
    return `${this.#inbox}.late`;
  }

  /** The start of the response topics of one client: Response Information [MQTT5 3.2.2.3.15], a subject. */
  responseSubject(clientId: string): string {
    const digest = createHash('sha256').update(clientId).digest('hex').slice(0, 16);
    return `_INBOX.${this.#gateway}.client-${digest}`;
  }

  /** The reply subject of a PUBLISH with a Response Topic; '' where there is none, or the client has no right to it. */
  replyOf({ user, party }: Client, { responseTopic, correlationData = NONE }: Properties): string {
    if (responseTopic === undefined || responseTopic.startsWith('$')) return '';
    const subject = topicToSubject(responseTopic);
    const isPublic = user === null || user.mayPublish(subject);
    if (!isPublic && !user.mayReceive(subject)) return '';
    this.#listen();
    const token = (++this.#sequence).toString(36);
    const nowMs = performance.now();
    // A copy: it must not keep the chunk that it came in.
    const pending = { subject, correlationData: Buffer.from(correlationData), requester: party, isPublic, atMs: nowMs };
    this.#pending.set(token, pending);
    this.#pendingBytes += correlationData.length;
    this.#forget(nowMs);
    return `${this.#inbox}.${token}`;
  }

  /** A message as MQTT subscribers see it: the reply subject of a NATS request is its Response Topic. */
  shown(message: Message): Message {
    if (message === this.#message && this.#shown !== null) return this.#shown;
    this.#message = message;
    this.#shown = this.#isAnswerable(message) ? asRequest(message) : message;
    return this.#shown;
  }

  /**
   * At which QoS a message may go to a subscriber. One from a protocol without QoS goes as if it were 1, so that it reaches
   * a session whose client is away; but not a request, because nobody waits for its answer until then.
   */
  qosOf(message: Message): number {
    return message.qos ?? (message.reply !== '' && this.#isAnswerable(message) ? 0 : 1);
  }

  #isAnswerable(message: Message): boolean {
    // A device's request has its Response Topic already [MQTT-3.3.2-15]; `$JS.ACK…` is no answer in words.
    if (message.origin.kind === 'mqtt' || message.reply.startsWith('$')) return false;
    // The box itself answers it, with a PubAck.
    return message.origin.kind === 'hub' || !this.#router.isJournaled(message);
  }

  /** Not before the first request: the hub hears of every interest. */
  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    const inbox: Subscription = {
      filter: `${this.#inbox}.*`,
      queue: '',
      owner: { kind: 'box', name: 'mqtt requests' },
      deliver: (message) => this.#answer(message),
    };
    this.#router.subscribe(inbox);
  }

  #answer(message: Message): boolean {
    const token = message.subject.slice(this.#inbox.length + 1);
    const pending = this.#pending.get(token);
    // 503: the hub says that nobody is there to answer. MQTT has no words for it; the requester's time runs out.
    const isAnswer = headerStatus(message.headers) === 0;
    if (pending === undefined || !isAnswer) {
      this.#counters[isAnswer ? 'answersLate' : 'requestsUnanswered']++;
      if (!isAnswer) this.#take(token);
      return isAnswer;
    }
    // Left there: a responder may answer in several messages.
    const { subject, correlationData, requester, isPublic } = pending;
    const headers = withCorrelation(message.headers, correlationData);
    const answer: Message = { ...message, subject, headers };
    const reached = isPublic
      ? this.#router.deliver(answer, this.#router.servedQueues(subject))
      : this.#router.deliverTo(requester, answer);
    this.#counters[reached > 0 ? 'requestsAnswered' : 'answersLate']++;
    return true;
  }

  #take(token: string): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#pending.delete(token);
    this.#pendingBytes -= pending.correlationData.length;
  }

  #forget(nowMs: number): void {
    for (const [token, { atMs }] of this.#pending) {
      const isOver = nowMs - atMs > REQUEST_MS;
      if (!isOver && this.#pending.size <= PENDING_MAX && this.#pendingBytes <= PENDING_BYTES_MAX) return;
      this.#take(token);
    }
  }
}

function asRequest(message: Message): Message {
  const { reply } = message;
  const pairs: [string, string][] = [[RESPONSE_TOPIC, subjectToTopic(reply)]];
  // Some devices answer nothing that has none; the last token of an inbox is different for each request.
  if (headerValue(message.headers, CORRELATION_DATA) === null) {
    pairs.push([CORRELATION_DATA, Buffer.from(reply.slice(reply.lastIndexOf('.') + 1)).toString('base64')]);
  }
  return { ...message, headers: appendHeaders(removeHeader(message.headers, RESPONSE_TOPIC), pairs) };
}

function withCorrelation(headers: Buffer, correlationData: Buffer): Buffer {
  // A device that answers gives it back by itself.
  if (correlationData.length === 0 || headerValue(headers, CORRELATION_DATA) !== null) return headers;
  return appendHeaders(headers, [[CORRELATION_DATA, correlationData.toString('base64')]]);
}
