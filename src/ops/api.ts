import type { ConfigProblem, ConfigTrial } from './api-settings.ts';
import type { Failure, LaneFacts, LedgerFacts, Problem, Snapshot } from './snapshot.ts';
import type { Tone } from './view.ts';

export * from './api-devices.ts';
export * from './api-health.ts';
export type * from './api-settings.ts';

/**
 * What the status server answers, as types: the page, the commands of the terminal and openapi.json (made of them when
 * it is built) hold to them. All bodies are JSON in UTF-8; times ending in `Ms` are
 * milliseconds since 1970 by the box's clock unless they name a span.
 *
 * Who may ask for what is in endpoints.ts. A browser shows who it is by the session cookie that
 * `POST /api/session` sets (HttpOnly, SameSite=Strict); a program by `Authorization: Bearer <secret>`. Every request
 * but GET and HEAD that carries the cookie must carry the session's CSRF token, too, in the header `Petiole-CSRF`.
 *
 * A request that is not done is answered by `ApiError`, with 400 (it makes no sense), 401 (sign in), 403 (not with this
 * role, or no CSRF token), 404, 409 (not now), 413 (too large), 429 (too fast; Retry-After) or 503 (no place left).
 */

/** none: not signed in, and nothing is open to this address. viewer: reads. operator: also changes. */
export type Role = 'none' | 'viewer' | 'operator';

/** Why a request is not done. */
export interface ApiError {
  error: Failure;
  /** Of a configuration that is not taken. */
  problems?: ConfigProblem[];
}

/** It is done, and there is no more to say: `{}`. */
export type Done = Record<string, never>;

/** `GET /healthz`. Offline is normal for a box at the edge: degraded, with 200. */
export interface HealthzAnswer {
  status: 'ok' | 'degraded' | 'failing';
  /** Worst first; empty for strangers. */
  problems: Problem[];
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

/* Journal */

/** `GET /api/journal`. */
export interface JournalState {
  lanes: LaneFacts[];
  /** Null without an upstream. */
  drain: DrainState | null;
  /** Newest first, LEDGER_ROWS_MAX at most. */
  ledger: LedgerFacts[];
}

/** What is held back. */
export interface DrainState {
  /** By lane, '*' for all. `leftMs` null: until somebody resumes, or the box restarts. */
  paused: { lane: string; sinceMs: number; by: string; leftMs: number | null }[];
  windows: readonly string[];
  windowOpen: boolean;
}

/** `POST /api/drain/pause` and `/api/drain/resume` (operator): answers `DrainState`. */
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
