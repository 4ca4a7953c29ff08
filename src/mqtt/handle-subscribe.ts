import type { ISubscription } from 'mqtt-packet';
import { filterToSubjects, isTopicFilter } from '../core/topic.ts';
import type { User } from '../core/users.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { decodeSubscribe } from './packet-decoder.ts';
import { suback } from './packet-encoder.ts';
import { protocolError } from './packet-error.ts';
import type { PacketFramer } from './packet-framer.ts';
import { PacketReader } from './packet-reader.ts';
import { reason } from './reason-codes.ts';
import { inTurn } from './retained-delivery.ts';
import type { Session } from './session.ts';
import { SYSTEM_PREFIX } from './system-topics.ts';
import { levelsOf } from './topic-names.ts';
import { type SubscriptionOptions, TopicSubscription } from './topic-subscription.ts';

/** The one code of refusal in a SUBACK of 3.1.1. */
const FAILURE = 0x80;

const SHARE = '$share/';

/** Retain Handling [MQTT5 3.8.3.1]; 1 sends them to a new subscription only. 3.1.1 always sends them. */
const SEND = 0;
const DO_NOT_SEND = 2;

/**
 * SUBSCRIBE [MQTT-3.8]: one code for each filter, and one bad filter does not harm the others. Shared subscriptions are
 * queue groups, for clients of 3.1.1 as well. Retained messages follow the SUBACK in later turns.
 */
export function handleSubscribe(client: Client, { bytes, start, body, end }: PacketFramer): void {
  const { packet, properties } = decodeSubscribe(new PacketReader(bytes, body, end), client.version, start);
  const identifier = properties.subscriptionIdentifier ?? 0;
  const codes = packet.subscriptions.map((wanted) => {
    const refusal = subscribe(client, wanted, identifier);
    if (refusal === null) return wanted.qos;
    client.connection.context.counters.filtersRefused++;
    client.note(refusal.why, 'a topic filter of a client is refused');
    return client.version === 5 ? refusal.code : FAILURE;
  });
  const { connection, session } = client;
  connection.context.sessions.answer(session, connection, suback(client.version, packet.messageId ?? 0, codes));
}

interface Refusal {
  readonly code: number;
  readonly why: string;
}

type Bounds = Pick<Context['options'], 'topicLevelsMax' | 'topicBytesMax'>;

/** Null where the subscription is made or changed. */
function subscribe(client: Client, wanted: ISubscription, identifier: number): Refusal | null {
  const { topic, nl = false, rap = false, rh = SEND } = wanted;
  const { options } = client.connection.context;
  const { group, filter } = splitShare(topic);
  // [MQTT-3.8.3-4]
  if (nl && group !== '') throw protocolError('a shared subscription has No Local set');
  const refusal = judge(filter, options) ?? judgeUser(client.user, filter);
  if (refusal !== null) return refusal;
  const { session } = client;
  const known = session.subscriptions.get(topic);
  const choices = { qos: wanted.qos, noLocal: nl, retainAsPublished: rap, identifier };
  if (known !== undefined) {
    known.options = choices;
    // [MQTT-3.3.1-9] [MQTT-3.8.4-3]
    if (rh === SEND && group === '') sendRetained(client, known, filter);
    return null;
  }
  if (session.subscriptions.size >= options.subscriptionsMax) {
    const why = `a client may have ${options.subscriptionsMax} topic filters (mqtt.subscriptions_max)`;
    return { code: reason.quotaExceeded, why };
  }
  const subscription = beginSubscription(session, topic, choices);
  // A shared subscription gets none [MQTT5 4.8.2].
  if (rh !== DO_NOT_SEND && group === '') sendRetained(client, subscription, filter);
  return null;
}

/** A new subscription of a session; the filter has been judged. */
export function beginSubscription(session: Session, topic: string, options: SubscriptionOptions): TopicSubscription {
  const { router, system } = session.context;
  const { group, filter } = splitShare(topic);
  const isSystem = filter.startsWith(SYSTEM_PREFIX);
  const subscription = new TopicSubscription(session, isSystem ? system.router : router, filter, group, options);
  session.subscriptions.set(topic, subscription);
  subscription.begin();
  return subscription;
}

function sendRetained(client: Client, subscription: TopicSubscription, filter: string): void {
  const { retained, system } = client.connection.context;
  const source = filter.startsWith(SYSTEM_PREFIX) ? system : retained;
  if (source === null) return;
  client.sendRetained(subscription, inTurn(subscription.filters.map((subject) => source.matching(subject))));
}

/** `$share/{group}/{filter}` [MQTT-4.8.2-1] [MQTT-4.8.2-2]; a filter of '' where the share name is not legal. */
function splitShare(topic: string): { group: string; filter: string } {
  if (!topic.startsWith(SHARE)) return { group: '', filter: topic };
  const slash = topic.indexOf('/', SHARE.length);
  const group = slash < 0 ? '' : topic.slice(SHARE.length, slash);
  if (group === '' || group.includes('+') || group.includes('#')) return { group: '', filter: '' };
  return { group, filter: topic.slice(slash + 1) };
}

/** Of `x/#`, which matches `x` as well, only what is below `x` must be allowed: `x` is left out where it is not. */
function judgeUser(user: User | null, filter: string): Refusal | null {
  const [first = ''] = filterToSubjects(filter);
  if (user === null || user.maySubscribe(first)) return null;
  return { code: reason.notAuthorized, why: 'the user may not subscribe to a topic filter' };
}

function judge(filter: string, { topicLevelsMax, topicBytesMax }: Bounds): Refusal | null {
  if (!isTopicFilter(filter)) {
    return {
      code: reason.topicFilterInvalid,
      why: 'a topic filter is empty, or has a wildcard within a level or after #',
    };
  }
  if (filter.startsWith('$') && !filter.startsWith(SYSTEM_PREFIX)) {
    // Interest goes up to the hub, where `$JS.API` and other services live.
    return { code: reason.notAuthorized, why: 'a topic filter begins with $, which is for the server itself' };
  }
  if (levelsOf(filter) > topicLevelsMax) {
    const why = `a topic filter has more than ${topicLevelsMax} levels (mqtt.topic_levels_max)`;
    return { code: reason.topicFilterInvalid, why };
  }
  if (Buffer.byteLength(filter) > topicBytesMax) {
    return {
      code: reason.topicFilterInvalid,
      why: `a topic filter is longer than ${topicBytesMax} bytes (mqtt.topic_bytes_max)`,
    };
  }
  return null;
}
