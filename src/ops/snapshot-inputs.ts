import type { Failure } from './snapshot.ts';

/* Of a `Snapshot`: who is connected, and by what. */

export interface MqttFacts {
  /** The listeners that are open. */
  listeners: { host: string; port: number; connections: number }[];
  counters: Record<string, number>;
  /** Null where retained messages are off. */
  retained: RetainedFacts | null;
  /** Persistent ones; null where every session ends with its connection. */
  sessions: SessionFacts | null;
  clients: ClientFacts[];
  /** Sensors that went without a word within the last day and have not come again; `clients`: the newest ones. */
  lost: { count: number; clients: LostClientFacts[] };
}

export interface LostClientFacts {
  /** As the client gave it: any text at all. */
  clientId: string;
  remote: string;
  lastSeenMs: number;
  messagesIn: number;
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
  /** '' for an anonymous one. */
  user: string;
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
