import { hostname } from 'node:os';
import * as v from 'valibot';
import { safeToken } from '../core/subject.ts';
import { isLoopback } from './address.ts';
import * as field from './fields.ts';
import { PORTS_MAX, serialPort, toModbusPort, toSerialPort } from './serial.ts';

/**
 * The one source of what a configuration file may say: keys, types, defaults and limits. The names of the environment
 * variables, the hints and the type `Config` are derived from it. Defaults are in the words of the file.
 */

/** A lane's number is kept in a byte. */
export const LANES_MAX = 255;
/** One box has a handful of networks. */
const LISTENERS_MAX = 16;
/** The panels of a plant. */
const ORIGINS_MAX = 16;
/** Every message is matched against each of them, the first time its subject is seen. */
const LANE_SUBJECTS_MAX = 64;
/** A file of the longest size has room for no more; each has a memory of the topics that it may use. */
const USERS_MAX = 256;
/** Looked through for each topic the first time that it is seen. */
const USER_RULES_MAX = 64;
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

const gateway = field.map({
  /** Leaf server name and first part of every record id: two boxes of one hub must not share it. */
  name: v.optional(field.name(), () => safeToken(hostname())),
  /** The folder of the journal. Under systemd that is the unit's StateDirectory. */
  data: v.optional(field.path(), () => process.env.STATE_DIRECTORY ?? './data'),
});

const log = field.map({
  level: v.optional(field.choice(['trace', 'debug', 'info', 'warn', 'error']), 'info'),
});

const listenerTls = {
  cert: v.pipe(field.path(), v.metadata({ example: 'tls/server.pem' })),
  key: v.pipe(field.path(), v.metadata({ example: 'tls/server.key' })),
  /** The authorities that sign the certificates of clients. */
  ca: v.optional(field.path()),
  client_certificates: v.optional(field.choice(['none', 'optional', 'required']), 'none'),
};

/** `true` is short for the default path. */
const websocket = v.optional(
  field.map({
    path: v.optional(field.urlPath(), '/'),
    /** Of web pages that may connect; none: any, but on loopback only those of this machine. */
    origins: v.optional(field.list(field.origin(), 0, ORIGINS_MAX), []),
  }),
);

const mqttListener = field.map({
  listen: v.pipe(field.listen(), v.metadata({ example: '127.0.0.1:1883' })),
  /** Whether one may connect as nobody: off loopback it must be written. */
  anonymous: v.optional(field.yesOrNo()),
  tls: v.optional(field.map(listenerTls)),
  websocket,
});

const natsListener = field.map({
  listen: v.pipe(field.listen(), v.metadata({ example: '0.0.0.0:4223' })),
  anonymous: v.optional(field.yesOrNo()),
  tls: v.optional(
    field.map({
      ...listenerTls,
      /** TLS at once, instead of after INFO. */
      handshake_first: v.optional(field.yesOrNo(), false),
    }),
  ),
  websocket,
});

/** Who may connect, and to what. */
const user = field.map({
  name: v.pipe(field.userName(), v.metadata({ example: 'line3' })),
  password_hash: v.optional(field.passwordHash()),
  /** For NATS clients. */
  token_hash: v.optional(field.tokenHash()),
  nkey: v.optional(field.userKey()),
  /** Common name or alternative name of a client certificate. */
  certificate: v.optional(field.text()),
  publish: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  publish_deny: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  subscribe: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  subscribe_deny: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  /** May answer the requests that it receives, beside what it may publish; `true` is short for the defaults (NATS). */
  allow_responses: v.optional(
    field.map({
      max: v.optional(field.count(1, 1_000_000), 1),
      expires: v.optional(field.duration('1ms', '1d'), '2m'),
    }),
  ),
});

const mqtt = field.map({
  listeners: v.optional(field.list(mqttListener, 0, LISTENERS_MAX), [{ listen: '127.0.0.1:1883' }]),
  /** A connection costs some 20 KiB; a Pi has sockets and memory for a few thousand. */
  connections_max: v.optional(field.count(1, 100_000), 1000),
  /** A quarter of a hub's default max_payload (1 MiB), so that what is accepted here also fits there. */
  packet_max: v.optional(field.size('1KiB', '64MiB'), '256KiB'),
  /** How long a new connection may take until its CONNECT is complete. */
  connect_timeout: v.optional(field.duration('1s', '5m'), '10s'),
  /** Longer ones, and none, are lowered to it (MQTT 5 Server Keep Alive): how long a dead peer can hold its place. */
  keep_alive_max: v.optional(field.duration('10s', '65535s'), '1h'),
  /** Topic filters of one client. */
  subscriptions_max: v.optional(field.count(1, 10_000), 100),
  topic_levels_max: v.optional(field.count(1, 255), 32),
  /** A subject of more than 2048 bytes would cut the link to a hub. */
  topic_bytes_max: v.optional(field.count(16, 2048), 2048),
  /** Clients that may connect in a second, and ten seconds' worth at once; 0: no limit. A Pi 4 takes some 1,000. */
  connect_rate: v.optional(field.count(0, 100_000), 500),
  /** And of one address, loopback left out: behind one may be a router with a whole plant. */
  connect_rate_per_address: v.optional(field.count(0, 100_000), 100),
  /** QoS 1 publishes of one client that are not acknowledged yet (receive maximum). */
  inflight_max: v.optional(field.count(1, 65_535), 1000),
  /** Retained messages. */
  retained: v.optional(field.choice(['on', 'off']), 'on'),
  /** One for each topic of a plant's sensors. All are in memory, at some 800 bytes each beside their payload. */
  retained_max: v.optional(field.count(1, 1_000_000), 10_000),
  retained_bytes_max: v.optional(field.size('64KiB', '1GiB'), '16MiB'),
  /** Persistent sessions, each some 2 KiB of memory; their queues are on the disk. */
  sessions_max: v.optional(field.count(1, 1_000_000), 10_000),
  /** The longest Session Expiry Interval, and that of 3.1.1. 0: a session ends with its connection. */
  session_expiry_max: v.optional(field.duration('0', '3650d'), '7d'),
  /** QoS 1 and 2 messages on their way to one client, there or away. */
  session_queue_max: v.optional(field.count(1, 65_535), 1000),
  session_queue_bytes_max: v.optional(field.size('16KiB', '1GiB'), '1MiB'),
  /** And of all persistent sessions together, on the disk. */
  sessions_bytes_max: v.optional(field.size('64KiB', '64GiB'), '64MiB'),
});

/** The port of every NATS server; where nobody wrote it, the box does without if another program has it. */
export const NATS_LISTEN = { host: '127.0.0.1', port: 4222 };

const nats = field.map({
  /** Without a default here: a written address must be had, the default one need not. */
  listen: v.optional(v.pipe(field.listenOrOff(), v.metadata({ example: '127.0.0.1:4222' }))),
  anonymous: v.optional(field.yesOrNo()),
  /** Further addresses, or with `listen: off` all of them. */
  listeners: v.optional(field.list(natsListener, 0, LISTENERS_MAX), []),
  /** A handful of programs on the box, and what a mistake of one of them may cost. */
  connections_max: v.optional(field.count(1, 10_000), 200),
  /** Headers and payload. As mqtt.packet_max: what is accepted here also fits at the hub, with the headers of the box. */
  payload_max: v.optional(field.size('1KiB', '64MiB'), '256KiB'),
  /** Of one client; a filter costs about 1 KiB. */
  subscriptions_max: v.optional(field.count(1, 50_000), 5000),
  /** As nats-server: a subject, an sid and the JSON of CONNECT have to fit. */
  control_line_max: v.optional(field.size('1KiB', '64KiB'), '4KiB'),
  /** How long a new connection may take until its login is done. */
  connect_timeout: v.optional(field.duration('1s', '5m'), '10s'),
  /** Of one client that does not read: a second of a slow LTE line, or sixteen of the largest messages. */
  pending_max: v.optional(field.size('64KiB', '256MiB'), '4MiB'),
  /** Of all clients together: what a small box can spare. */
  pending_total_max: v.optional(field.size('64KiB', '1GiB'), '32MiB'),
  /** Two of ours unanswered end a connection. */
  ping_interval: v.optional(field.duration('1s', '1h'), '2m'),
  /** How long a Nats-Msg-Id is remembered: as long as a stream does by default. */
  duplicate_window: v.optional(field.duration('1s', '1h'), '2m'),
});

const status = field.map({
  listen: v.optional(field.listenOrOff(), '127.0.0.1:8080'),
  anonymous: v.optional(field.yesOrNo()),
});

const journal = field.map({
  /** Free space that the disk always keeps, so that the box can still boot, log and update: an update's worth. */
  reserve: v.optional(field.size('1MiB', '1TiB'), '64MiB'),
  /** What the hub has acknowledged is kept so long: one that loses power has not synced the last two minutes. */
  keep_after_ack: v.optional(field.duration('0', '1d'), '150s'),
  /** Of each lane, and never more than a quarter of its max_bytes. */
  keep_after_ack_bytes: v.optional(field.size('64KiB', '1TiB'), '64MiB'),
  /** Deflates what is stored where that pays. Off until the release before can read it, so that an update can go back. */
  compress: v.optional(field.yesOrNo(), false),
  /** Bytes that the card endures, by its data sheet (TBW); 0: not known, and no life is projected. */
  endurance: v.optional(field.size('0', '4096TiB'), 0),
});

const lane = field.map({
  name: v.pipe(field.name(), v.metadata({ example: 'telemetry' })),
  subjects: v.pipe(field.list(field.subject(), 1, LANE_SUBJECTS_MAX), v.metadata({ example: ['line3.>'] })),
  /** 1 goes first. */
  priority: v.optional(field.count(1, 9), 5),
  full: v.optional(field.choice(['refuse', 'drop-oldest']), 'drop-oldest'),
  /** live-first: what came in while the hub was away goes up behind what comes in now. */
  drain: v.optional(field.choice(['oldest-first', 'live-first']), 'oldest-first'),
  /** A day of a hundred 128-byte messages a second, on any SD card. */
  max_bytes: v.optional(field.size('64KiB', '1TiB'), '1GiB'),
  /** 0: a record does not grow too old. */
  max_age: v.optional(field.duration('0', '3650d'), 0),
  /** A publish with a reply subject: journaled and answered with a PubAck, or left live for its responder. */
  replies: v.optional(field.choice(['receipt', 'pass']), 'receipt'),
  stream: v.optional(
    field.map({
      name: v.pipe(field.streamName(), v.metadata({ example: 'TELEMETRY' })),
      /** The stream is this lane's alone, so its last sequence tells what has arrived. */
      own: v.optional(field.yesOrNo(), false),
    }),
  ),
});

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

const upstream = field.map({
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

/** The whole file. */
export const fileSchema = field.map({
  gateway: v.optional(gateway, {}),
  log: v.optional(log, {}),
  mqtt: v.optional(mqtt, {}),
  users: v.optional(field.list(user, 0, USERS_MAX), []),
  nats: v.optional(nats, {}),
  status: v.optional(status, {}),
  journal: v.optional(journal, {}),
  /** First match wins. The built-in lane leaves requests live, so that they reach their responders. */
  lanes: v.optional(field.list(lane, 1, LANES_MAX), [{ name: 'default', subjects: ['>'], replies: 'pass' }]),
  /** Without it messages are kept until there is one. */
  upstream: v.optional(upstream),
  serial: v.optional(field.list(serialPort, 0, PORTS_MAX), []),
});

/** The file's values with units resolved and defaults filled in; keys as in the file. */
export type FileValues = v.InferOutput<typeof fileSchema>;

/** Keys that say the same in two ways: the environment's way replaces the file's. */
export const alternatives: readonly (readonly [string, string])[] = [
  ['upstream.password', 'upstream.password_file'],
  ['upstream.token', 'upstream.token_file'],
  ['upstream.nkey_seed', 'upstream.nkey_seed_file'],
  ['upstream.proxy.password', 'upstream.proxy.password_file'],
];

/** What the file's paths have led to. */
export interface Resolved {
  /** Makes a path of the file absolute. */
  absolute(path: string): string;
  readonly password: string | null;
  readonly token: string | null;
  readonly nkeySeed: string | null;
  readonly proxyPassword: string | null;
}

/** What the parts are built from: plain numbers in the units that the names end in, absolute paths, null for none. */
export type Config = ReturnType<typeof toConfig>;
export type Lane = Config['lanes'][number];
export type UpstreamConfig = NonNullable<Config['upstream']>;

export function toConfig(file: FileValues, { absolute, password, token, nkeySeed, proxyPassword }: Resolved) {
  const { gateway, log, mqtt, users, nats, status, journal, lanes, upstream, serial } = file;
  const natsListen = nats.listen === undefined ? NATS_LISTEN : nats.listen;
  const fileOrNull = (path: string | undefined): string | null => (path === undefined ? null : absolute(path));
  type ListenerValues = (typeof mqtt.listeners)[number] | (typeof nats.listeners)[number];
  const listenerOf = ({ listen, anonymous, tls, websocket }: ListenerValues) => ({
    ...listen,
    anonymous: anonymous ?? isLoopback(listen.host),
    tls: tls
      ? {
          cert: absolute(tls.cert),
          key: absolute(tls.key),
          ca: fileOrNull(tls.ca),
          clientCertificates: tls.client_certificates,
          first: 'handshake_first' in tls && tls.handshake_first,
        }
      : null,
    websocket: websocket ?? null,
  });
  const natsListeners = [
    ...(natsListen ? [{ listen: natsListen, anonymous: nats.anonymous, tls: undefined, websocket: undefined }] : []),
    ...nats.listeners,
  ].map(listenerOf);
  return {
    gateway: { name: gateway.name, data: absolute(gateway.data) },
    log,
    mqtt: {
      listeners: mqtt.listeners.map(listenerOf),
      connectionsMax: mqtt.connections_max,
      packetBytesMax: mqtt.packet_max,
      connectTimeoutMs: mqtt.connect_timeout,
      keepAliveMaxS: Math.floor(mqtt.keep_alive_max / 1000),
      subscriptionsMax: mqtt.subscriptions_max,
      topicLevelsMax: mqtt.topic_levels_max,
      topicBytesMax: mqtt.topic_bytes_max,
      connectsPerS: mqtt.connect_rate,
      connectsPerAddressS: mqtt.connect_rate_per_address,
      inflightMax: mqtt.inflight_max,
      sessionsMax: mqtt.sessions_max,
      sessionExpiryMaxS: Math.floor(mqtt.session_expiry_max / 1000),
      sessionQueueMax: mqtt.session_queue_max,
      sessionQueueBytesMax: mqtt.session_queue_bytes_max,
      sessions: mqtt.session_expiry_max > 0 ? { bytesMax: mqtt.sessions_bytes_max } : null,
      retained: mqtt.retained === 'on' ? { countMax: mqtt.retained_max, bytesMax: mqtt.retained_bytes_max } : null,
    },
    users: users.map((user) => ({
      name: user.name,
      passwordHash: user.password_hash ?? null,
      tokenHash: user.token_hash ?? null,
      nkey: user.nkey ?? null,
      certificate: user.certificate ?? null,
      publish: user.publish,
      publishDeny: user.publish_deny,
      subscribe: user.subscribe,
      subscribeDeny: user.subscribe_deny,
      responses: user.allow_responses
        ? { max: user.allow_responses.max, expiresMs: user.allow_responses.expires }
        : null,
    })),
    nats:
      natsListeners.length === 0
        ? null
        : {
            listeners: natsListeners,
            isDefault: nats.listen === undefined,
            connectionsMax: nats.connections_max,
            payloadBytesMax: nats.payload_max,
            subscriptionsMax: nats.subscriptions_max,
            controlLineBytesMax: nats.control_line_max,
            connectTimeoutMs: nats.connect_timeout,
            pendingBytesMax: nats.pending_max,
            pendingBytesTotalMax: nats.pending_total_max,
            pingIntervalMs: nats.ping_interval,
            duplicateWindowMs: nats.duplicate_window,
          },
    status: status.listen && {
      ...status.listen,
      anonymous: status.anonymous ?? isLoopback(status.listen.host),
    },
    journal: {
      reserveBytes: journal.reserve,
      compress: journal.compress,
      enduranceBytes: journal.endurance,
      keep: { ms: journal.keep_after_ack, bytesMax: journal.keep_after_ack_bytes },
    },
    serial: serial.filter(({ modbus }) => !modbus).map((port) => toSerialPort(port, absolute)),
    modbus: serial.filter(({ modbus }) => modbus).map((port) => toModbusPort(port, absolute)),
    lanes: lanes.map((lane) => ({
      name: lane.name,
      subjects: lane.subjects,
      priority: lane.priority,
      full: lane.full,
      drain: lane.drain,
      maxBytes: lane.max_bytes,
      maxAgeMs: lane.max_age,
      replies: lane.replies,
      stream: lane.stream ?? null,
    })),
    upstream: upstream
      ? {
          urls: upstream.urls,
          user: upstream.user ?? null,
          password,
          token,
          nkeySeed,
          credentials: fileOrNull(upstream.credentials),
          tls: {
            ca: fileOrNull(upstream.tls.ca),
            cert: fileOrNull(upstream.tls.cert),
            key: fileOrNull(upstream.tls.key),
            handshakeFirst: upstream.tls.handshake_first,
          },
          proxy: upstream.proxy
            ? { ...upstream.proxy.url, user: upstream.proxy.user ?? null, password: proxyPassword }
            : null,
          account: upstream.account ?? null,
          isolate: upstream.isolate,
          prefix: upstream.prefix,
          denyImports: upstream.deny_imports,
          denyExports: upstream.deny_exports,
          streams: upstream.streams.map((stream) => ({
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
          })),
          commands: upstream.commands.map((entry) => ({
            stream: entry.stream,
            filter: entry.filter,
            durable: entry.durable ?? `petiole-${gateway.name}`,
            ttlMs: entry.ttl,
            deliveriesMax: entry.deliveries_max,
            deadLetter: entry.dead_letter ?? `petiole.${gateway.name}.commands.dead`,
            window: entry.window,
          })),
          limit: {
            messagesPerSecond: upstream.limit.messages_per_second,
            bytesPerSecond: upstream.limit.bytes_per_second,
          },
          drain: {
            share: upstream.drain.share / 100,
            windows: upstream.drain.windows,
            overridePriority: upstream.drain.override_priority,
            historicalAfterMs: upstream.drain.historical_after,
          },
          window: upstream.window,
          ackTimeoutMs: upstream.ack_timeout,
          pingIntervalMs: upstream.ping_interval,
          connectTimeoutMs: upstream.connect_timeout,
        }
      : null,
  };
}
