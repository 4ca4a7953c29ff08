import { randomBytes } from 'node:crypto';
import { GatewayError } from '../core/errors.ts';
import { buildHeaders, isHeaderKey } from '../core/headers.ts';
import type { Message, Party } from '../core/message.ts';
import { NO_HEADERS } from '../core/message.ts';
import type { Subscription } from '../core/router.ts';
import { hasWildcard, isSubject } from '../core/subject.ts';
import { isTopicName, topicToSubject } from '../core/topic.ts';
import type { Published, Reply } from './api.ts';
import type { Bus } from './api-parts.ts';
import type { Handler } from './api-server.ts';
import { answerJson, bodyOf, invalid, numberIn, textIn } from './exchange.ts';
import { shownHeaders, shownPayload } from './payload.ts';

/** As the default of mqtt.packet_max: what is sent from here also fits elsewhere. */
const PAYLOAD_BYTES_MAX = 256 * 1024;
/** An answer is shown whole. */
const REPLY_BYTES_MAX = 1024 * 1024;
const SUBJECT_CHARACTERS_MAX = 2048;
const HEADERS_MAX = 64;
const TIMEOUT_MS = 2000;
/** Requests that wait at a time, of all operators. */
const WAITING_MAX = 16;
/** A commit on a worn card takes a second or two. */
const RECEIPT_MS = 10_000;

const OPERATOR: Party = { kind: 'box', name: 'operator' };

/** `POST /api/publish` and `/api/request`: messages that an operator sends by hand. */
export class MessageOrders {
  readonly #bus: Bus;
  #waiting = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  get handlers(): Record<string, Handler> {
    return {
      'POST /api/publish': async ({ request, response }) =>
        answerJson(response, await this.#publish(await bodyOf(request))),
      'POST /api/request': async ({ request, response }) =>
        answerJson(response, await this.#request(await bodyOf(request))),
    };
  }

  /** Resolves once it is on disk, where a lane takes it. */
  async #publish(body: Record<string, unknown>): Promise<Published> {
    const isRetained = body.retain === true;
    const message = messageOf(body, '', isRetained);
    const lane = this.#bus.laneOf(message);
    const error = isRetained ? this.#bus.retain(message) : null;
    if (error !== null) throw error;
    return await new Promise<Published>((resolve, reject) => {
      const late = setTimeout(
        () => reject(new GatewayError('request_timeout', 'The disk does not answer')),
        RECEIPT_MS,
      );
      this.#bus.publish(message, {
        accepted: (_token, reached, sequence) => {
          clearTimeout(late);
          resolve({ sequence: sequence ?? null, lane, reached });
        },
        refused: (_token, reason) => {
          clearTimeout(late);
          reject(reason);
        },
      });
    });
  }

  async #request(body: Record<string, unknown>): Promise<Reply> {
    const timeoutMs = numberIn(body, 'timeoutMs', TIMEOUT_MS, 100, 30_000);
    if (this.#waiting >= WAITING_MAX) throw new GatewayError('queue_full', `${WAITING_MAX} requests wait already`);
    const message = messageOf(body, `_INBOX.petiole.${randomBytes(12).toString('hex')}`, false);
    const startMs = performance.now();
    const answers = Promise.withResolvers<Message>();
    const inbox: Subscription = {
      filter: message.reply,
      queue: '',
      owner: OPERATOR,
      deliver: (answer) => {
        answers.resolve(answer);
        return true;
      },
    };
    const hint = 'Check that somebody answers on this subject';
    const late = setTimeout(() => {
      answers.reject(new GatewayError('request_timeout', `No answer within ${timeoutMs} ms`, { hint }));
    }, timeoutMs);
    this.#waiting++;
    this.#bus.subscribe(inbox);
    try {
      this.#bus.publish(message, { accepted: () => {}, refused: (_token, error) => answers.reject(error) });
      const { subject, headers, payload } = await answers.promise;
      const tookMs = performance.now() - startMs;
      return { subject, headers: shownHeaders(headers), payload: shownPayload(payload, REPLY_BYTES_MAX), tookMs };
    } finally {
      clearTimeout(late);
      this.#bus.unsubscribe(inbox);
      this.#waiting--;
    }
  }
}

function messageOf(body: Record<string, unknown>, reply: string, retain: boolean): Message {
  return {
    subject: subjectOf(textIn(body, 'subject', null, SUBJECT_CHARACTERS_MAX)),
    reply,
    headers: headersOf(body.headers),
    payload: payloadOf(body),
    receivedAtMs: Date.now(),
    origin: OPERATOR,
    ...(retain && { retain }),
  };
}

function subjectOf(text: string): string {
  const subject = text.includes('/') && isTopicName(text) ? topicToSubject(text) : text;
  if (!isSubject(subject) || hasWildcard(subject))
    throw invalid('subject', 'a subject such as line3.temp, or a topic such as line3/temp');
  return subject;
}

function headersOf(value: unknown): Buffer {
  if (value === undefined) return NO_HEADERS;
  const isPair = (pair: unknown): pair is [string, string] =>
    Array.isArray(pair) &&
    pair.length === 2 &&
    pair.every((text) => typeof text === 'string') &&
    isHeaderKey(String(pair[0]));
  if (!Array.isArray(value) || value.length > HEADERS_MAX || !value.every(isPair)) {
    throw invalid('headers', `at most ${HEADERS_MAX} pairs [name, value]`);
  }
  return value.length === 0 ? NO_HEADERS : buildHeaders(value);
}

function payloadOf(body: Record<string, unknown>): Buffer {
  const text = textIn(body, 'payload', '', PAYLOAD_BYTES_MAX * 2);
  const encoding = body.encoding ?? 'text';
  const digits = text.replace(/\s/g, '');
  let payload: Buffer;
  if (encoding === 'text') payload = Buffer.from(text);
  else if (encoding === 'hex' && /^(?:[0-9a-fA-F]{2})*$/.test(digits)) payload = Buffer.from(digits, 'hex');
  else if (encoding === 'base64' && /^[A-Za-z0-9+/]*={0,2}$/.test(digits)) payload = Buffer.from(digits, 'base64');
  else throw invalid('payload', 'text, pairs of hexadecimal digits, or base64, as encoding says');
  if (payload.length > PAYLOAD_BYTES_MAX) {
    throw new GatewayError('payload_too_large', `A payload has at most ${PAYLOAD_BYTES_MAX} bytes`);
  }
  return payload;
}
