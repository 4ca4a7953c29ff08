import * as v from 'valibot';
import * as field from './fields.ts';
import { LANE_SUBJECTS_MAX } from './lanes.ts';
import { fileOrNull, type Resolved } from './paths.ts';

/** A hub cluster advertises its other servers by itself. */
const URLS_MAX = 16;
/** Each is looked at the first time that a subject is seen. */
const DENIED_MAX = 256;
/** Each is looked at when the link comes up. */
const STREAMS_MAX = 32;
/** A few for each day of a week. */
const WINDOWS_MAX = 16;
/** Each is a consumer at the hub. */
const COMMANDS_MAX = 16;

/** A stream of the hub that the box makes, or only looks at. */
const hubStream = field.map({
  name: v.pipe(field.streamName(), v.metadata({ example: 'TELEMETRY' })),
  subjects: v.pipe(field.list(field.subject(), 1, LANE_SUBJECTS_MAX), v.metadata({ example: ['line3.>'] })),
  create: v.optional(field.yesOrNo(), true),
  storage: v.optional(field.choice(['file', 'memory']), 'file'),
  /** JetStream's own bound. */
  replicas: v.optional(field.count(1, 5), 1),
  max_bytes: v.optional(field.size('0', '1024TiB'), 0),
  max_age: v.optional(field.duration('0', '3650d'), 0),
  full: v.optional(field.choice(['refuse', 'drop-oldest']), 'drop-oldest'),
  duplicate_window: v.optional(field.duration('100ms', '1d'), '2m'),
  /** The hub's sync_interval is "always", which can't be seen from the box. */
  sync_always: v.optional(field.yesOrNo(), false),
  /** Lanes go up in atomic batches (hub 2.12 or newer; older ones ignore it): one sync of the hub for up to 999 records. */
  atomic: v.optional(field.yesOrNo(), false),
});

/** Commands that wait at the hub while the box is away. */
const commands = field.map({
  stream: v.pipe(field.streamName(), v.metadata({ example: 'COMMANDS' })),
  /** As the box names its subjects. They come down in no other way, and what is published here on them stays here. */
  filter: v.pipe(field.subject(), v.metadata({ example: 'cmd.>' })),
  /** Name of the consumer at the hub; without it `petiole-` and the gateway's name. */
  durable: v.optional(field.name()),
  /** An old command may be worse than none. 0: however old. */
  ttl: v.optional(field.duration('0', '3650d'), '1d'),
  /** How often the hub may have to send one: a fall of the link with the command in hand counts. */
  deliveries_max: v.optional(field.count(1, 10_000), 100),
  dead_letter: v.optional(field.subject()),
  /** In hand at a time, those that wait for a subscriber included. */
  window: v.optional(field.count(1, 1000), 100),
});

export const upstream = field.map({
  urls: v.pipe(field.list(field.hubUrl(), 1, URLS_MAX), v.metadata({ example: ['tls://hub.example.com:7422'] })),
  user: v.optional(field.text()),
  password: v.optional(field.secret()),
  password_file: v.optional(field.path()),
  token: v.optional(field.secret()),
  token_file: v.optional(field.path()),
  nkey_seed: v.optional(field.nkeySeed()),
  nkey_seed_file: v.optional(field.path()),
  /** A user's JWT and seed; read again at every connect. */
  credentials: v.optional(field.path()),
  tls: v.optional(
    field.map({
      ca: v.optional(field.path()),
      cert: v.optional(field.path()),
      key: v.optional(field.path()),
      /** TLS before the hub says anything: its `handshake_first`. */
      handshake_first: v.optional(field.yesOrNo(), false),
    }),
    {},
  ),
  /** An HTTP proxy that opens tunnels (CONNECT), for every kind of URL. */
  proxy: v.optional(
    field.map({
      url: v.pipe(field.proxyUrl(), v.metadata({ example: 'http://proxy.example.com:3128' })),
      user: v.optional(field.text()),
      password: v.optional(field.secret()),
      password_file: v.optional(field.path()),
    }),
  ),
  /** The account of the hub that the box expects to be bound to: a link to another one is refused. */
  account: v.optional(field.text()),
  /** Other leaves' interest does not come here (hub 2.12 or newer). */
  isolate: v.optional(field.yesOrNo(), false),
  /** Stands before every subject of the box at the hub, `$` and `_INBOX` subjects excepted. */
  prefix: v.optional(field.subjectPrefix(), ''),
  /** Never taken from the hub, and never sent there, whatever its permissions say. Subjects as the box has them. */
  deny_imports: v.optional(field.list(field.subject(), 0, DENIED_MAX), []),
  deny_exports: v.optional(field.list(field.subject(), 0, DENIED_MAX), []),
  streams: v.optional(field.list(hubStream, 0, STREAMS_MAX), []),
  commands: v.optional(field.list(commands, 0, COMMANDS_MAX), []),
  limit: v.optional(
    field.map({
      messages_per_second: v.optional(field.count(0, 10_000_000), 0),
      bytes_per_second: v.optional(field.bytesPerSecond('1TiB'), 0),
    }),
    {},
  ),
  drain: v.optional(
    field.map({
      /** Percent of what goes up that less important lanes get although more important ones have something to send. */
      share: v.optional(field.count(0, 50), 10),
      /** The link is used only in minutes that one of these matches, by the local time of the box; none: always. */
      windows: v.optional(field.list(field.cron(), 0, WINDOWS_MAX), []),
      /** Lanes of this priority and above go at any time; 0: none. */
      override_priority: v.optional(field.count(0, 9), 1),
      /** Older records carry Petiole-Historical when they are sent. Above what a busy hub or a short cut delays. */
      historical_after: v.optional(field.duration('1s', '1d'), '10s'),
    }),
    {},
  ),
  /** Records in flight: what is in doubt, and read back, when the link falls. 1000 fill a link of 30 ms at 30,000/s. */
  window: v.optional(field.count(1, 10_000), 1000),
  ack_timeout: v.optional(field.duration('100ms', '5m'), '5s'),
  /** Two unanswered ones cut the link: 20s notices a half-open one within a minute. */
  ping_interval: v.optional(field.duration('1s', '10m'), '20s'),
  connect_timeout: v.optional(field.duration('1s', '5m'), '10s'),
});

/** `gateway`: its name. */
export function toUpstream(file: v.InferOutput<typeof upstream>, gateway: string, { absolute, ...secrets }: Resolved) {
  return {
    urls: file.urls,
    user: file.user ?? null,
    password: secrets.password,
    token: secrets.token,
    nkeySeed: secrets.nkeySeed,
    credentials: fileOrNull(file.credentials, absolute),
    tls: {
      ca: fileOrNull(file.tls.ca, absolute),
      cert: fileOrNull(file.tls.cert, absolute),
      key: fileOrNull(file.tls.key, absolute),
      handshakeFirst: file.tls.handshake_first,
    },
    proxy: file.proxy ? { ...file.proxy.url, user: file.proxy.user ?? null, password: secrets.proxyPassword } : null,
    account: file.account ?? null,
    isolate: file.isolate,
    prefix: file.prefix,
    denyImports: file.deny_imports,
    denyExports: file.deny_exports,
    streams: file.streams.map((stream) => ({
      name: stream.name,
      subjects: stream.subjects,
      create: stream.create,
      storage: stream.storage,
      replicas: stream.replicas,
      maxBytes: stream.max_bytes,
      maxAgeMs: stream.max_age,
      full: stream.full,
      duplicateWindowMs: stream.duplicate_window,
      syncAlways: stream.sync_always,
      atomic: stream.atomic,
    })),
    commands: file.commands.map((entry) => ({
      stream: entry.stream,
      filter: entry.filter,
      durable: entry.durable ?? `petiole-${gateway}`,
      ttlMs: entry.ttl,
      deliveriesMax: entry.deliveries_max,
      deadLetter: entry.dead_letter ?? `petiole.${gateway}.commands.dead`,
      window: entry.window,
    })),
    limit: {
      messagesPerSecond: file.limit.messages_per_second,
      bytesPerSecond: file.limit.bytes_per_second,
    },
    drain: {
      share: file.drain.share / 100,
      windows: file.drain.windows,
      overridePriority: file.drain.override_priority,
      historicalAfterMs: file.drain.historical_after,
    },
    window: file.window,
    ackTimeoutMs: file.ack_timeout,
    pingIntervalMs: file.ping_interval,
    connectTimeoutMs: file.connect_timeout,
  };
}
