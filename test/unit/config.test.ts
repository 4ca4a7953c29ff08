import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { describeProblems, type Problem } from '../../src/config/problems.ts';
import { redact } from '../../src/config/redact.ts';
import { safeToken } from '../../src/core/subject.ts';
import { tempDir } from '../support/temp.ts';
import { configOf, load, placesOf } from './config-loader.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const KEY = '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n';

test('an empty file gives the safe defaults', (t) => {
  for (const text of ['', '# nothing yet\n', '---\n', 'mqtt: {}\nlog: {}\n']) {
    const loaded = load(t, text);
    assert.deepEqual(configOf(loaded), {
      gateway: { name: safeToken(hostname()), data: join(loaded.folder, 'data') },
      log: { level: 'info' },
      mqtt: {
        listeners: [{ host: '127.0.0.1', port: 1883, anonymous: true, tls: null, websocket: null }],
        connectionsMax: 1000,
        packetBytesMax: 256 * KiB,
        connectTimeoutMs: 10_000,
        keepAliveMaxS: 3600,
        subscriptionsMax: 100,
        topicLevelsMax: 32,
        topicBytesMax: 2048,
        connectsPerS: 500,
        connectsPerAddressS: 100,
        inflightMax: 1000,
        sessionsMax: 10_000,
        sessionExpiryMaxS: 604_800,
        sessionQueueMax: 1000,
        sessionQueueBytesMax: MiB,
        sessions: { bytesMax: 64 * MiB },
        retained: { countMax: 10_000, bytesMax: 16 * MiB },
      },
      users: [],
      nats: {
        listeners: [{ host: '127.0.0.1', port: 4222, anonymous: true, tls: null, websocket: null }],
        isDefault: true,
        connectionsMax: 200,
        payloadBytesMax: 256 * KiB,
        subscriptionsMax: 5000,
        controlLineBytesMax: 4 * KiB,
        connectTimeoutMs: 10_000,
        pendingBytesMax: 4 * MiB,
        pendingBytesTotalMax: 32 * MiB,
        pingIntervalMs: 120_000,
        duplicateWindowMs: 120_000,
      },
      status: { host: '127.0.0.1', port: 8080, viewer: 'loopback', tls: null },
      journal: {
        reserveBytes: 64 * MiB,
        compress: false,
        saver: null,
        enduranceBytes: 0,
        keep: { ms: 150_000, bytesMax: 64 * MiB },
      },
      serial: [],
      modbus: [],
      bridges: [],
      firmware: {
        keys: [],
        bucket: null,
        isApprovedAtOnce: false,
        windows: [],
        allowsOlder: false,
        imageBytesMax: 4 * MiB,
        cacheBytesMax: 64 * MiB,
        confirmTimeoutMs: 120_000,
      },
      lanes: [
        {
          name: 'default',
          subjects: ['>'],
          priority: 5,
          full: 'drop-oldest',
          drain: 'oldest-first',
          maxBytes: GiB,
          maxAgeMs: 0,
          replies: 'pass',
          stream: null,
        },
      ],
      upstream: null,
    });
  }
});

test('every key is read', (t) => {
  const text = `
gateway: { name: plant_1-a, data: /var/lib/petiole }
log: { level: debug }
mqtt:
  listeners:
    - listen: 0.0.0.0:0
      anonymous: true
    - listen: "[::1]:1883"
  connections_max: 20
  packet_max: 1.5KiB
  connect_timeout: 1500ms
  keep_alive_max: 2m
  subscriptions_max: 7
  topic_levels_max: 8
  inflight_max: 9
  retained: on
  retained_max: 11
  retained_bytes_max: 1MiB
  sessions_max: 12
  session_expiry_max: 1h
  session_queue_max: 13
  session_queue_bytes_max: 32KiB
  sessions_bytes_max: 2MiB
nats:
  listen: 0.0.0.0:4223
  anonymous: true
  listeners:
    - { listen: 127.0.0.1:4224, tls: { cert: box.pem, key: box.key, ca: ca.pem, client_certificates: required, handshake_first: true } }
    - { listen: 127.0.0.1:4225, websocket: { path: /nats, origins: ["https://panel.example"] } }
  connections_max: 2
  payload_max: 1MiB
  subscriptions_max: 3
  control_line_max: 5KiB
  connect_timeout: 6s
  pending_max: 7MiB
  pending_total_max: 8MiB
  ping_interval: 4s
  duplicate_window: 5s
status: { listen: LocalHost:81, anonymous: true }
journal: { reserve: 1GB, compress: true, endurance: 30TiB, keep_after_ack: 10m, keep_after_ack_bytes: 1MiB, flush: { saver: true, hold: 100ms } }
lanes:
  - { name: alarms, subjects: ["*.alarm.>", "$KV.b.>"], priority: 1, full: refuse, max_bytes: 64 MiB, max_age: 30d, replies: pass, stream: { name: ALARMS, own: true } }
  - { name: rest, subjects: [">"], drain: live-first, stream: { name: REST } }
upstream:
  urls: ["tls://hub.example.com", "nats://[2001:DB8:0::1]:4000/", "nats-leaf://10.0.0.1:7423"]
  user: sam
  password_file: secret
  tls: { ca: ca.pem, cert: box.pem, key: box.key }
  limit: { messages_per_second: 100, bytes_per_second: 64KiB }
  drain: { share: 20, windows: ["* 1-4 * * 1-5"], override_priority: 2, historical_after: 1m }
  window: 10
  ack_timeout: 2s
  ping_interval: 3s
  connect_timeout: 4s
`;
  const files = { secret: '  hunter2\n', 'ca.pem': PEM, 'box.pem': PEM, 'box.key': KEY };
  const loaded = load(t, text, {}, files);
  const { folder } = loaded;
  assert.deepEqual(configOf(loaded), {
    gateway: { name: 'plant_1-a', data: '/var/lib/petiole' },
    log: { level: 'debug' },
    mqtt: {
      listeners: [
        { host: '0.0.0.0', port: 0, anonymous: true, tls: null, websocket: null },
        { host: '::1', port: 1883, anonymous: true, tls: null, websocket: null },
      ],
      connectionsMax: 20,
      packetBytesMax: 1536,
      connectTimeoutMs: 1500,
      keepAliveMaxS: 120,
      subscriptionsMax: 7,
      topicLevelsMax: 8,
      topicBytesMax: 2048,
      connectsPerS: 500,
      connectsPerAddressS: 100,
      inflightMax: 9,
      sessionsMax: 12,
      sessionExpiryMaxS: 3600,
      sessionQueueMax: 13,
      sessionQueueBytesMax: 32 * 1024,
      sessions: { bytesMax: 2 * MiB },
      retained: { countMax: 11, bytesMax: MiB },
    },
    users: [],
    nats: {
      listeners: [
        { host: '0.0.0.0', port: 4223, anonymous: true, tls: null, websocket: null },
        {
          host: '127.0.0.1',
          port: 4224,
          anonymous: true,
          tls: {
            cert: join(folder, 'box.pem'),
            key: join(folder, 'box.key'),
            ca: join(folder, 'ca.pem'),
            clientCertificates: 'required',
            first: true,
          },
          websocket: null,
        },
        {
          host: '127.0.0.1',
          port: 4225,
          anonymous: true,
          tls: null,
          websocket: { path: '/nats', origins: ['https://panel.example'] },
        },
      ],
      isDefault: false,
      connectionsMax: 2,
      payloadBytesMax: MiB,
      subscriptionsMax: 3,
      controlLineBytesMax: 5 * KiB,
      connectTimeoutMs: 6_000,
      pendingBytesMax: 7 * MiB,
      pendingBytesTotalMax: 8 * MiB,
      pingIntervalMs: 4000,
      duplicateWindowMs: 5000,
    },
    status: { host: 'localhost', port: 81, viewer: 'anyone', tls: null },
    journal: {
      reserveBytes: 1e9,
      compress: true,
      saver: { holdMs: 100 },
      enduranceBytes: 30 * 1024 * GiB,
      keep: { ms: 600_000, bytesMax: MiB },
    },
    serial: [],
    modbus: [],
    bridges: [],
    firmware: {
      keys: [],
      bucket: null,
      isApprovedAtOnce: false,
      windows: [],
      allowsOlder: false,
      imageBytesMax: 4 * MiB,
      cacheBytesMax: 64 * MiB,
      confirmTimeoutMs: 120_000,
    },
    lanes: [
      {
        name: 'alarms',
        subjects: ['*.alarm.>', '$KV.b.>'],
        priority: 1,
        full: 'refuse',
        drain: 'oldest-first',
        maxBytes: 64 * MiB,
        maxAgeMs: 30 * 86_400_000,
        replies: 'pass',
        stream: { name: 'ALARMS', own: true },
      },
      {
        name: 'rest',
        subjects: ['>'],
        priority: 5,
        full: 'drop-oldest',
        drain: 'live-first',
        maxBytes: GiB,
        maxAgeMs: 0,
        replies: 'receipt',
        stream: { name: 'REST', own: false },
      },
    ],
    upstream: {
      urls: ['tls://hub.example.com:7422', 'nats://[2001:db8::1]:4000', 'nats-leaf://10.0.0.1:7423'],
      user: 'sam',
      password: 'hunter2',
      token: null,
      nkeySeed: null,
      credentials: null,
      tls: {
        ca: join(folder, 'ca.pem'),
        cert: join(folder, 'box.pem'),
        key: join(folder, 'box.key'),
        handshakeFirst: false,
      },
      proxy: null,
      account: null,
      isolate: false,
      prefix: '',
      denyImports: [],
      denyExports: [],
      streams: [],
      commands: [],
      limit: { messagesPerSecond: 100, bytesPerSecond: 64 * KiB },
      drain: { share: 0.2, windows: ['* 1-4 * * 1-5'], overridePriority: 2, historicalAfterMs: 60_000 },
      window: 10,
      ackTimeoutMs: 2000,
      pingIntervalMs: 3000,
      connectTimeoutMs: 4000,
    },
  });
});

test('the status page can be off in two ways, MQTT by an empty list', (t) => {
  assert.equal(configOf(load(t, 'status: off')).status, null);
  assert.equal(configOf(load(t, 'status: { listen: off }')).status, null);
  assert.deepEqual(configOf(load(t, 'mqtt: { listeners: [] }')).mqtt.listeners, []);
  assert.equal(configOf(load(t, 'mqtt: { retained: off }')).mqtt.retained, null);
});

test('a file with many mistakes gives all of them at once, each with its line and cure', () => {
  const file = join(import.meta.dirname, '../fixtures/config/many-mistakes.yaml');
  const loaded = loadConfig({ file, env: {}, cwd: '/' });
  assert.equal(loaded.config, null);
  const expected: [place: string, column: number, message: RegExp, hint: RegExp][] = [
    ['gateway.nmae 2', 3, /no key "nmae"/, /did you mean name\?/],
    ['gateway.data 3', 3, /expected a path .* found the number 5/, /in quotes/],
    ['log.level 4', 8, /one of trace, .* found "debgu"/, /did you mean debug\?/],
    ['mqtt.listeners[0].listen 7', 7, /expected host:port.* found the number 1883/, /127\.0\.0\.1:1883/],
    ['mqtt.listeners[1].listen 8', 7, /open to the network/, /"anonymous: true"/],
    ['mqtt.listeners[2].listen 9', 9, /beside 0\.0\.0\.0:1884/, /another port/],
    ['mqtt.listeners[2].tsl 9', 33, /no key "tsl"/, /did you mean tls/],
    ['mqtt.packet_max 10', 3, /a size with its unit .* found the number 64/, /no unit.*64KiB/],
    ['mqtt.connections_max 11', 3, /from 1 to 100000, found the number 0/, /connections_max: 1000/],
    ['mqtt.connect_timeout 12', 3, /a time with its unit .* found "10 seconds"/, /connect_timeout: 10s/],
    ['lanes[0].name 14', 5, /letters, digits.* found "a b"/, /name: telemetry/],
    ['lanes[0].max_bytes 16', 5, /found "1Gb"/, /max_bytes: 1GiB/],
    ['lanes[1].subjects[0] 18', 16, /subject filter.* found "line3\/#"/, /"line3\.>"/],
    ['lanes[1].subjects[1] 18', 27, /found "a\.\.b"/, /line3\.>/],
    ['lanes[1].bytes_max 19', 5, /no key "bytes_max"/, /did you mean max_bytes\?/],
    ['lanes[2].subjects 21', 5, /lanes\[0\] above it takes all/, /above lanes\[0\]/],
    ['lanes[3].subjects 22', 5, /missing/, /add subjects: /],
    ['lanes[3].name 22', 5, /name of lanes\[1\]/, /rename/],
    ['lanes[3].full 23', 5, /one of refuse, drop-oldest, found "drop"/, /drop-oldest/],
    ['bluetooth 24', 1, /no key "bluetooth"/, /gateway, log, mqtt/],
    ['upstream.urls[0] 26', 10, /without credentials, found "nats:\/\/…@hub"/, /password_file/],
    ['upstream.urls[1] 26', 36, /expected tls:.* found "hub:7422"/, /tls:\/\/hub:7422/],
    ['upstream.urls[2] 26', 48, /found "https:\/\/x"/, /tls:\/\//],
    ['upstream.password 28', 3, /found a number$/, /in quotes/],
    ['upstream.window 29', 3, /from 1 to 10000, found the number 1\.5/, /window: 1000/],
    ['upstream.ping_intervall 30', 3, /no key/, /did you mean ping_interval\?/],
  ];
  assert.deepEqual(placesOf(loaded).sort(), expected.map(([place]) => place).sort());
  for (const [place, column, message, hint] of expected) {
    const problem: Problem | undefined = loaded.problems.find(({ path, line }) => `${path} ${line}` === place);
    assert.equal(problem?.column, column, place);
    assert.match(problem?.message ?? '', message);
    assert.match(problem?.hint ?? '', hint);
  }
  const text = describeProblems(loaded.file, loaded.problems);
  assert.match(text, /many-mistakes\.yaml:16:5: lanes\[0\]\.max_bytes: expected .*\n {4}cure: /);
  assert.match(text, /26 problems\n$/);
  assert.doesNotMatch(text, /hunter2/);
  const lines = loaded.problems.map(({ line }) => line ?? 0);
  assert.deepEqual(
    lines,
    lines.toSorted((a, b) => a - b),
  );
});

test('a named file must exist and be a file; the default files need not', (t) => {
  const cwd = tempDir(t, 'config');
  const missing = loadConfig({ file: 'nowhere.yaml', env: {}, cwd });
  assert.equal(missing.file, join(cwd, 'nowhere.yaml'));
  assert.match(missing.problems[0]?.message ?? '', /does not exist/);
  assert.match(describeProblems(missing.file, missing.problems), /nowhere\.yaml: the configuration file does not/);

  mkdirSync(join(cwd, 'folder'));
  assert.match(loadConfig({ file: 'folder', env: {}, cwd }).problems[0]?.message ?? '', /is a folder/);
  assert.match(loadConfig({ file: '/dev/zero', env: {}, cwd }).problems[0]?.message ?? '', /longer than/);

  if (!existsSync('/etc/petiole/petiole.yaml')) {
    const none = loadConfig({ file: null, env: {}, cwd });
    assert.equal(none.file, null);
    assert.equal(none.config?.gateway.data, join(cwd, 'data'));
  }
  // What is found but is no readable file is a problem, and no reason to go on with the defaults.
  mkdirSync(join(cwd, 'petiole.yaml'));
  assert.match(loadConfig({ file: null, env: {}, cwd }).problems[0]?.message ?? '', /is a folder/);
});

test('files of secrets and certificates are read at load', (t) => {
  const text = `
upstream:
  urls: [tls://hub]
  token_file: token
  tls: { ca: ca.pem, cert: gone.pem, key: box.key }
`;
  const files = { token: 'one\ntwo\n', 'ca.pem': 'no certificate', 'box.key': PEM };
  const loaded = load(t, text, {}, files);
  assert.deepEqual(placesOf(loaded), [
    'upstream.token_file 4',
    'upstream.tls.ca 5',
    'upstream.tls.cert 5',
    'upstream.tls.key 5',
  ]);
  const [token, ca, cert, key] = loaded.problems.map(({ message }) => message);
  assert.match(token ?? '', /one line/);
  assert.match(ca ?? '', /no "-----BEGIN CERTIFICATE-----"/);
  assert.match(cert ?? '', new RegExp(`${join(loaded.folder, 'gone.pem')}" does not exist`));
  assert.match(key ?? '', /PRIVATE KEY/);
  assert.doesNotMatch(token ?? '', /two/);
});

test('redact hides what is secret and nothing else', (t) => {
  const config = configOf(load(t, 'upstream: { urls: [tls://hub], user: sam, password: hunter2 }'));
  const text = JSON.stringify(redact(config));
  assert.doesNotMatch(text, /hunter2/);
  const shown = { ...config, upstream: { ...config.upstream, password: '[redacted]' } };
  assert.deepEqual(redact(config), shown);
  const token = configOf(load(t, 'upstream: { urls: [tls://hub], token: hunter2 }'));
  assert.doesNotMatch(JSON.stringify(redact(token)), /hunter2/);
  assert.equal(token.upstream?.token, 'hunter2');
});

test('a problem never repeats a secret nor steers the terminal', (t) => {
  const long = 'hunter2'.repeat(200);
  const loaded = load(t, `upstream: { urls: ["tls://h"], user: sam, password: "${long}" }\n"\\e[2Jred": 1\n`);
  const text = describeProblems(loaded.file, loaded.problems);
  assert.equal(loaded.problems.length, 2);
  assert.doesNotMatch(text, /hunter2/);
  assert(!text.includes('\u001b'));
});
