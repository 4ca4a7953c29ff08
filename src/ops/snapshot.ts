/**
 * Everything the box knows about itself at one moment: the body of `/status.json`, and what the status page and
 * `petiole status` are drawn from. Plain data without secrets, bounded in size. Times ending in `Ms` are wall clock of
 * the box (milliseconds since 1970) unless they name a span; spans end in `S` or say so.
 */
export interface Snapshot {
  gateway: GatewayFacts;
  clock: ClockFacts;
  link: LinkFacts;
  /** In the order of the configuration. */
  lanes: LaneFacts[];
  /** The hub's streams that the lanes write to, or that the configuration asks for. */
  streams: StreamFacts[];
  /** Commands that come down from streams of the hub. */
  commands: CommandsFacts[];
  /** What will not reach the hub, newest first. */
  ledger: LedgerFacts[];
  /** Messages lost since the store was made, by reason. */
  losses: Record<LossReason, number>;
  store: StoreFacts;
  mqtt: MqttFacts;
  nats: NatsFacts;
  /** Devices on serial ports, in the order of the configuration. */
  serial: SerialPortFacts[];
  /** Null where there is no board. */
  firmware: FirmwareFacts | null;
  /** What programs around the box have left for its operator. */
  notices: NoticeFacts[];
  /** What is wrong now, worst first: computed from the rest by `problems()` in health.ts. */
  problems: Problem[];
}

/** A snapshot before it has been judged. */
export type Facts = Omit<Snapshot, 'problems'>;

/** A file in the folder `notices` beside the journal. */
export interface NoticeFacts extends Failure {
  part: string;
  atMs: number;
}

/** What `describeError` of core gives. */
export interface Failure {
  code: string;
  message: string;
  /** How to mend it; '' when there is nothing to say. */
  hint: string;
}

export interface GatewayFacts {
  name: string;
  version: string;
  pid: number;
  startedAtMs: number;
  /** When this snapshot was taken: every age on the page is counted from here, never from the reader's clock. */
  nowMs: number;
  uptimeS: number;
  /** Version of Node. */
  node: string;
  memory: { rssBytes: number; heapUsedBytes: number };
}

/** synced: a time server stands behind the clock. assumed: nothing speaks against it. */
export interface ClockFacts {
  trust: 'synced' | 'assumed' | 'untrusted';
  sinceMs: number;
  /** How often the clock was set while the box ran, and by how many milliseconds last. */
  steps: number;
  lastStepMs: number;
  /** Stretches of records whose time is not known, or was put right: they say so in Petiole-Time. */
  stretches: number;
}

/** off: no upstream is configured. waiting: between two attempts. stopped: there will be no further attempt. */
export type LinkState = 'off' | 'connecting' | 'up' | 'waiting' | 'stopped';

export interface HubFacts {
  serverName: string;
  version: string;
  cluster: string;
  domain: string;
  /** The hub's account that the box is bound to. */
  remoteAccount: string;
  /** Bytes. */
  maxPayload: number;
}

export interface LinkFacts {
  state: LinkState;
  /** Where the link goes to or tries to; '' when off. */
  url: string;
  hub: HubFacts | null;
  /** Since when the link has been up, or else since when the box has been without one. */
  sinceMs: number | null;
  /** Round trip of the last PING, a span in milliseconds. */
  rttMs: number | null;
  lastPubAckMs: number | null;
  /** While the link is up: what limits it, null if nothing does. */
  lastError: (Failure & { atMs: number }) | null;
  /** Milliseconds until the next attempt. */
  retryInMs: number | null;
  reconnects: number;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Live messages that did not go up, by cause. */
  drops: Record<string, number>;
}

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

export const lossReasons = ['evicted', 'expired', 'refused', 'undecodable', 'corrupt', 'oversize'] as const;
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
  bytesPerHour: number;
  bytesPerDay: number;
  commitsPerHour: number;
  commitsPerDay: number;
  /** Projected from journal.endurance; null where that is not given, or too little has been seen. */
  cardLifeDays: number | null;
}

export interface MqttFacts {
  /** The listeners that are open. */
  listeners: { host: string; port: number; connections: number }[];
  counters: Record<string, number>;
  /** Null where retained messages are off. */
  retained: RetainedFacts | null;
  /** Persistent ones; null where every session ends with its connection. */
  sessions: SessionFacts | null;
  clients: ClientFacts[];
}

export interface SessionFacts {
  count: number;
  countMax: number;
  /** Those of them whose client is there. */
  connected: number;
  /** QoS 1 and 2 messages that they have not acknowledged. */
  queued: number;
  bytes: number;
  bytesMax: number;
}

export interface RetainedFacts {
  count: number;
  countMax: number;
  bytes: number;
  bytesMax: number;
  /** On the disk and beyond the limits: not delivered. */
  left: number;
}

export interface ClientFacts {
  /** As the client gave it: any text at all. */
  clientId: string;
  remote: string;
  protocol: string;
  connectedAtMs: number;
  lastSeenMs: number;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  dropped: number;
  subscriptions: number;
  inflight: number;
}

export interface NatsFacts {
  /** The listeners that are open; none: there is no port for NATS clients. */
  listeners: { host: string; port: number; connections: number }[];
  /** Why there is none; '' where nobody wanted one. */
  note: string;
  counters: Record<string, number>;
  clients: NatsClientFacts[];
}

export interface NatsClientFacts {
  clientId: number;
  /** '' for an anonymous one. */
  user: string;
  /** What the client says of itself: any text at all, or none. */
  name: string;
  lang: string;
  version: string;
  remote: string;
  connectedAtMs: number;
  lastSeenMs: number;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  subscriptions: number;
  /** Bytes that it has not read yet. */
  pendingBytes: number;
}

export interface Problem extends Failure {
  /** What it concerns: 'store', 'mqtt', 'upstream' or `lane <name>`. */
  part: string;
  /** failing: the box can't take data. degraded: it can, and something needs a look. */
  severity: 'failing' | 'degraded';
  sinceMs: number | null;
}

/** Why a port is not read: absent until it is plugged in, waiting until the next attempt. */
export type SerialPortState = 'closed' | 'opening' | 'open' | 'absent' | 'waiting';

export interface SerialPortFacts {
  name: string;
  kind: 'frames' | 'modbus' | 'bridge';
  state: SerialPortState;
  /** Device node while it is open, '' otherwise. */
  node: string;
  opens: number;
  retryInMs: number | null;
  lastError: Failure | null;
  /** Line settings that the driver did not take. */
  refusedSettings: string;
  lastSeenMs: number | null;
  bytesIn: number;
  messagesIn: number;
  frames: number;
  /** Readings that the filters held back. */
  filtered: number;
  discardedBytes: number;
  undecodable: number;
  /** Bytes thrown away, and frames that could not be decoded, by cause. */
  discarded: Record<string, number>;
  faults: Record<string, number>;
  /** How often it was read no further for a moment, because it flooded. */
  throttled: number;
  isFlooding: boolean;
  /** Messages that their lane did not take. */
  refused: number;
  commands: number;
  commandsFailed: number;
  polls: number;
  pollsUnanswered: number;
  queued: number;
  /** Captures of the flight recorder: `GET /serial/<name>/capture`. */
  captures: number;
  /** The port whose device seems to be plugged in here; '' for none. */
  swap: string;
  units: readonly ModbusUnitFacts[];
  /** The board of a bridge; null for none. */
  board: BoardFacts | null;
}

/** A microcontroller that speaks the bridge's protocol, as it introduced itself. */
export interface BoardFacts {
  /** It was heard within its keep-alive time, or said that it would sleep. */
  isThere: boolean;
  sleepsUntilMs: number | null;
  identity: string;
  hardware: string;
  firmware: string;
  version: string;
  /** SHA-256 of its image; '' where it does not know. */
  hash: string;
  isOnTrial: boolean;
  check: 'crc32c' | 'crc16';
  frameBytesMax: number;
  window: number;
  resetReason: string;
  bootCount: number;
  /** Resets seen since the box started. */
  resets: number;
  uptimeMs: number;
  /** What the board had to throw away since its reset. */
  lost: number;
  subscriptions: readonly string[];
  entities: readonly EntityFacts[];
  /** Frames that did not come, came again, were refused and the like, by cause. */
  counters: Readonly<Record<string, number>>;
}

export interface EntityFacts {
  name: string;
  unit: string;
  type: string;
  isWritable: boolean;
  /** As on its subject; null before the first. */
  value: unknown;
  atMs: number | null;
}

/** Images for boards, and how far each is on its way. */
export interface FirmwareFacts {
  images: readonly { target: string; version: string; size: number; sha256: string }[];
  transfers: readonly TransferFacts[];
  /** Why the hub's bucket could not be read; '' where it could. */
  bucketError: string;
}

export interface TransferFacts {
  port: string;
  /** offered, approved, waiting, transferring, verifying, trial, confirmed, reverted, failed or cancelled. */
  state: string;
  target: string;
  version: string;
  versionBefore: string;
  size: number;
  /** Bytes that the board has stored. */
  offset: number;
  /** Why it waits, failed or was taken back. */
  reason: string;
  sinceMs: number;
}

export interface ModbusUnitFacts {
  unit: number;
  name: string;
  state: 'unknown' | 'answers' | 'silent';
  lastSeenMs: number | null;
  requests: number;
  failures: number;
  retryInMs: number | null;
  lastError: string;
}
