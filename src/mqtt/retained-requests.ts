import { appendHeaders, statusHeaders } from '../core/headers.ts';
import { type Message, NO_HEADERS, type Party } from '../core/message.ts';
import type { Router, Subscription } from '../core/router.ts';
import { hasWildcard, isFilter } from '../core/subject.ts';
import { filterToSubjects, isHidden, isTopicFilter } from '../core/topic.ts';
import { inTurn } from './retained-delivery.ts';
import type { RetainedMessage, RetainedStore, RetainedWalk } from './retained-port.ts';

/** The subject of a value in the answer. */
const SUBJECT = 'Petiole-Subject';
/** Requests that are answered at the same time; one more is told to come back. */
const WALKS_MAX = 16;
/** Steps of one walk in one turn of the event loop: well below a millisecond. */
const TURN_STEPS = 256;
/** Values in one answer: what a client can take in while it reads slowly. The last message says that there is more. */
const VALUES_MAX = 10_000;
const PAYLOAD_BYTES_MAX = 65_535;

/**
 * Retained values for NATS, in the manner of a stream's direct get:
 *
 *   petiole.<gateway>.retained.get.<subject>     what the user may publish to decides what it may read
 *   petiole.<gateway>.retained.get               the payload is an MQTT topic filter or a subject: the right to read all
 *
 * One message for a subject (or status 404); for a filter with wildcards one for each value, then status 204 (or 206 where
 * there are more than VALUES_MAX). `Petiole-Subject` names the subject; the other headers are those of the message.
 */
export class RetainedRequests {
  readonly #router: Router;
  readonly #store: RetainedStore;
  readonly #subject: string;
  readonly #party: Party = { kind: 'box', name: 'retained' };
  readonly #clock: () => number;
  readonly #interests: readonly Subscription[];
  #walks = 0;
  #isStopped = false;

  constructor(router: Router, store: RetainedStore, gateway: string, clock: () => number) {
    this.#router = router;
    this.#store = store;
    this.#clock = clock;
    this.#subject = `petiole.${gateway}.retained.get`;
    this.#interests = [this.#subject, `${this.#subject}.>`].map((filter) => ({
      filter,
      queue: '',
      owner: this.#party,
      deliver: (message) => this.#take(message),
    }));
  }

  start(): void {
    for (const interest of this.#interests) this.#router.subscribe(interest);
  }

  stop(): void {
    this.#isStopped = true;
    for (const interest of this.#interests) this.#router.unsubscribe(interest);
  }

  /** Only a request is taken: nobody would see the answer to anything else. */
  #take({ subject, reply, payload }: Message): boolean {
    if (reply === '') return false;
    const filters = subject === this.#subject ? readFilter(payload) : [subject.slice(this.#subject.length + 1)];
    if (!filters.every(isFilter) || filters.length === 0) {
      this.#say(reply, statusHeaders(400, 'Bad Filter'));
    } else if (filters.length > 1 || filters.some(hasWildcard)) {
      if (this.#walks >= WALKS_MAX) this.#say(reply, statusHeaders(503, 'Busy'));
      else this.#walk(reply, filters, inTurn(filters.map((filter) => this.#store.matching(filter))));
    } else {
      const walk = this.#store.matching(filters[0] ?? '');
      let step = walk.next();
      // One step for each token of the subject finds none.
      while (!step.done && step.value === null) step = walk.next();
      if (!step.value || !this.#tell(reply, step.value)) this.#say(reply, statusHeaders(404, 'No Retained Message'));
    }
    return true;
  }

  #walk(reply: string, filters: readonly string[], walk: RetainedWalk): void {
    this.#walks++;
    let values = 0;
    const turn = (): void => {
      for (let steps = 0; steps < TURN_STEPS; steps++) {
        const { value, done } = walk.next();
        if (done || this.#isStopped || values === VALUES_MAX) {
          this.#walks--;
          this.#say(reply, values === VALUES_MAX && !done ? statusHeaders(206, 'More') : statusHeaders(204, 'End'));
          return;
        }
        if (value === null || filters.every((filter) => isHidden(filter, value.subject))) continue;
        if (this.#tell(reply, value)) values++;
      }
      setImmediate(turn);
    };
    turn();
  }

  /** False where it has expired. */
  #tell(reply: string, { subject, headers, payload, expiresMs }: RetainedMessage): boolean {
    if (expiresMs > 0 && expiresMs <= this.#clock()) return false;
    this.#say(reply, appendHeaders(headers, [[SUBJECT, subject]]), payload);
    return true;
  }

  #say(reply: string, headers: Buffer, payload: Buffer = NO_HEADERS): void {
    const message = { subject: reply, reply: '', headers, payload, receivedAtMs: this.#clock(), origin: this.#party };
    this.#router.publish(message, IGNORED);
  }
}

/** Nobody waits for the receipt of an answer. */
const IGNORED = { accepted(): void {}, refused(_token: number, _error: Error): void {} };

/** A payload with a `/`, `#` or `+` is a topic filter, any other a subject with NATS wildcards. */
function readFilter(payload: Buffer): string[] {
  if (payload.length > PAYLOAD_BYTES_MAX) return [];
  const text = payload.toString('utf8');
  if (!/[/#+]/.test(text)) return [text];
  return isTopicFilter(text) ? filterToSubjects(text) : [];
}
