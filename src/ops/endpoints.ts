import { deviceKinds, deviceSorts, historySpans, type Role } from './api.ts';

/** What one may ask the status server: the routes are made from this table, and openapi.json. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `{port}` stands for one segment: letters, digits, `-` and `_`. */
  readonly path: string;
  /** Who may ask; none: everybody. */
  readonly role: Role;
  /** One line for who reads openapi.json; the types say the rest. */
  readonly summary: string;
  readonly query?: Readonly<Record<string, QueryParameter>>;
  /** Type of api.ts that a POST carries; none: an empty body or `{}`. */
  readonly body?: string;
  readonly answer: Answer;
}

/** `type` and `events` name types of api.ts. events: server-sent events, each with the type of its data. */
export type Answer =
  | { readonly kind: 'json'; readonly type: string; readonly status?: 202 }
  | { readonly kind: 'events'; readonly events: Readonly<Record<string, string>> }
  | { readonly kind: 'file' | 'text'; readonly mediaType: string };

/** As JSON Schema says it. */
export type QueryParameter =
  | {
      readonly type: 'integer';
      readonly minimum: number;
      readonly maximum: number;
      readonly default?: number;
      readonly description?: string;
    }
  | {
      readonly type: 'string';
      readonly enum?: readonly string[];
      readonly default?: string;
      readonly description?: string;
      /** May be given so often. */
      readonly times?: number;
      readonly isRequired?: true;
    };

const json = (type: string): Answer => ({ kind: 'json', type });
const text = (description: string): QueryParameter => ({ type: 'string', description });
const whole = (minimum: number, maximum: number, more: { default?: number; description?: string } = {}) =>
  ({ type: 'integer', minimum, maximum, ...more }) as const;
const oneOf = (choices: readonly string[], fallback: string): QueryParameter => ({
  type: 'string',
  enum: choices,
  default: fallback,
});

const SEQUENCE_MAX = 999_999_999_999_999;

const frames: Answer = {
  kind: 'events',
  events: { status: 'StatusFrame', health: 'HealthSample', log: 'LogLine', bye: 'Done' },
};
const tail: Answer = { kind: 'events', events: { message: 'TailMessage', tail: 'TailCount' } };

type Query = NonNullable<Endpoint['query']>;
const get = (role: Role, path: string, summary: string, answer: Answer, query: Query = {}): Endpoint => ({
  method: 'GET',
  path,
  role,
  summary,
  query,
  answer,
});
/** `body` '': none is needed. */
const post = (role: Role, path: string, summary: string, body: string, answer: Answer): Endpoint => ({
  method: 'POST',
  path,
  role,
  summary,
  ...(body !== '' && { body }),
  answer,
});

const open: readonly Endpoint[] = [
  get(
    'none',
    '/healthz',
    'Whether the box can take data: 200, or 503 where it cannot. Strangers are not told why',
    json('HealthzAnswer'),
  ),
  get('none', '/api/openapi.json', 'This document', { kind: 'text', mediaType: 'application/json' }),
  get(
    'none',
    '/api/session',
    'Who one is here; on the first visit from the box itself also its secret',
    json('SessionState'),
  ),
  post(
    'none',
    '/api/session',
    'Signs in and sets the session cookie; 401 for a wrong secret, 429 where one has to wait after some',
    'SignIn',
    json('SessionState'),
  ),
  { method: 'DELETE', path: '/api/session', role: 'none', summary: 'Signs out', answer: json('SessionState') },
];

const read: readonly Endpoint[] = [
  get('viewer', '/metrics', 'The figures for Prometheus', { kind: 'text', mediaType: 'text/plain' }),
  get('viewer', '/status.json', 'Everything that the box knows about itself now', json('Snapshot')),
  get('viewer', '/api/status', 'The same as /status.json', json('Snapshot')),
  get('viewer', '/api/events', 'What changes, as it changes; `status` every second', frames, {
    topics: text('status, health and logs, with commas between; default: status,health'),
  }),
  get('viewer', '/api/devices', 'What is connected to the box, searched and sorted', json('DevicePage'), {
    q: text('Part of a name, an address, a user or a protocol'),
    kind: oneOf(['', ...deviceKinds], ''),
    sort: oneOf(deviceSorts, 'name'),
    order: oneOf(['asc', 'desc'], 'asc'),
    offset: whole(0, 1_000_000, { default: 0 }),
    limit: whole(1, 5000, { default: 100 }),
  }),
  get('viewer', '/api/tail', 'Messages as they pass; 503 where 8 look already', tail, {
    filter: { type: 'string', times: 16, isRequired: true, description: 'A subject filter or a topic filter' },
    rate: whole(1, 1000, { default: 50, description: 'Messages a second at most' }),
  }),
  get('viewer', '/api/journal', 'The lanes, what is held back, and what was lost', json('JournalState')),
  get('viewer', '/api/serial', 'The serial ports', json('SerialState')),
  get('viewer', '/api/serial/{port}/capture', 'What was on the line around the last errors', {
    kind: 'file',
    mediaType: 'text/plain',
  }),
  get('viewer', '/api/logs', 'The newest log lines, oldest first', json('LogPage'), {
    part: text('Of this part alone'),
    level: { type: 'string', enum: ['trace', 'debug', 'info', 'warn', 'error', 'fatal'], description: 'And worse' },
    after: whole(0, SEQUENCE_MAX, { description: 'The `id` of the last one known' }),
    limit: whole(1, 1000, { default: 200 }),
  }),
  get('viewer', '/api/health', 'The machine, as it was looked at last (every 10 s)', json('HealthSample')),
  get('viewer', '/api/hardware', 'What machine and what system this is', json('Hardware')),
  get('viewer', '/api/history', 'Figures of the last hour, day or week', json('History'), {
    span: oneOf(historySpans, 'hour'),
  }),
  get('viewer', '/api/config', 'The configuration in force and where each value comes from', json('ConfigState')),
];

const operate: readonly Endpoint[] = [
  post('operator', '/api/devices/kick', 'Ends a connection; the client may come again', 'Kick', json('Done')),
  post('operator', '/api/publish', 'Publishes a message', 'Publish', json('Published')),
  post(
    'operator',
    '/api/request',
    'Publishes a message and waits for one answer; 504 where none comes',
    'Request',
    json('Reply'),
  ),
  get(
    'operator',
    '/api/journal/export',
    'What waits in a lane, one `ExportLine` a line',
    { kind: 'file', mediaType: 'application/x-ndjson' },
    {
      lane: { type: 'string', isRequired: true },
      from: whole(1, SEQUENCE_MAX, { default: 1 }),
      to: whole(1, SEQUENCE_MAX),
      limit: whole(1, 1_000_000, { default: 100_000 }),
    },
  ),
  post('operator', '/api/drain/pause', 'Holds what goes up to the hub', 'DrainOrder', json('DrainState')),
  post('operator', '/api/drain/resume', 'Lets it go on', 'DrainOrder', json('DrainState')),
  get('operator', '/api/serial/{port}/sniff', 'The bytes on the line, as they pass; 503 where 4 look already', {
    kind: 'events',
    events: { bytes: 'SniffChunk' },
  }),
  post(
    'operator',
    '/api/config/check',
    'What an edited copy would change, and what is wrong in it',
    'ConfigCopy',
    json('ConfigCheck'),
  ),
  post(
    'operator',
    '/api/config/apply',
    'Puts an edited copy on trial: it is kept where the box is itself again in time, else the old one returns',
    'ConfigApply',
    { kind: 'json', type: 'ConfigTrial', status: 202 },
  ),
  post('operator', '/api/config/keep', 'Keeps what is on trial', '', json('ConfigTrial')),
  post('operator', '/api/config/revert', 'Takes back what is on trial', '', json('ConfigTrial')),
  get('operator', '/api/bundle', 'The support bundle: one redacted archive', {
    kind: 'file',
    mediaType: 'application/gzip',
  }),
];

export const endpoints: readonly Endpoint[] = [...open, ...read, ...operate];
