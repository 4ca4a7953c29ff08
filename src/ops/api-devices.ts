/* Of the API (api.ts): what is connected, and the messages that pass. */

export const deviceKinds = ['mqtt', 'nats', 'serial', 'board', 'entity', 'unit'] as const;
export type DeviceKind = (typeof deviceKinds)[number];

export interface Device {
  /** `mqtt:<client id>`, `nats:<number>`, `serial:<port>`, `unit:<port>/<number>`, `board:<port>/<board>`, …: unique. */
  id: string;
  kind: DeviceKind;
  /** As it names itself: any text at all. */
  name: string;
  /** Id of the device that it sits on: a serial port, a board; '' for none. */
  parent: string;
  state: 'connected' | 'silent' | 'faulty' | 'absent';
  /** User that it signed in as; '' for none. */
  user: string;
  /** `MQTT 5.0`, `nats.js 3.4.0`, `/dev/ttyUSB0`, … */
  protocol: string;
  /** Address and port, or ''. */
  remote: string;
  connectedAtMs: number | null;
  lastSeenMs: number | null;
  /** Over the last 5 to 10 s. */
  rateInPerS: number;
  rateOutPerS: number;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Dropped, undecodable, unanswered. */
  errors: number;
  lastError: string;
  subscriptions: number;
  /** The last message that came from it since somebody looked at the devices; null: none yet. */
  lastValue: { subject: string; atMs: number; bytes: number; payload: Payload } | null;
  /** Whether `POST /api/devices/kick` ends it. */
  canKick: boolean;
}

/**
 * `GET /api/devices?q=&kind=&sort=&order=&offset=&limit=`. `q`: part of name, remote, user or protocol. `sort`: a key of
 * `DeviceSort`; `order`: asc or desc. `limit` 1 to 5000, default 100.
 */
export interface DevicePage {
  devices: Device[];
  /** That fit `q` and `kind`, and of each kind without them. */
  total: number;
  byKind: Record<DeviceKind, number>;
  nowMs: number;
}

export const deviceSorts = [
  'name',
  'kind',
  'state',
  'remote',
  'lastSeenMs',
  'connectedAtMs',
  'rateInPerS',
  'rateOutPerS',
  'messagesIn',
  'messagesOut',
  'errors',
] as const;

export type DeviceSort = (typeof deviceSorts)[number];

/** `POST /api/devices/kick`: ends a connection, the client may come again. Answers `{}`; 404 where it has gone. */
export interface Kick {
  id: string;
}

/** Bytes as they are fit to show: `text` where they are UTF-8, else `base64`. */
export interface Payload {
  encoding: 'text' | 'base64';
  data: string;
  /** Of the whole payload; more than `data` holds where it was cut. */
  bytes: number;
  isCut: boolean;
}

/**
 * Events of `GET /api/tail?filter=&rate=` (server-sent events). `filter`: a subject filter or a topic filter (one with
 * `/`, `+` or `#`), up to 16 of them by repeating it. `rate`: messages a second at most, 1 to 1000, default 50.
 * `message`: TailMessage. `tail`: TailCount, every second. Only what passes the box is seen, and nothing is asked of the
 * hub for it. 503 `no_place` with 8 open already.
 */
export interface TailMessage {
  subject: string;
  /** The same as an MQTT topic; '' where it is none. */
  topic: string;
  reply: string;
  /** As they came, in order. */
  headers: [name: string, value: string][];
  payload: Payload;
  atMs: number;
  /** `mqtt sensor-7`, `serial meter`, `hub`, … */
  from: string;
}

export interface TailCount {
  matched: number;
  /** Not shown, because of the rate or because the page reads too slowly. */
  skipped: number;
}

/** `POST /api/publish` (operator): answers `Published`. */
export interface Publish {
  /** A subject, or a topic where it has a `/`; without wildcards. */
  subject: string;
  payload: string;
  /** How `payload` is written; default text. */
  encoding?: 'text' | 'hex' | 'base64';
  headers?: [name: string, value: string][];
  /** Keep it as the retained message of this topic. */
  retain?: boolean;
}

export interface Published {
  /** Number in its lane; null where no lane takes it and it was passed on live. */
  sequence: number | null;
  lane: string;
  /** Parties on the box that got it at once. */
  reached: number;
}

/** `POST /api/request` (operator): as publish, and waits for one answer. 504 `request_timeout` where none comes. */
export interface Request extends Publish {
  /** 100 to 30000, default 2000. */
  timeoutMs?: number;
}

export interface Reply {
  subject: string;
  headers: [name: string, value: string][];
  payload: Payload;
  tookMs: number;
}
