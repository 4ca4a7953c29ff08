import type { Failure, LaneFacts, LedgerFacts, Snapshot } from './snapshot.ts';
import type { Tone } from './view.ts';

/**
 * What the status server answers, as types: the page, the commands of the terminal and openapi.ts hold to them. All
 * bodies are JSON in UTF-8; times ending in `Ms` are milliseconds since 1970 by the box's clock unless they name a span.
 *
 * Who may ask for what is in `endpoints` at the end. A browser shows who it is by the session cookie that
 * `POST /api/session` sets (HttpOnly, SameSite=Strict); a program by `Authorization: Bearer <secret>`. Every request
 * but GET and HEAD that carries the cookie must carry the session's CSRF token, too, in the header `Petiole-CSRF`.
 *
 * A request that is not done is answered by `ApiError`, with 400 (it makes no sense), 401 (sign in), 403 (not with this
 * role, or no CSRF token), 404, 409 (not now), 413 (too large), 429 (too fast; Retry-After) or 503 (no place left).
 */

/** none: not signed in, and nothing is open to this address. viewer: reads. operator: also changes. */
export type Role = 'none' | 'viewer' | 'operator';

export interface ApiError {
  error: Failure;
}

export const CSRF_HEADER = 'petiole-csrf';

/** `GET /api/session`; answered to everybody. */
export interface SessionState {
  role: Role;
  /** Whether the role comes from a sign-in; false: from the address alone (status.viewer). */
  isSignedIn: boolean;
  /** For the header `Petiole-CSRF`; '' where nobody is signed in. */
  csrf: string;
  /** When the session ends unless it is used; null where there is none. */
  expiresAtMs: number | null;
  gateway: string;
  version: string;
  /** Seconds that a sign-in from this address has to wait now, after failures; 0: none. */
  retryInS: number;
  /** Only for a browser on the box itself, and only until somebody has signed in for the first time. */
  firstVisit: FirstVisit | null;
}

export interface FirstVisit {
  /** The operator's secret, in groups: `K7QXM-3F9TN-…`. */
  secret: string;
  /** Where a phone reaches the page: `https://192.168.1.20:8080/#sign-in=…`; '' where it listens on loopback alone. */
  url: string;
  /** A QR code of `url`, or else of the secret: `<svg viewBox="0 0 {size} {size}"><path d="{path}"/></svg>`, dark on light. */
  qr: { size: number; path: string };
}

/**
 * `POST /api/session`: signs in, answers a `SessionState` and sets the cookie. 401 `sign_in_failed` for a wrong secret
 * (hyphens, spaces and case do not matter), 429 `sign_in_too_fast` while the address has to wait.
 * `DELETE /api/session`: signs out, answers a `SessionState`.
 */
export interface SignIn {
  secret: string;
}

/** `GET /api/status`: the whole `Snapshot`, as `/status.json`. */
export type Status = Snapshot;

/**
 * The data of event `status` of `GET /api/events`, at once and then every second: the snapshot without the lists that
 * may be long, since those are asked for by `GET /api/devices`.
 */
export interface StatusFrame {
  /** mqtt.clients and nats.clients are empty; their counts stand in `clients`. */
  snapshot: Snapshot;
  clients: { mqtt: number; nats: number; serial: number };
  /** The sentence on top of the overview, and how bad it is. */
  sentence: string;
  tone: Tone;
  /** What `GET /api/config` calls `trial`: the page shows its countdown everywhere. */
  trial: ConfigTrial | null;
}

/**
 * Events of `GET /api/events?topics=status,health,logs` (server-sent events; without `topics`: status and health):
 * `status`: StatusFrame, every second. `health`: HealthSample, as it is taken, the last one at once.
 * `log`: LogLine, as it is written. `bye`: the box stops (`{}`): ask again until it is back.
 */
export type EventName = 'status' | 'health' | 'log' | 'bye';

/* Devices */

export type DeviceKind = 'mqtt' | 'nats' | 'serial' | 'board' | 'entity' | 'unit';

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

/* Live */

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

/* Journal */

/** `GET /api/journal`. */
export interface JournalState {
  lanes: LaneFacts[];
  /** The drain: what is paused, by whom, how long still. Null without an upstream. */
  drain: {
    paused: { lane: string; sinceMs: number; by: string; leftMs: number | null }[];
    windows: readonly string[];
    windowOpen: boolean;
  } | null;
  /** Newest first, LEDGER_ROWS_MAX at most. */
  ledger: LedgerFacts[];
}

/** `POST /api/drain/pause` and `/api/drain/resume` (operator): answers `JournalState['drain']`. */
export interface DrainOrder {
  /** Absent, '' or '*': all. */
  lane?: string;
  /** Absent or 0: until it is resumed. */
  forS?: number;
}

/**
 * `GET /api/journal/export?lane=&from=&to=&limit=` (operator): a download of what waits in a lane, one JSON object a
 * line: `ExportLine`. `from`, `to`: sequences, both in; `limit` 1 to 1000000, default 100000.
 */
export interface ExportLine {
  lane: string;
  sequence: number;
  subject: string;
  receivedAtMs: number;
  headers: [name: string, value: string][];
  /** base64 */
  payload: string;
}

/* Serial */

/** `GET /api/serial`: `Snapshot['serial']` in whole. `GET /api/serial/<port>/capture`: the flight recorder, as a file. */
export interface SerialState {
  ports: Snapshot['serial'];
}

/** `GET /api/serial/<port>/sniff` (operator, server-sent events): `bytes`: SniffChunk, as they pass. */
export interface SniffChunk {
  atMs: number;
  /** in: from the device. */
  direction: 'in' | 'out';
  /** base64 */
  data: string;
  /** Bytes that were left out before these, because there were too many for the page. */
  skippedBytes: number;
}

/* Logs */

/** `GET /api/logs?part=&level=&after=&limit=`. `level`: this one and worse. `after`: the `id` of the last one known. */
export interface LogPage {
  /** Oldest first, the newest `limit` (1 to 1000, default 200) of those that fit. */
  lines: LogLine[];
  parts: string[];
  /** That the ring has dropped since the start. */
  dropped: number;
}

export type LogLevelName = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

export interface LogLine {
  /** Counts up from 1 since the start. */
  id: number;
  atMs: number;
  level: LogLevelName;
  part: string;
  message: string;
  hint: string;
  /** What else it carries, written out. */
  fields: Record<string, string>;
}

/* Health */

/** One sample of the machine, every 10 s; null where this machine has no such thing. `GET /api/health`: the last one. */
export interface HealthSample {
  atMs: number;
  /** 0 to 1, of all cores over the time since the sample before. */
  cpuShare: number | null;
  /** The same of this process. */
  processCpuShare: number;
  load1: number;
  cores: number;
  memoryBytes: number;
  memoryAvailableBytes: number;
  rssBytes: number;
  swapUsedBytes: number;
  diskBytes: number;
  diskFreeBytes: number;
  /** By this process since its start, by the kernel's count. */
  writtenBytes: number;
  temperatureC: number | null;
  /** Of a Raspberry Pi: now, and since its start. */
  throttling: { underVoltage: Flag; frequencyCapped: Flag; throttled: Flag; softTemperatureLimit: Flag } | null;
  interfaces: { name: string; addresses: string[]; isUp: boolean; receivedBytes: number; sentBytes: number }[];
  /** eMMC: life used, in tenths (JEDEC device life time estimation A and B, 1 to 11), and pre-EOL (1 normal, 3 urgent). */
  emmc: { name: string; lifeTimeA: number | null; lifeTimeB: number | null; preEol: number | null }[];
  /** Of this box's process since the store was made, and why the last one began. */
  restarts: number;
  resetReason: string;
  machineUptimeS: number;
  machine: string;
  kernel: string;
}

export interface Flag {
  now: boolean;
  since: boolean;
}

export const historySpans = ['hour', 'day', 'week'] as const;
export type HistorySpan = (typeof historySpans)[number];

/** What is kept as history; units as in `HealthSample`. depth: records of all lanes. rates: messages a second. */
export const historySeries = [
  'cpuShare',
  'memoryUsedBytes',
  'rssBytes',
  'temperatureC',
  'diskFreeBytes',
  'depth',
  'rateInPerS',
  'rateOutPerS',
  'fsyncP99Ms',
  'rttMs',
  'linkUp',
] as const;
export type HistorySeries = (typeof historySeries)[number];

/** `GET /api/history?span=hour|day|week`: points `stepS` apart (10 s, 2 min, 15 min). null: the box was not there. */
export interface History {
  span: HistorySpan;
  stepS: number;
  /** Of each point, ascending. */
  atMs: number[];
  series: Record<HistorySeries, (number | null)[]>;
}

/* Settings */

/** `GET /api/config`. Secrets show as `[redacted]`. */
export interface ConfigState {
  /** Path of the file; '' where there is none. */
  file: string;
  /** Why nothing can be applied here, as where the file may not be written; null: it can. */
  readOnly: Failure | null;
  /** The file as it is, secrets redacted: an edited copy of it is what check and apply take. */
  text: string;
  /** Changes with the file: apply refuses a copy of an older one with 409 `config_changed`. */
  revision: string;
  /** The effective configuration, each value with where it comes from, in the order of the schema. */
  values: ConfigValue[];
  trial: ConfigTrial | null;
  /** How the last apply ended; null: none since the start. */
  last: ConfigTrial | null;
}

export interface ConfigValue {
  /** As in the file: `mqtt.listeners[0].listen`. */
  path: string;
  /** In the words of the file; `[redacted]` for a secret. */
  value: string;
  origin: 'default' | 'file' | 'environment';
  /** `line 12`, `PETIOLE_UPSTREAM_URLS` or ''. */
  where: string;
}

/** `POST /api/config/check` (operator) with a `ConfigCopy`: answers 200 with what it would change, and what is wrong. */
export interface ConfigCopy {
  /** What is left as `[redacted]` keeps its value. */
  text: string;
  /** `ConfigState.revision` that it is a copy of. */
  revision?: string;
}

export interface ConfigCheck {
  isValid: boolean;
  problems: ConfigProblem[];
  changes: ConfigChange[];
  /** A unified difference of the file, secrets redacted. */
  diff: string;
  /** Whether connections will be dropped by it. */
  restarts: boolean;
}

export interface ConfigProblem {
  path: string;
  /** 1 is the first; null where it is not in the text. */
  line: number | null;
  severity: 'error' | 'warning';
  message: string;
  hint: string;
}

export interface ConfigChange {
  path: string;
  /** null: not set. Redacted where it is a secret. */
  before: string | null;
  after: string | null;
}

/** `POST /api/config/apply` (operator): answers 202 with a `ConfigTrial`, or 400 with `problems` beside `error`. */
export interface ConfigApply extends ConfigCopy {
  /** How long the box has to be itself again; 10 to 600, default 60. */
  confirmS?: number;
}

/**
 * A configuration on trial: it is in force, and the file still has the old one. Once the link, every listener and every
 * input that was healthy before are back, it is kept and written; after `untilMs` without that, or at
 * `POST /api/config/revert` (operator), the old one returns. `POST /api/config/keep` (operator) keeps it as it is.
 */
export interface ConfigTrial {
  id: string;
  state: 'applying' | 'watching' | 'kept' | 'reverted';
  by: string;
  sinceMs: number;
  untilMs: number;
  /** What is not back: `link`, `mqtt listener 0.0.0.0:1883`, `mqtt client pump-3`, `serial port meter`. */
  missing: string[];
  /** Why it was reverted; '' otherwise. */
  reason: string;
}

/* Everything */

/** `GET /api/bundle` (operator): `petiole-<gateway>-<time>.tar.gz`, redacted. `GET /api/openapi.json`: this, formally. */

export interface Endpoint {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** Who may ask; none: everybody. */
  role: Role;
  kind: 'json' | 'events' | 'file' | 'text';
}

export const endpoints: readonly Endpoint[] = [
  { method: 'GET', path: '/healthz', role: 'none', kind: 'json' },
  { method: 'GET', path: '/metrics', role: 'viewer', kind: 'text' },
  { method: 'GET', path: '/status.json', role: 'viewer', kind: 'json' },
  { method: 'GET', path: '/api/openapi.json', role: 'none', kind: 'json' },
  { method: 'GET', path: '/api/session', role: 'none', kind: 'json' },
  { method: 'POST', path: '/api/session', role: 'none', kind: 'json' },
  { method: 'DELETE', path: '/api/session', role: 'none', kind: 'json' },
  { method: 'GET', path: '/api/status', role: 'viewer', kind: 'json' },
  { method: 'GET', path: '/api/events', role: 'viewer', kind: 'events' },
  { method: 'GET', path: '/api/devices', role: 'viewer', kind: 'json' },
  { method: 'POST', path: '/api/devices/kick', role: 'operator', kind: 'json' },
  { method: 'GET', path: '/api/tail', role: 'viewer', kind: 'events' },
  { method: 'POST', path: '/api/publish', role: 'operator', kind: 'json' },
  { method: 'POST', path: '/api/request', role: 'operator', kind: 'json' },
  { method: 'GET', path: '/api/journal', role: 'viewer', kind: 'json' },
  { method: 'GET', path: '/api/journal/export', role: 'operator', kind: 'file' },
  { method: 'POST', path: '/api/drain/pause', role: 'operator', kind: 'json' },
  { method: 'POST', path: '/api/drain/resume', role: 'operator', kind: 'json' },
  { method: 'GET', path: '/api/serial', role: 'viewer', kind: 'json' },
  { method: 'GET', path: '/api/serial/{port}/capture', role: 'viewer', kind: 'file' },
  { method: 'GET', path: '/api/serial/{port}/sniff', role: 'operator', kind: 'events' },
  { method: 'GET', path: '/api/logs', role: 'viewer', kind: 'json' },
  { method: 'GET', path: '/api/health', role: 'viewer', kind: 'json' },
  { method: 'GET', path: '/api/history', role: 'viewer', kind: 'json' },
  { method: 'GET', path: '/api/config', role: 'viewer', kind: 'json' },
  { method: 'POST', path: '/api/config/check', role: 'operator', kind: 'json' },
  { method: 'POST', path: '/api/config/apply', role: 'operator', kind: 'json' },
  { method: 'POST', path: '/api/config/keep', role: 'operator', kind: 'json' },
  { method: 'POST', path: '/api/config/revert', role: 'operator', kind: 'json' },
  { method: 'GET', path: '/api/bundle', role: 'operator', kind: 'file' },
];
