import type { Message, Party } from '../core/message.ts';
import type { Router, Subscription } from '../core/router.ts';
import { isSystemSubject } from '../core/subject.ts';
import { filterToSubjects, isHidden, topicToSubject } from '../core/topic.ts';
import type { Session } from './session.ts';

/** What a client may change by subscribing again to the same filter [MQTT-3.8.4-3]. */
export interface SubscriptionOptions {
  /** The highest at which it gets messages [MQTT-3.8.4-8]. */
  readonly qos: number;
  /** [MQTT-3.8.3-3] */
  readonly noLocal: boolean;
  /** Retain As Published: the retain flag of a live message stays as it is [MQTT-3.3.1-13]. */
  readonly retainAsPublished: boolean;
  /** Subscription Identifier; 0 for none. */
  readonly identifier: number;
}

/** One topic filter of one session. In the router it is one subscription, or two for `x/#`, which never match both. */
export class TopicSubscription {
  /** Changed in place, so that the hub never sees the interest go and come back, and no message falls between. */
  options: SubscriptionOptions;
  readonly #router: Router;
  readonly #interests: readonly Interest[];

  /** `group` is the share name; '' for a subscription of its own. */
  constructor(session: Session, router: Router, filter: string, group: string, options: SubscriptionOptions) {
    this.options = options;
    this.#router = router;
    // A share name may have characters that a queue group of NATS may not; it has no `/`, so it stays one token.
    const queue = group === '' ? '' : topicToSubject(group);
    this.#interests = filterToSubjects(filter)
      .filter((subject) => session.user === null || session.user.maySubscribe(subject))
      .map((subject) => new Interest(session, this, subject, queue));
  }

  /** Subject filters, one or two. */
  get filters(): string[] {
    return this.#interests.map(({ filter }) => filter);
  }

  /** Its filter begins with a wildcard, and this is a subject of the system [MQTT-4.7.2-1]. */
  hides(subject: string): boolean {
    return this.#interests.some(({ filter }) => isHidden(filter, subject));
  }

  begin(): void {
    for (const interest of this.#interests) this.#router.subscribe(interest);
  }

  end(): void {
    for (const interest of this.#interests) this.#router.unsubscribe(interest);
  }
}

class Interest implements Subscription {
  readonly filter: string;
  readonly queue: string;
  readonly owner: Party;
  readonly #session: Session;
  readonly #topic: TopicSubscription;
  /** The filter begins with a wildcard, so it must not see system subjects [MQTT-4.7.2-1]. */
  readonly #hidesSystem: boolean;

  constructor(session: Session, topic: TopicSubscription, filter: string, queue: string) {
    this.filter = filter;
    this.queue = queue;
    this.owner = session.party;
    this.#session = session;
    this.#topic = topic;
    this.#hidesSystem = isHidden(filter, '$');
  }

  get isReady(): boolean {
    return this.#session.isReady;
  }

  deliver(message: Message): boolean {
    const options = this.#topic.options;
    if (options.noLocal && message.origin === this.owner) return false;
    if (this.#hidesSystem && isSystemSubject(message.subject)) return false;
    return this.#session.deliver(message, options, this.queue);
  }
}
