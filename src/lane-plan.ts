import type { Config } from './config/schema.ts';
import type { JournalLane } from './store/journal-types.ts';
import { LATE_SUFFIX } from './store/late-parts.ts';
import type { LaneForwarderOptions } from './upstream/lane-forwarder-types.ts';

/** What becomes of the configured lanes: those of the journal, and how the forwarder sends each. */

/** Carries the ledger's own messages, so that a full lane cannot keep its losses from being told. */
const LEDGER_LANE = 'petiole-ledger';
/** A row is some 200 bytes and rows merge: years of losses. */
const LEDGER_BYTES_MAX = 16 * 1024 * 1024;
/** Of a live-first lane, what goes up at once needs the lesser part of the space. */
const LIVE_SHARE = 1 / 4;

/** The lanes of the journal: the configured ones, the late parts of those that are live-first, the ledger's last. */
export function journalLanes(config: Config): JournalLane[] {
  const { compress } = config.journal;
  const parted = config.lanes.filter(({ drain }) => drain === 'live-first');
  const lanes = config.lanes.map((lane): JournalLane => {
    const { name, subjects, replies, full, priority, maxBytes, maxAgeMs } = lane;
    const whole = { name, subjects, replies, full, priority, bytesMax: maxBytes, ageMaxMs: maxAgeMs, compress };
    const late = parted.indexOf(lane);
    return late < 0
      ? whole
      : { ...whole, bytesMax: Math.floor(maxBytes * LIVE_SHARE), late: config.lanes.length + late };
  });
  // No filter leads to these: to the late parts the journal itself, and to the ledger's lane only the ledger.
  for (const { name, replies, full, priority, maxBytes, maxAgeMs: ageMaxMs } of parted) {
    const bytesMax = Math.ceil(maxBytes * (1 - LIVE_SHARE));
    lanes.push({ name: `${name}${LATE_SUFFIX}`, subjects: [], replies, full, priority, bytesMax, ageMaxMs, compress });
  }
  const ledger = { name: LEDGER_LANE, subjects: [], priority: 1, bytesMax: LEDGER_BYTES_MAX, ageMaxMs: 0, compress };
  return [...lanes, { ...ledger, replies: 'pass', full: 'refuse' }];
}

export function ledgerSubject({ gateway }: Config): string {
  return `petiole.${gateway.name}.ledger`;
}

type LaneUp = Pick<LaneForwarderOptions, 'name' | 'subjects' | 'priority' | 'stream' | 'isLate'>;

/** What the forwarder is told of a lane; one that only the store still knows goes last. */
export function laneUp(config: Config, name: string): LaneUp {
  const isLate = name.endsWith(LATE_SUFFIX);
  const base = isLate ? name.slice(0, -LATE_SUFFIX.length) : name;
  const lane = config.lanes.find((configured) => configured.name === base);
  // A lane that is not live-first any more has the stream to itself where it is its own: the rest goes by read-back.
  if (lane && isLate) return { ...lane, name, isLate, stream: lane.stream && { ...lane.stream, own: false } };
  if (lane) return lane;
  const subjects = name === LEDGER_LANE ? [ledgerSubject(config)] : ['>'];
  return { name, subjects, priority: 9, stream: null };
}
