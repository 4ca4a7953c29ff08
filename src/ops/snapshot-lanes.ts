import type { Failure } from './snapshot.ts';

/* Of a `Snapshot`: what is kept and where it goes. */

export type LaneState = 'no-upstream' | 'waiting-for-link' | 'reconciling' | 'sending' | 'idle' | 'blocked' | 'paused';

export interface LaneFacts {
  name: string;
  subjects: string[];
  priority: number;
  /** How the lane syncs exactly once. */
  procedure: 'own-stream' | 'atomic-batch' | 'read-back';
  state: LaneState;
  /** Why it is blocked or paused. */
  reason: Failure | null;
  /** Records not yet acknowledged by the hub. */
  depth: number;
  bytes: number;
  bytesMax: number;
  /** When the oldest record not yet acknowledged came in. */
  oldestMs: number | null;
  inFlight: number;
  lastSequence: number;
  ackedSequence: number;
  rateInPerS: number;
  rateOutPerS: number;
  /** null while it isn't filling. */
  timeToFullS: number | null;
  /** null while it isn't emptying. */
  timeToEmptyS: number | null;
  full: 'refuse' | 'drop-oldest';
  /** In plain words, what would go first, for example 'the oldest messages of this lane'. */
  dropsFirst: string;
  counters: {
    appended: number;
    acknowledged: number;
    evicted: number;
    expired: number;
    refused: number;
    duplicates: number;
    resent: number;
  };
}

export interface StreamFacts {
  name: string;
  /** missing: what is for it waits. differs: not as it was asked for. unknown: the hub has not said yet. */
  state: 'unknown' | 'ok' | 'created' | 'differs' | 'missing' | 'refused';
  replicas: number;
  /** What to do about it; advice: it works, and could be safer. */
  notes: (Failure & { isAdvice: boolean })[];
}

export interface CommandsFacts {
  stream: string;
  /** The consumer at the hub. */
  durable: string;
  filter: string;
  /** synchronizing: what the hub has already sent comes again first, so that the order is kept. */
  state: 'waiting-for-link' | 'synchronizing' | 'ready' | 'blocked';
  reason: Failure | null;
  /** In hand, for want of a subscriber or on their way. */
  held: number;
  /** At the hub, not delivered yet. */
  pending: number;
  /** Stream sequence of the newest one that came. */
  lastSequence: number;
  counters: Record<'delivered' | 'duplicates' | 'expired' | 'undeliverable', number>;
}

export const lossReasons = [
  'evicted',
  'expired',
  'refused',
  'undecodable',
  'corrupt',
  'oversize',
  'forgotten',
] as const;

export type LossReason = (typeof lossReasons)[number];

/** The ledger rows a snapshot carries at most: enough to see what happened, the store keeps the rest. */
export const LEDGER_ROWS_MAX = 100;

export interface LedgerFacts {
  lane: string;
  /** unassigned: numbers without a message, or with one that the hub has. No loss. */
  reason: LossReason | 'unassigned';
  count: number;
  /** null where the messages never got a sequence number (refused). */
  firstSequence: number | null;
  lastSequence: number | null;
  atMs: number;
  /** The hub has acknowledged this row. */
  synced: boolean;
}

export interface StoreFacts {
  /** full: the disk is down to the reserve. failed: commits don't succeed. */
  state: 'ok' | 'full' | 'failed';
  error: Failure | null;
  epoch: string;
  fileBytes: number;
  freeBytes: number;
  reserveBytes: number;
  commits: number;
  /** Spans in milliseconds; null before the first commit. */
  fsyncP50Ms: number | null;
  fsyncP99Ms: number | null;
  /** Messages handed over and not yet committed. */
  queuedMessages: number;
  /** Null where every receipt waits for an fsync. */
  saver: SaverFacts | null;
  /** A damaged store was made anew of what could be read: when, and what came over. Null: never. */
  mended: { atMs: number; note: string } | null;
  wear: WearFacts;
}

/** Where the hub's PubAck may be the receipt (journal.flush). Counts are since the start. */
export interface SaverFacts {
  holdMs: number;
  /** Messages that wait for the hub's PubAck in memory. */
  held: number;
  /** Messages that the hub took before they had to be written. */
  spared: number;
  /** Messages that were held and then written. */
  written: number;
}

/** What the box writes to its card. The hour and the day are scaled from what was seen while that is less. */
export interface WearFacts {
  /** Since the box started, by the kernel's count of this process. */
  bytesWritten: number;
  commits: number;
  /** null where too little of the hour or the day has been seen since the start. */
  bytesPerHour: number | null;
  bytesPerDay: number | null;
  commitsPerHour: number | null;
  commitsPerDay: number | null;
  /** Projected from journal.endurance; null where that is not given, or too little has been seen. */
  cardLifeDays: number | null;
}
