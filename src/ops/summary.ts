import { atTheBound, fillOf, isOffline, LANE_FULL, LANE_NEARLY_FULL } from './health.ts';
import type { Facts, LaneFacts } from './snapshot.ts';
import { bytes, clause, counted, percent, sentences, span } from './words.ts';

/** A sensor counts as present when it has been heard of within this time. */
const PRESENT_MS = 60_000;
/** Longer backlogs are worth an estimate of when they will be sent. */
const CATCHING_UP_MIN_RECORDS = 1000;

/**
 * The state of the box in plain words, for somebody who opens the page and wants to know one thing: is it well? What is
 * wrong comes first, with its cure; then what that means for the messages.
 */
export function summary(facts: Facts): string {
  return (
    cannotTakeData(facts) ??
    withoutUpstream(facts) ??
    offline(facts) ??
    starting(facts) ??
    blocked(facts) ??
    connected(facts)
  );
}

function cannotTakeData(facts: Facts): string | null {
  const { store, mqtt } = facts;
  if (store.state === 'failed') {
    const { message, hint } = store.error ?? { message: 'the store does not commit', hint: '' };
    return sentences(`New messages are not kept: ${clause(message)}`, hint || 'Check the disk, then restart the box');
  }
  if (store.state === 'full') {
    const room = `${bytes(store.freeBytes)} free, ${bytes(store.reserveBytes)} kept in reserve`;
    return sentences(
      `The disk is down to its reserve (${room}), so new messages are refused`,
      `${kept(facts)}; free some space, or lower max_bytes of the lanes`,
    );
  }
  if (mqtt.listeners.length === 0) {
    return sentences('No MQTT listener is open, so no sensor can connect', 'Add one under mqtt.listeners');
  }
  return null;
}

function withoutUpstream(facts: Facts): string | null {
  if (facts.link.state !== 'off') return null;
  const what = depthOf(facts) === 0 ? 'messages will be kept here until there is one' : kept(facts).toLowerCase();
  return sentences(`No upstream is configured: ${what}`, nearlyFull(facts), 'Set upstream.urls to send them to a hub');
}

function offline(facts: Facts): string | null {
  if (!isOffline(facts)) return null;
  const { link, gateway } = facts;
  const since = link.sinceMs === null ? '' : ` for ${span((gateway.nowMs - link.sinceMs) / 1000)}`;
  const why = link.lastError === null ? '' : ` (${clause(link.lastError.message)})`;
  const waiting = depthOf(facts) === 0 ? 'new messages are kept here' : kept(facts).toLowerCase();
  const cure = link.lastError?.hint ?? '';
  return sentences(`Offline${since}${why}; ${waiting} and will be sent once the link is back`, cure, nearlyFull(facts));
}

function starting(facts: Facts): string | null {
  if (facts.link.state !== 'connecting') return null;
  return sentences(`Started ${span(facts.gateway.uptimeS)} ago; connecting to ${facts.link.url}; ${sensors(facts)}`);
}

function blocked(facts: Facts): string | null {
  const lanes = facts.lanes.filter((lane) => lane.state === 'blocked');
  const [lane] = lanes;
  if (lane === undefined) return null;
  const others = lanes.length === 1 ? '' : ` (and ${counted(lanes.length - 1, 'other lane')})`;
  const reason = clause(lane.reason?.message ?? 'the hub does not take its messages');
  return sentences(
    `Connected to ${hubName(facts)}, but lane ${lane.name}${others} waits with ${counted(lane.depth, 'message')}: ${reason}`,
    lane.reason?.hint ?? '',
    nearlyFull(facts),
  );
}

function connected(facts: Facts): string {
  const { link, gateway } = facts;
  const since = link.sinceMs === null ? '' : ` for ${span((gateway.nowMs - link.sinceMs) / 1000)}`;
  return sentences(`Connected to ${hubName(facts)}${since}; ${progress(facts)}; ${sensors(facts)}`, nearlyFull(facts));
}

function progress(facts: Facts): string {
  const depth = depthOf(facts);
  if (depth === 0) return 'everything sent';
  const paused = facts.lanes.filter((lane) => lane.state === 'paused' && lane.depth > 0);
  if (paused.length > 0) {
    const why = paused[0]?.reason === null ? '' : ` (${clause(paused[0]?.reason.message ?? '')})`;
    return `${counted(depth, 'message')} wait while ${names(paused)} ${paused.length === 1 ? 'is' : 'are'} paused${why}`;
  }
  if (depth < CATCHING_UP_MIN_RECORDS) return `sending, ${counted(depth, 'message')} on the way`;
  const spans = facts.lanes.map((lane) => lane.timeToEmptyS ?? 0);
  const longest = Math.max(...spans);
  const left = longest > 0 ? `, done in about ${span(longest)}` : '';
  return `catching up, ${counted(depth, 'message')} still to send${left}`;
}

/** The fullest lane, where that is worth a sentence. */
function nearlyFull({ lanes }: Facts): string {
  const lane = lanes.reduce<LaneFacts | null>((a, b) => (a === null || fillOf(b) > fillOf(a) ? b : a), null);
  if (lane === null || fillOf(lane) < LANE_NEARLY_FULL) return '';
  if (fillOf(lane) >= LANE_FULL) return `Lane ${lane.name} is full: ${clause(atTheBound(lane, true))}`;
  const when = lane.timeToFullS === null ? '' : ` and will be full in ${span(lane.timeToFullS)}`;
  return `Lane ${lane.name} is ${percent(fillOf(lane))} full${when}; ${clause(atTheBound(lane, false))}`;
}

function depthOf({ lanes }: Facts): number {
  return lanes.reduce((sum, lane) => sum + lane.depth, 0);
}

function kept(facts: Facts): string {
  const depth = depthOf(facts);
  return depth === 0 ? 'No message is waiting' : `${counted(depth, 'message')} ${depth === 1 ? 'is' : 'are'} kept here`;
}

function sensors({ mqtt, gateway }: Facts): string {
  const present = mqtt.clients.filter((client) => client.lastSeenMs >= gateway.nowMs - PRESENT_MS).length;
  if (present > 0) return `${counted(present, 'sensor')} seen in the last minute`;
  return mqtt.clients.length === 0 ? 'no sensor connected' : 'no sensor seen in the last minute';
}

function hubName({ link }: Facts): string {
  return link.hub?.serverName || link.url || 'the hub';
}

function names(lanes: readonly LaneFacts[]): string {
  return `lane${lanes.length === 1 ? '' : 's'} ${lanes.map((lane) => lane.name).join(', ')}`;
}
