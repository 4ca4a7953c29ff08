import { NO_HEADERS, type Party } from '../core/message.ts';
import { Router } from '../core/router.ts';
import { matches } from '../core/subject.ts';
import { topicToSubject } from '../core/topic.ts';
import type { RetainedMessage, RetainedWalk } from './retained-port.ts';

/** What the rest of the box tells MQTT clients about itself. */
export interface SystemFacts {
  readonly version: string;
  /** Records of each lane that the hub does not have yet. */
  readonly lanes: readonly { readonly name: string; readonly depth: number }[];
}

/** What the edge adds. */
export interface TrafficFacts {
  readonly clients: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export const SYSTEM_PREFIX = '$SYS/';

/** As often as mosquitto does. */
const PUBLISH_MS = 10_000;
const BOX: Party = { kind: 'box', name: '$SYS' };

/**
 * `$SYS/broker/…`: the present values at SUBSCRIBE, and again every ten seconds while somebody listens. Its router is its
 * own: what is subscribed here is no interest that the hub would hear of, and what is published here stays here.
 */
export class SystemTopics {
  readonly router = new Router();
  readonly #facts: () => SystemFacts;
  readonly #traffic: () => TrafficFacts;
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(facts: () => SystemFacts, traffic: () => TrafficFacts) {
    this.#facts = facts;
    this.#traffic = traffic;
  }

  start(): void {
    this.#timer = setInterval(() => this.publish(), PUBLISH_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Costs nothing while nobody has subscribed. */
  publish(): void {
    if (this.router.subscriptions === 0) return;
    const receivedAtMs = Date.now();
    for (const { subject, headers, payload } of this.#values()) {
      this.router.publish({ subject, reply: '', headers, payload, receivedAtMs, origin: BOX, qos: 0 });
    }
  }

  /** The values of this moment, as retained messages. */
  matching(filter: string): RetainedWalk {
    return this.#values()
      .filter(({ subject }) => matches(filter, subject))
      .values();
  }

  #values(): RetainedMessage[] {
    const { version, lanes } = this.#facts();
    const { clients, messagesIn, messagesOut, bytesIn, bytesOut } = this.#traffic();
    const values: [topic: string, value: string | number][] = [
      ['version', `petiole ${version}`],
      ['uptime', Math.floor((performance.now() - this.#startedAt) / 1000)],
      ['clients/connected', clients],
      ['messages/received', messagesIn],
      ['messages/sent', messagesOut],
      ['bytes/received', bytesIn],
      ['bytes/sent', bytesOut],
      ...lanes.map(({ name, depth }): [string, number] => [`lanes/${name}/depth`, depth]),
    ];
    return values.map(([topic, value]) => ({
      subject: topicToSubject(`${SYSTEM_PREFIX}broker/${topic}`),
      headers: NO_HEADERS,
      payload: Buffer.from(String(value)),
      qos: 0,
      client: '',
      expiresMs: 0,
    }));
  }
}
