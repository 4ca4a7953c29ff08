import type { HealthzAnswer, Role } from './api.ts';
import type {
  Facts,
  Failure,
  LaneFacts,
  LedgerFacts,
  LossReason,
  NoticeFacts,
  Problem,
  SerialPortFacts,
  Snapshot,
} from './snapshot.ts';
import { ago, bytes, clause, counted, milliseconds, percent, span } from './words.ts';

/** From here on a lane is worth a warning: time is left to act before anything goes. */
export const LANE_NEARLY_FULL = 0.9;
/** Eviction frees room in chunks, so that a lane at its bound swings a little below it. */
export const LANE_FULL = 0.98;
/** A lane more than half full that gets there within this time is worth a warning, whatever its share. */
export const LANE_FULL_SOON_S = 3600;
/** A card whose slowest commits take this long is worn out or overloaded; healthy ones stay below 200 ms. */
export const FSYNC_SLOW_MS = 1000;
/** The same of every second commit: a healthy card takes 5 to 30 ms. */
export const FSYNC_TYPICAL_SLOW_MS = 200;
/** A store that was mended stays worth a look so long. */
export const MENDED_RECENT_MS = 24 * 3_600_000;
/** Free space below this multiple of the reserve is worth a warning. */
export const DISK_LOW = 1.25;
/** From here on the retained messages are worth a warning: a new one may be refused soon. */
export const RETAINED_NEARLY_FULL = 0.95;
/** How long a loss stays a problem; after that it is history, in the ledger. */
export const LOSS_RECENT_MS = 3_600_000;

const CURES: Record<LossReason, string> = {
  evicted: 'Mend the link, or raise max_bytes of the lane, so that the backlog fits',
  expired: 'Mend the link, or raise max_age of the lane',
  refused: 'The publisher was told; raise max_bytes of the lane, or let it drop the oldest',
  undecodable: 'Look at what the device sends',
  corrupt: 'The disk gave back damaged records: check it, and replace a worn card',
  forgotten:
    'Let the hub acknowledge only what is safe there (replicas, or sync_interval: always), or raise keep_after_ack',
  oversize: 'Raise max_payload at the hub, or lower the packet size limit of the box',
};

/** Everything that is wrong now, what stops the box from taking data first; then in the order of the data path. */
export function problems(facts: Facts): Problem[] {
  const found = [...inputProblems(facts), ...retainedProblems(facts), ...storeProblems(facts)];
  found.push(...clockProblems(facts), ...linkProblems(facts));
  for (const lane of facts.lanes) found.push(...laneProblems(lane, facts.link.state === 'up'));
  found.push(
    ...facts.serial.flatMap(serialProblems),
    ...streamProblems(facts),
    ...commandProblems(facts),
    ...recentLosses(facts),
    ...facts.notices.map(noticeProblem),
  );
  // Sorting is stable: the order of the data path stays within each severity.
  return found.sort((a, b) => Number(b.severity === 'failing') - Number(a.severity === 'failing'));
}

/** The answer of `/healthz`. */
export interface Health {
  statusCode: 200 | 503;
  body: HealthzAnswer;
}

/** 503 only where the box can't take data. Offline is normal for a box at the edge: degraded, with 200. Why is not for strangers. */
export function healthz(snapshot: Snapshot, role: Role = 'viewer'): Health {
  const failing = snapshot.problems.some((problem) => problem.severity === 'failing');
  const status = failing ? 'failing' : snapshot.problems.length > 0 ? 'degraded' : 'ok';
  return { statusCode: failing ? 503 : 200, body: { status, problems: role === 'none' ? [] : snapshot.problems } };
}

/** The share of its bytes that a lane uses, 0 to 1. */
export function fillOf(lane: LaneFacts): number {
  return lane.bytesMax === 0 ? 0 : Math.min(1, lane.bytes / lane.bytesMax);
}

/** True where the link is down, rather than off or just being made for the first time. */
export function isOffline({ link }: Facts): boolean {
  if (link.state === 'waiting' || link.state === 'stopped') return true;
  return link.state === 'connecting' && (link.lastError !== null || link.reconnects > 0);
}

function inputProblems({ mqtt }: Facts): Problem[] {
  if (mqtt.listeners.length > 0) return [];
  const message = 'No MQTT listener is open: sensors cannot connect';
  const hint = 'Add one under mqtt.listeners, or read in the log why it did not open';
  return [{ part: 'mqtt', severity: 'failing', code: 'no_listener', message, hint, sinceMs: null }];
}

function serialProblems(port: SerialPortFacts): Problem[] {
  const part = `serial ${port.name}`;
  const found: Problem[] = [];
  const add = (code: string, message: string, hint: string): void => {
    found.push({ part, severity: 'degraded', code, message, hint, sinceMs: port.lastSeenMs });
  };
  if (port.state !== 'open' && port.lastError !== null) {
    const plug = 'Plug it in, or see with `petiole serial list` what it is called now';
    const { code, message, hint } = port.lastError;
    add(code, `Serial port ${port.name}: ${clause(message)}`, hint || (port.state === 'absent' ? plug : ''));
  }
  if (port.isFlooding) {
    const message = 'The device sends more than the box reads of one port';
    add('port_floods', message, 'Check its baud rate and its wiring, or let it send less often');
  }
  if (port.swap !== '') {
    const message = `The device on ${port.node} speaks like that of the port ${port.swap}`;
    add('port_swapped', message, 'Two plugs were swapped: put them back, or name the ports by serial number or place');
  }
  if (port.board !== null && !port.board.isThere) {
    const message = `The board ${port.board.identity} is away: nothing comes from it`;
    add('board_away', message, 'Check its power and its wiring; the port itself is open');
  }
  for (const unit of port.units.filter(({ state }) => state === 'silent')) {
    const message = `The Modbus unit ${unit.unit} (${unit.name}) does not answer: ${unit.lastError}`;
    add('unit_silent', message, 'Check its power, address, wiring and baud rate');
  }
  return found;
}

function retainedProblems({ mqtt }: Facts): Problem[] {
  if (mqtt.retained === null) return [];
  const { count, countMax, bytes: size, bytesMax, left } = mqtt.retained;
  const isFull = count >= countMax * RETAINED_NEARLY_FULL || size >= bytesMax * RETAINED_NEARLY_FULL;
  if (!isFull && left === 0) return [];
  const kept = `${count} of ${countMax} retained messages, ${bytes(size)} of ${bytes(bytesMax)}`;
  const message =
    left > 0
      ? `${counted(left, 'retained message')} of the store are beyond the limits and not delivered (${kept})`
      : `There is hardly room for retained messages (${kept}): new ones are refused at the limit`;
  const hint = 'Raise mqtt.retained_max or mqtt.retained_bytes_max, or clear retained messages that nobody needs';
  return [{ part: 'mqtt', severity: 'degraded', code: 'retained_full', message, hint, sinceMs: null }];
}

function storeProblems({ store, gateway }: Facts): Problem[] {
  const part = 'store';
  if (store.state === 'failed') {
    const error = store.error ?? { code: 'store_failed', message: 'The store does not commit', hint: '' };
    const hint = error.hint || 'Check the disk, then restart the box';
    return [{ part, severity: 'failing', code: error.code, message: error.message, hint, sinceMs: null }];
  }
  const found: Problem[] = [];
  const room = `${bytes(store.freeBytes)} free, ${bytes(store.reserveBytes)} kept in reserve`;
  if (store.state === 'full') {
    const message = `The disk is down to its reserve (${room}): new messages are refused`;
    const hint = 'Free some space, mend the link so that the backlog drains, or lower max_bytes of the lanes';
    found.push({ part, severity: 'failing', code: 'disk_full', message, hint, sinceMs: null });
  } else if (store.freeBytes < store.reserveBytes * DISK_LOW) {
    const message = `The disk is nearly down to its reserve (${room})`;
    const hint = 'Free some space before new messages have to be refused';
    found.push({ part, severity: 'degraded', code: 'disk_low', message, hint, sinceMs: null });
  }
  const { fsyncP50Ms: typicalMs, fsyncP99Ms: slowestMs, mended } = store;
  if ((slowestMs ?? 0) >= FSYNC_SLOW_MS || (typicalMs ?? 0) >= FSYNC_TYPICAL_SLOW_MS) {
    const message = `The disk is slow: a commit takes ${milliseconds(typicalMs)}, the slowest ${milliseconds(slowestMs)}`;
    const hint = 'A card this slow is often worn out: plan to replace it';
    found.push({ part, severity: 'degraded', code: 'disk_slow', message, hint, sinceMs: null });
  }
  if (mended !== null && gateway.nowMs - mended.atMs < MENDED_RECENT_MS) {
    const message = `The store was damaged, and has been mended ${ago(mended.atMs, gateway.nowMs)}: ${mended.note}`;
    const hint = 'Nothing need be done now; where it happens again, replace the card';
    found.push({ part, severity: 'degraded', code: 'store_mended', message, hint, sinceMs: mended.atMs });
  }
  return found;
}

function clockProblems({ clock, gateway }: Facts): Problem[] {
  if (clock.trust !== 'untrusted') return [];
  const shown = `${new Date(gateway.nowMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  const message = `The time is not known (the clock says ${shown}): no message grows too old, and what comes in is marked until it is`;
  const hint = 'Let the box reach a time server (timedatectl, chronyc), or fit a clock with a battery';
  return [{ part: 'clock', severity: 'degraded', code: 'clock_untrusted', message, hint, sinceMs: null }];
}

function linkProblems(facts: Facts): Problem[] {
  const { lastError, sinceMs, url, state } = facts.link;
  // What this hub can't do for the box: isolation, headers.
  if (state === 'up' && lastError !== null) {
    return [{ part: 'upstream', severity: 'degraded', ...failureOf(lastError), sinceMs }];
  }
  if (!isOffline(facts)) return [];
  const error = lastError ?? { code: 'not_connected', message: `There is no link to ${url}`, hint: '' };
  return [{ part: 'upstream', severity: 'degraded', ...failureOf(error), sinceMs }];
}

/** Advice is on the page only: a hub that works is no problem of the box. */
function streamProblems({ streams, link }: Facts): Problem[] {
  if (link.state !== 'up') return [];
  return streams.flatMap(({ name, notes }) =>
    notes
      .filter(({ isAdvice }) => !isAdvice)
      .map((note) => ({ part: `stream ${name}`, severity: 'degraded' as const, ...failureOf(note), sinceMs: null })),
  );
}

function commandProblems({ commands }: Facts): Problem[] {
  return commands
    .filter(({ state }) => state === 'blocked')
    .map(({ stream, reason }) => {
      const failure = reason ?? { code: 'hub_error', message: 'Commands do not come down', hint: '' };
      return { part: `commands ${stream}`, severity: 'degraded' as const, ...failureOf(failure), sinceMs: null };
    });
}

function laneProblems(lane: LaneFacts, isUp: boolean): Problem[] {
  const part = `lane ${lane.name}`;
  const found: Problem[] = [];
  if (lane.state === 'blocked') {
    const reason = lane.reason ?? { code: 'hub_error', message: 'The hub does not take its messages', hint: '' };
    found.push({ part, severity: 'degraded', ...failureOf(reason), sinceMs: lane.oldestMs });
  }
  const fill = fillOf(lane);
  const soon = lane.timeToFullS !== null && lane.timeToFullS <= LANE_FULL_SOON_S && fill > 0.5;
  if (fill < LANE_NEARLY_FULL && !soon) return found;
  const full = fill >= LANE_FULL;
  const when = full || lane.timeToFullS === null ? '' : ` and will be full in ${span(lane.timeToFullS)}`;
  const message = `Lane ${lane.name} is ${full ? 'full' : `${percent(fill)} full`}${when}`;
  const cure = isUp ? 'see what slows the way up, or raise' : 'mend the link, or raise';
  const hint = `${atTheBound(lane, full)}: ${cure} max_bytes of the lane`;
  found.push({
    part,
    severity: 'degraded',
    code: full ? 'lane_full' : 'lane_nearly_full',
    message,
    hint,
    sinceMs: null,
  });
  return found;
}

/** What happens, or will happen, at the bound of a lane. */
function atTheBound(lane: LaneFacts, now: boolean): string {
  if (lane.full === 'refuse') return now ? 'New messages are refused' : 'Then new messages will be refused';
  const first = lane.dropsFirst || 'the oldest messages';
  return now ? `To make room, ${first} are dropped` : `Then ${first} will be dropped`;
}

/** One problem for each lane and reason, however many ledger rows it has. */
function recentLosses({ ledger, gateway }: Facts): Problem[] {
  const groups = new Map<string, { row: LedgerFacts; reason: LossReason; lost: number; sinceMs: number }>();
  for (const row of ledger) {
    const { reason } = row;
    // Of the store as a whole, and told with that it was mended.
    if (row.lane === '*') continue;
    if (reason === 'unassigned' || row.atMs < gateway.nowMs - LOSS_RECENT_MS) continue;
    const key = `${reason} ${row.lane}`;
    const group = groups.get(key) ?? { row, reason, lost: 0, sinceMs: row.atMs };
    group.lost += row.count;
    group.sinceMs = Math.min(group.sinceMs, row.atMs);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ row, reason, lost, sinceMs }) => ({
    part: `lane ${row.lane}`,
    severity: 'degraded' as const,
    code: `lost_${reason}`,
    message: `${counted(lost, 'message')} of lane ${row.lane} will not reach the hub (${reason})`,
    hint: CURES[reason],
    sinceMs,
  }));
}

function noticeProblem(notice: NoticeFacts): Problem {
  return { part: notice.part, severity: 'degraded', ...failureOf(notice), sinceMs: notice.atMs };
}

function failureOf({ code, message, hint }: Failure): Failure {
  return { code, message, hint };
}
