import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../support/temp.ts';
import { configOf, load } from './config-loader.ts';

const SEED = `SU${'A'.repeat(56)}`;

/** Each text has this one problem at this path and line, and the mended text has none. */
const cases: [name: string, text: string, path: string, line: number, message: RegExp, mended: string][] = [
  [
    'a listener off loopback needs anonymous: true',
    'mqtt:\n  listeners:\n    - listen: 192.168.0.1:1883\n',
    'mqtt.listeners[0].listen',
    3,
    /open to the network/,
    'mqtt:\n  listeners:\n    - listen: 192.168.0.1:1883\n      anonymous: true\n',
  ],
  [
    'anonymous: false off loopback lets nobody in either',
    'mqtt:\n  listeners:\n    - listen: 0.0.0.0:1883\n      anonymous: false\n',
    'mqtt.listeners[0].anonymous',
    4,
    /open to the network/,
    'mqtt:\n  listeners:\n    - listen: 0.0.0.0:1883\n      anonymous: true\n',
  ],
  [
    'anonymous: false on loopback, without users',
    'nats:\n  listen: 127.0.0.1:81\n  anonymous: false\n',
    'nats.anonymous',
    3,
    /nobody could connect/,
    'nats:\n  listen: 127.0.0.1:81\n  anonymous: true\n',
  ],
  [
    'a name is not taken for loopback',
    'nats:\n  listen: plant1.local:81\n',
    'nats.listen',
    2,
    /open to the network/,
    'nats:\n  listen: plant1.local:81\n  anonymous: true\n',
  ],
  [
    'a certificate of the status page without its key',
    `status:\n  tls:\n    cert: ${import.meta.filename}\n`,
    'status.tls.cert',
    3,
    /without its key/,
    'status:\n  listen: 0.0.0.0:8443\n',
  ],
  [
    'viewer beside anonymous',
    'status:\n  viewer: anyone\n  anonymous: true\n',
    'status.anonymous',
    3,
    /both given/,
    'status:\n  viewer: local-network\n  tls: off\n',
  ],
  [
    'the same address twice',
    'mqtt:\n  listeners:\n    - listen: "[::1]:1"\n    - listen: "[0:0::1]:1"\n',
    'mqtt.listeners[1].listen',
    4,
    /\[::1\]:1 can't be bound beside/,
    'mqtt:\n  listeners:\n    - listen: "[::1]:1"\n    - listen: 127.0.0.1:1\n',
  ],
  [
    'a NATS listener off loopback needs users or anonymous: true',
    'nats:\n  listeners:\n    - listen: 0.0.0.0:4223\n',
    'nats.listeners[0].listen',
    3,
    /open to the network and there are no users/,
    'nats:\n  listeners:\n    - listen: 0.0.0.0:4223\nusers:\n  - { name: a, token_hash: "$sha256$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU" }\n',
  ],
  [
    'a NATS listener asks for certificates that nobody has signed',
    'nats:\n  listeners:\n    - { listen: "127.0.0.1:4223", tls: { cert: a, key: b, client_certificates: optional } }\n',
    'nats.listeners[0].tls.client_certificates',
    3,
    /no authority/,
    'nats:\n  listeners:\n    - { listen: "127.0.0.1:4223", tls: { cert: a, key: b, ca: c, client_certificates: optional } }\n',
  ],
  [
    'an NKey is one user’s',
    'users:\n  - { name: a, nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }\n  - { name: b, nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }\n',
    'users[1].nkey',
    3,
    /is the nkey of users\[0\] already/,
    'users:\n  - { name: a, nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }\n',
  ],
  [
    'an origin has no path',
    'nats:\n  listeners:\n    - { listen: "127.0.0.1:4223", websocket: { origins: ["https://panel.example/x"] } }\n',
    'nats.listeners[0].websocket.origins[0]',
    3,
    /expected an origin/,
    'nats:\n  listeners:\n    - { listen: "127.0.0.1:4223", websocket: { origins: ["https://panel.example"] } }\n',
  ],
  [
    'a wildcard takes the status page’s port',
    'mqtt:\n  listeners:\n    - { listen: "[::]:81", anonymous: true }\nstatus:\n  listen: 127.0.0.1:81\n',
    'status.listen',
    5,
    /beside \[::\]:81 of mqtt\.listeners\[0\]\.listen/,
    'mqtt:\n  listeners:\n    - { listen: "[::]:0", anonymous: true }\nstatus:\n  listen: 127.0.0.1:0\n',
  ],
  [
    'two lanes of one name',
    'lanes:\n  - { name: a, subjects: [a] }\n  - { name: a, subjects: [b] }\n',
    'lanes[1].name',
    3,
    /name of lanes\[0\]/,
    'lanes:\n  - { name: a, subjects: [a] }\n  - { name: A, subjects: [b] }\n',
  ],
  [
    'a lane under a wider one',
    'lanes:\n  - { name: a, subjects: ["a.*", b] }\n  - { name: c, subjects: [c] }\n  - { name: d, subjects: [a.x, b, c] }\n',
    'lanes[2].subjects',
    4,
    /lanes\[0\] and lanes\[1\] above it takes? all/,
    'lanes:\n  - { name: a, subjects: ["a.*", b] }\n  - { name: c, subjects: [c] }\n  - { name: d, subjects: [a.x, "a.>"] }\n',
  ],
  [
    'a lane of the system’s subjects is reached below ">", but not twice',
    'lanes:\n  - { name: a, subjects: [">"] }\n  - { name: b, subjects: ["$KV.>"] }\n  - { name: c, subjects: [$KV.x] }\n',
    'lanes[2].subjects',
    4,
    /lanes\[1\] above it/,
    'lanes:\n  - { name: a, subjects: [">"] }\n  - { name: b, subjects: ["$KV.>", _INBOX.x] }\n',
  ],
  [
    'a lane smaller than a packet',
    'mqtt: { packet_max: 128KiB }\nlanes:\n  - { name: a, subjects: [a], max_bytes: 64KiB }\n',
    'lanes[0].max_bytes',
    3,
    /64KiB can't hold one packet of mqtt\.packet_max \(128KiB\)/,
    'mqtt: { packet_max: 64KiB }\nlanes:\n  - { name: a, subjects: [a], max_bytes: 64KiB }\n',
  ],
  [
    'one stream, two lanes, one of which owns it',
    'lanes:\n  - { name: a, subjects: [a], stream: { name: S, own: true } }\n  - { name: b, subjects: [b], stream: { name: S } }\n',
    'lanes[1].stream.name',
    3,
    /stream of lanes\[0\] too/,
    'lanes:\n  - { name: a, subjects: [a], stream: { name: S } }\n  - { name: b, subjects: [b], stream: { name: S } }\n',
  ],
  [
    'no lane at all',
    'lanes: []\n',
    'lanes',
    1,
    /a list of 1 to 255, found an empty list/,
    'lanes: [{ name: a, subjects: [a] }]\n',
  ],
  [
    'a user without a password',
    'upstream:\n  urls: [tls://h]\n  user: sam\n',
    'upstream.user',
    3,
    /without a password/,
    'upstream:\n  urls: [tls://h]\n  user: sam\n  password: x\n',
  ],
  [
    'a password without a user',
    'upstream:\n  urls: [tls://h]\n  password: x\n',
    'upstream.password',
    3,
    /without a user/,
    'upstream:\n  urls: [tls://h]\n  token: x\n',
  ],
  [
    'a token beside a user',
    'upstream:\n  urls: [tls://h]\n  user: sam\n  password: x\n  token: y\n',
    'upstream.token',
    5,
    /beside a user/,
    'upstream:\n  urls: [tls://h]\n',
  ],
  [
    'an NKey beside a token',
    `upstream:\n  urls: [tls://h]\n  token: x\n  nkey_seed: ${SEED}\n`,
    'upstream.nkey_seed',
    4,
    /an NKey beside a token/,
    `upstream:\n  urls: [tls://h]\n  nkey_seed: ${SEED}\n`,
  ],
  [
    'a credentials file beside a user',
    'upstream:\n  urls: [tls://h]\n  user: sam\n  password: x\n  credentials: box.creds\n',
    'upstream.credentials',
    5,
    /beside a user/,
    'upstream:\n  urls: [tls://h]\n  credentials: box.creds\n',
  ],
  [
    'a credentials file that is none',
    'upstream:\n  urls: [tls://h]\n  credentials: box.pem\n',
    'upstream.credentials',
    3,
    /BEGIN NATS USER JWT/,
    'upstream:\n  urls: [wss://h/nats]\n  credentials: box.creds\n',
  ],
  [
    'a seed file that holds none',
    'upstream:\n  urls: [tls://h]\n  nkey_seed_file: box.pem\n',
    'upstream.nkey_seed_file',
    3,
    /seed of an NKey/,
    'upstream:\n  urls: [tls://h]\n  nkey_seed_file: box.seed\n',
  ],
  [
    "a proxy's password without its user",
    'upstream:\n  urls: [tls://h]\n  proxy: { url: "http://p", password: x }\n',
    'upstream.proxy.password',
    3,
    /without a user/,
    'upstream:\n  urls: [tls://h]\n  proxy: { url: "http://p:80", user: y, password: x }\n',
  ],
  [
    'a proxy that is none',
    'upstream:\n  urls: [tls://h]\n  proxy: { url: "socks://p" }\n',
    'upstream.proxy.url',
    3,
    /http:/,
    'upstream:\n  urls: [tls://h]\n  proxy: { url: "http://[::1]:3128/" }\n',
  ],
  [
    'commands on everything',
    'upstream:\n  urls: [tls://h]\n  commands: [{ stream: C, filter: ">" }]\n',
    'upstream.commands[0].filter',
    3,
    /wider than commands can be/,
    'upstream:\n  urls: [tls://h]\n  commands: [{ stream: C, filter: cmd.> }]\n',
  ],
  [
    'dead commands that would be commands',
    'upstream:\n  urls: [tls://h]\n  commands: [{ stream: C, filter: cmd.>, dead_letter: cmd.dead }]\n',
    'upstream.commands[0].dead_letter',
    3,
    /a command itself/,
    'upstream:\n  urls: [tls://h]\n  commands: [{ stream: C, filter: cmd.>, dead_letter: dead.cmd }]\n',
  ],
  [
    'one consumer for two',
    'upstream:\n  urls: [tls://h]\n  commands:\n    - { stream: C, filter: a.> }\n    - { stream: C, filter: b.> }\n',
    'upstream.commands[1].stream',
    5,
    /its consumer is that of upstream\.commands\[0\]/,
    'upstream:\n  urls: [tls://h]\n  commands:\n    - { stream: C, filter: a.> }\n    - { stream: C, filter: b.>, durable: b }\n',
  ],
  [
    'a prefix with a wildcard',
    'upstream:\n  urls: [tls://h]\n  prefix: plant.*\n',
    'upstream.prefix',
    3,
    /without wildcards/,
    'upstream:\n  urls: [tls://h]\n  prefix: plant.one\n',
  ],
  [
    'a certificate without its key',
    'upstream:\n  urls: [tls://h]\n  tls: { cert: box.pem }\n',
    'upstream.tls.cert',
    3,
    /without its key/,
    'upstream:\n  urls: [tls://h]\n  tls: { cert: box.pem, key: box.key }\n',
  ],
  [
    'a key without its certificate',
    'upstream:\n  urls: [tls://h]\n  tls: { key: box.key }\n',
    'upstream.tls.key',
    3,
    /without its certificate/,
    'upstream:\n  urls: [tls://h]\n  tls: { ca: box.pem }\n',
  ],
];

const files = {
  'box.pem': '-----BEGIN CERTIFICATE-----\n',
  'box.key': '-----BEGIN EC PRIVATE KEY-----\n',
  'box.seed': `${SEED}\n`,
  'box.creds': '-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n',
};

for (const [name, text, path, line, message, mended] of cases) {
  test(name, (t) => {
    const { problems } = load(t, text, {}, files);
    assert.deepEqual(
      problems.map((problem) => [problem.path, problem.line]),
      [[path, line]],
    );
    assert.match(problems[0]?.message ?? '', message);
    assert.notEqual(problems[0]?.hint, '');
    configOf(load(t, mended, {}, files));
  });
}

test('both spellings of a secret at once', (t) => {
  const { problems } = load(
    t,
    'upstream: { urls: [tls://h], user: a, password: b, password_file: box.pem }',
    {},
    files,
  );
  assert.deepEqual(
    problems.map(({ path }) => path),
    ['upstream.password'],
  );
});

test('a path below $CREDENTIALS_DIRECTORY is one of the folder that systemd names', (t) => {
  const folder = tempDir(t, 'credentials');
  writeFileSync(join(folder, 'hub.password'), 'hunter2\n');
  const text =
    'upstream: { urls: [tls://h], user: a, password_file: $CREDENTIALS_DIRECTORY/hub.password, tls: { ca: box.pem } }';
  assert.equal(configOf(load(t, text, { CREDENTIALS_DIRECTORY: folder }, files)).upstream?.password, 'hunter2');
  assert.match(load(t, text, {}, files).problems[0]?.message ?? '', /CREDENTIALS_DIRECTORY.* does not exist/);
});

test('addresses and hub addresses that are none', (t) => {
  const listens = [
    '1883',
    ':1883',
    'localhost',
    '127.0.0.1',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '::1:1883',
    '[::1]',
    '[::x]:1',
    '[]:1',
    '256.0.0.1:1',
    'a b:1',
    'tcp://x:1',
    '*:1',
    '-x:1',
    '1.5:1',
  ];
  for (const listen of listens) {
    const { problems } = load(t, `status: { listen: ${JSON.stringify(listen)}, anonymous: true }`);
    assert.equal(problems.length, 1, listen);
    assert.notEqual(problems[0]?.hint, '', listen);
  }
  const urls = [
    'hub',
    'hub:7422',
    'http://hub',
    'ws://hub/a b',
    'wss://hub?x=1',
    'https://hub',
    'tls://',
    'tls://:7422',
    'tls://hub:0',
    'tls://hub:99999',
    'tls://hub/path',
    'tls://hub?x=1',
    'tls://a b',
    'tls://user@hub',
    'tls://2001:db8::1',
    'tls:hub',
    '//hub',
    'tls://hub:74:22',
    'tls://10.0.0',
  ];
  for (const url of urls) {
    const { problems } = load(t, `upstream: { urls: [${JSON.stringify(url)}] }`);
    assert.deepEqual(
      problems.map(({ path }) => path),
      ['upstream.urls[0]'],
      url,
    );
  }
});

test('limits: the ends are taken, one step beyond is not', (t) => {
  const keys: [write: (value: string) => string, good: string[], bad: string[]][] = [
    [(x) => `mqtt: { inflight_max: ${x} }`, ['1', '65535'], ['0', '65536', '1.5', '.nan', '.inf', '1e9', '"5"', '-1']],
    [(x) => `mqtt: { keep_alive_max: ${x} }`, ['10s', '65535s'], ['9s', '65536s', '0', '0s']],
    [(x) => `journal: { reserve: ${x} }`, ['1MiB', '1TiB'], ['0', '0B', '1023KiB', '2TiB']],
    [(x) => `gateway: { name: ${x} }`, ['a', 'x'.repeat(64)], ['""', 'x'.repeat(65), 'a.b', 'ä', '1', 'true']],
    [(x) => `lanes: [{ name: a, subjects: [a], max_age: ${x} }]`, ['0', '0s', '1ms', '3650d'], ['1', '3651d']],
    [(x) => `lanes: [{ name: a, subjects: [a], priority: ${x} }]`, ['1', '9'], ['0', '10']],
    [(x) => `lanes: [{ name: a, subjects: [a], stream: { name: ${x} } }]`, ['A', 'ä-1'], ['a.b', '"a b"', '">"', '""']],
    [
      (x) => `upstream: { urls: [tls://h], limit: { bytes_per_second: ${x} } }`,
      ['0', '1', '5MiB'],
      ['-1', '1.5', '2TiB', 'fast'],
    ],
  ];
  for (const [write, good, bad] of keys) {
    for (const value of good) configOf(load(t, write(value)));
    for (const value of bad) assert.equal(load(t, write(value)).problems.length, 1, write(value));
  }
  const lanes = (count: number) =>
    Array.from({ length: count }, (_, i) => `- { name: l${i}, subjects: [s${i}] }\n`).join('');
  assert.equal(configOf(load(t, `lanes:\n${lanes(255)}`)).lanes.length, 255);
  assert.match(load(t, `lanes:\n${lanes(256)}`).problems[0]?.message ?? '', /1 to 255, found a list of 256/);
});
