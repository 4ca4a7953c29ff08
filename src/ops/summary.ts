import { isOffline, problems } from './health.ts';
import type { Facts, LaneFacts, Problem } from './snapshot.ts';
import { bytes, clause, counted, printable, sentences, span } from './words.ts';

/** A sensor counts as present when it has been heard of within this time. */
const PRESENT_MS = 60_000;
/** Longer backlogs are worth an estimate of when they will be sent. */
const CATCHING_UP_MIN_RECORDS = 1000;
/** Of the name of a sensor that is missing, in the sentence. */
const NAME_CHARACTERS_MAX = 40;
/** Of several things that are wrong the first of these is told, since with it something may be lost; else the first one. */
const MOST_URGENT = ['lane_full', 'lane_nearly_full', 'store_mended', 'disk_low', 'disk_slow', 'clock_untrusted'];

/** How the box stands in one clause, and which of the `problems` that tells already. */
interface Standing {
  readonly text: string;
  /** Nothing is wrong with it: what else is wrong comes first, then. */
  readonly isGood: boolean;
  readonly isTold: (problem: Problem) => boolean;
}

/**
 * The state of the box in plain words, for somebody who opens the page and wants to know one thing: is it well? What is
 * wrong comes first, with its cure; then what that means for the messages. Of several things that are wrong one is told,
 * and how many others there are.
 */
export function summary(facts: Facts): string {
  const standstill = cannotTakeData(facts);
  if (standstill !== null) return standstill;
  const { text, isGood, isTold } =
    withoutUpstream(facts) ?? offline(facts) ?? starting(facts) ?? blocked(facts) ?? connected(facts);
  const others = problems(facts).filter((problem) => !isTold(problem));
  const [worst] = others.toSorted((a, b) => urgency(a) - urgency(b));
  if (worst === undefined) return sentences(text, missing(facts));
  const fault = sentences(worst.message, worst.hint);
  const more = others.length === 1 ? '' : `${counted(others.length - 1, 'other thing')} to look at, see below`;
  return isGood ? sentences(fault, text, more) : sentences(text, fault, more);
}

function urgency({ code }: Problem): number {
  const place = MOST_URGENT.indexOf(code);
  return place < 0 ? MOST_URGENT.length : place;
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

function withoutUpstream(facts: Facts): Standing | null {
  if (facts.link.state !== 'off') return null;
  const what = depthOf(facts) === 0 ? 'messages will be kept here until there is one' : kept(facts).toLowerCase();
  const text = sentences(`No upstream is configured: ${what}`, 'Set upstream.urls to send them to a hub');
  return { text, isGood: false, isTold: () => false };
}

function offline(facts: Facts): Standing | null {
  if (!isOffline(facts)) return null;
  const { link, gateway } = facts;
  const since = link.sinceMs === null ? '' : ` for ${span((gateway.nowMs - link.sinceMs) / 1000)}`;
  const why = link.lastError === null ? '' : ` (${clause(link.lastError.message)})`;
  const waiting = depthOf(facts) === 0 ? 'new messages are kept here' : kept(facts).toLowerCase();
  const text = `Offline${since}${why}; ${waiting} and will be sent once the link is back`;
  return {
    text: sentences(text, link.lastError?.hint ?? ''),
    isGood: false,
    isTold: ({ part }) => part === 'upstream',
  };
}

function starting(facts: Facts): Standing | null {
  if (facts.link.state !== 'connecting') return null;
  const text = `Started ${span(facts.gateway.uptimeS)} ago; connecting to ${facts.link.url}; ${sensors(facts)}`;
  return { text, isGood: true, isTold: () => false };
}

function blocked(facts: Facts): Standing | null {
  const lanes = facts.lanes.filter((lane) => lane.state === 'blocked');
  const [lane] = lanes;
  if (lane === undefined) return null;
  const others = lanes.length === 1 ? '' : ` (and ${counted(lanes.length - 1, 'other lane')})`;
  const reason = clause(lane.reason?.message ?? 'the hub does not take its messages');
  const text = `Connected to ${hubName(facts)}, but lane ${lane.name}${others} waits with ${counted(lane.depth, 'message')}: ${reason}`;
  const codes = new Set(lanes.map(({ reason: one }) => one?.code ?? 'hub_error'));
  return {
    text: sentences(text, lane.reason?.hint ?? ''),
    isGood: false,
    // The stream says the same of itself.
    isTold: ({ part, code }) => (part.startsWith('lane ') && codes.has(code)) || part.startsWith('stream '),
  };
}

function connected(facts: Facts): Standing {
  const { link, gateway } = facts;
  const since = link.sinceMs === null ? '' : ` for ${span((gateway.nowMs - link.sinceMs) / 1000)}`;
  const text = `Connected to ${hubName(facts)}${since}; ${progress(facts)}; ${sensors(facts)}`;
  return { text, isGood: true, isTold: () => false };
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

/** Sensors that went without a word. */
function missing({ mqtt, gateway }: Facts): string {
  const { count, clients } = mqtt.lost;
  const gone = clients.find(({ lastSeenMs }) => lastSeenMs < gateway.nowMs - PRESENT_MS);
  if (gone === undefined) return '';
  const others = count === 1 ? '' : ` (and ${counted(count - 1, 'other sensor')})`;
  const name = printable(gone.clientId, NAME_CHARACTERS_MAX);
  const since = span((gateway.nowMs - gone.lastSeenMs) / 1000);
  return `Nothing has come from ${name}${others} for ${since}: check its power and its network`;
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
