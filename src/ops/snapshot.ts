import type { FirmwareFacts, MqttFacts, NatsFacts, SerialPortFacts } from './snapshot-inputs.ts';
import type { CommandsFacts, LaneFacts, LedgerFacts, LossReason, StoreFacts, StreamFacts } from './snapshot-lanes.ts';

export type * from './snapshot-inputs.ts';
export * from './snapshot-lanes.ts';

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

export interface Problem extends Failure {
  /** What it concerns: 'store', 'mqtt', 'upstream' or `lane <name>`. */
  part: string;
  /** failing: the box can't take data. degraded: it can, and something needs a look. */
  severity: 'failing' | 'degraded';
  sinceMs: number | null;
}
