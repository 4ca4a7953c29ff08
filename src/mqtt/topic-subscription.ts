import type { Message, Party } from '../core/message.ts';
import type { Router, Subscription } from '../core/router.ts';
import { isSystemSubject } from '../core/subject.ts';
import { filterToSubjects, isHidden, topicToSubject } from '../core/topic.ts';
import type { Client } from './client.ts';

/** What a client may change by subscribing again to the same filter [MQTT-3.8.4-3]. */
export interface SubscriptionOptions {
  /** [MQTT-3.8.3-3] */
  readonly noLocal: boolean;
  /** Retain As Published: the retain flag of a live message stays as it is [MQTT-3.3.1-13]. */
  readonly retainAsPublished: boolean;
  /** Subscription Identifier; 0 for none. */
  readonly identifier: number;
}

/** One topic filter of one client. In the router it is one subscription, or two for `x/#`, which never match both. */
export class TopicSubscription {
  /** Changed in place, so that the hub never sees the interest go and come back, and no message falls between. */
  options: SubscriptionOptions;
  readonly #router: Router;
  readonly #interests: readonly Interest[];

  /** `group` is the share name; '' for a subscription of its own. */
  constructor(client: Client, router: Router, filter: string, group: string, options: SubscriptionOptions) {
    this.options = options;
    this.#router = router;
    // A share name may have characters that a queue group of NATS may not; it has no `/`, so it stays one token.
    const queue = group === '' ? '' : topicToSubject(group);
    this.#interests = filterToSubjects(filter)
      .filter((subject) => client.user === null || client.user.maySubscribe(subject))
      .map((subject) => new Interest(client, this, subject, queue));
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
  readonly #client: Client;
  readonly #topic: TopicSubscription;
  /** The filter begins with a wildcard, so it must not see system subjects [MQTT-4.7.2-1]. */
  readonly #hidesSystem: boolean;

  constructor(client: Client, topic: TopicSubscription, filter: string, queue: string) {
    this.filter = filter;
    this.queue = queue;
    this.owner = client.party;
    this.#client = client;
    this.#topic = topic;
    this.#hidesSystem = isHidden(filter, '$');
  }

  deliver(message: Message): boolean {
    const { noLocal, retainAsPublished, identifier } = this.#topic.options;
    if (noLocal && message.origin === this.owner) return false;
    if (this.#hidesSystem && isSystemSubject(message.subject)) return false;
    if (message.reply === '') return this.#client.deliver(message, identifier, retainAsPublished);
    return this.#client.deliverRequest(message, identifier, retainAsPublished);
  }
}
