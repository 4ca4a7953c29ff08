import type { Message } from '../core/message.ts';
import { isFilter, matches } from '../core/subject.ts';
import { filterToSubjects, isHidden, isTopicFilter, isTopicName, subjectToTopic } from '../core/topic.ts';
import type { TailCount, TailMessage } from './api.ts';
import type { Handler } from './api-server.ts';
import { EventStream } from './event-stream.ts';
import { ApiFault, countIn, type Exchange } from './exchange.ts';
import { shownHeaders, shownParty, shownPayload } from './payload.ts';
import type { Taps } from './taps.ts';

/** Open tails: each looks at every message of the box. */
export const TAILS_MAX = 8;
/** Of one tail; a person follows a handful of subjects. */
const FILTERS_MAX = 16;
const RATE_DEFAULT = 50;
const RATE_MAX = 1000;
/** Of one payload; what is longer is read at the consumer, not on a page. */
const PAYLOAD_BYTES_MAX = 16 * 1024;
const COUNT_INTERVAL_MS = 1000;

/** `GET /api/tail`: messages as they pass, for people who look. */
export class Tails {
  readonly #taps: Taps;
  readonly #open = new Set<EventStream>();

  constructor(taps: Taps) {
    this.#taps = taps;
  }

  get handlers(): Record<string, Handler> {
    return { 'GET /api/tail': (exchange) => this.#start(exchange) };
  }

  close(): void {
    for (const stream of this.#open) stream.end();
  }

  #start({ response, url }: Exchange): void {
    const filters = filtersOf(url.searchParams.getAll('filter'));
    const rate = countIn(url, 'rate', RATE_DEFAULT, 1, RATE_MAX);
    if (this.#open.size >= TAILS_MAX) {
      const headers = { 'Retry-After': '10' };
      throw new ApiFault(503, 'no_place', `There are ${TAILS_MAX} open tails already`, 'Close one', { headers });
    }
    const count: TailCount = { matched: 0, skipped: 0 };
    let allowed = rate;
    const tap = (message: Message): void => {
      if (!filters.some((filter) => filter(message.subject))) return;
      count.matched++;
      if (allowed > 0 && stream.send('message', JSON.stringify(shown(message)))) allowed--;
      else count.skipped++;
    };
    const timer = setInterval(() => {
      allowed = rate;
      stream.beat('tail', JSON.stringify(count));
    }, COUNT_INTERVAL_MS).unref();
    const stream = new EventStream(response, () => {
      clearInterval(timer);
      this.#taps.remove(tap);
      this.#open.delete(stream);
    });
    this.#open.add(stream);
    stream.send('tail', JSON.stringify(count));
    this.#taps.add(tap);
  }
}

/** Whether a subject is wanted. */
type Wanted = (subject: string) => boolean;

function filtersOf(texts: readonly string[]): Wanted[] {
  if (texts.length === 0 || texts.length > FILTERS_MAX) {
    throw new ApiFault(400, 'request_invalid', `Give 1 to ${FILTERS_MAX} filters`, 'For example ?filter=line3.>');
  }
  return texts.map((text) => {
    if (/[/+#]/.test(text) && isTopicFilter(text)) {
      const subjects = filterToSubjects(text);
      return (subject) => subjects.some((filter) => matches(filter, subject) && !isHidden(filter, subject));
    }
    if (!isFilter(text))
      throw new ApiFault(400, 'request_invalid', 'A filter is none', 'For example line3.> or line3/#');
    return (subject) => matches(text, subject);
  });
}

function shown(message: Message): TailMessage {
  const topic = subjectToTopic(message.subject);
  return {
    subject: message.subject,
    topic: isTopicName(topic) ? topic : '',
    reply: message.reply,
    headers: shownHeaders(message.headers),
    payload: shownPayload(message.payload, PAYLOAD_BYTES_MAX),
    atMs: message.receivedAtMs,
    from: shownParty(message.origin),
  };
}
