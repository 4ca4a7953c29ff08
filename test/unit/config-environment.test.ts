import assert from 'node:assert/strict';
import { test } from 'node:test';
import { variables } from '../../src/config/environment.ts';
import { configOf, load, placesOf } from './config-loader.ts';

test('the names of the variables come from the schema', () => {
  const names = [...variables.keys()];
  for (const name of [
    'PETIOLE_GATEWAY_NAME',
    'PETIOLE_MQTT_LISTENERS',
    'PETIOLE_STATUS_LISTEN',
    'PETIOLE_JOURNAL_RESERVE',
    'PETIOLE_LANES',
    'PETIOLE_UPSTREAM_URLS',
    'PETIOLE_UPSTREAM_PASSWORD_FILE',
    'PETIOLE_UPSTREAM_TLS_CA',
    'PETIOLE_UPSTREAM_LIMIT_MESSAGES_PER_SECOND',
  ]) {
    assert(names.includes(name), name);
  }
  assert.equal(new Set(names).size, names.length);
});

test('variables override the file, key by key', (t) => {
  const file = `
gateway: { name: plant1 }
mqtt: { connections_max: 5, packet_max: 64KiB }
status: off
upstream: { urls: [tls://old], user: sam, password_file: gone }
`;
  const config = configOf(
    load(t, file, {
      PETIOLE_GATEWAY_NAME: '0123',
      PETIOLE_LOG_LEVEL: 'warn',
      PETIOLE_MQTT_CONNECTIONS_MAX: '7',
      PETIOLE_MQTT_LISTENERS: '[{"listen": "0.0.0.0:0", "anonymous": true}]',
      PETIOLE_STATUS_LISTEN: '0.0.0.0:0',
      PETIOLE_STATUS_ANONYMOUS: 'true',
      PETIOLE_LANES: '- { name: a, subjects: [a.>], max_age: 1d }\n- { name: b, subjects: [">"] }\n',
      PETIOLE_UPSTREAM_URLS: 'tls://one, nats://two:4222',
      PETIOLE_UPSTREAM_PASSWORD: '12345',
      PETIOLE_UPSTREAM_LIMIT_BYTES_PER_SECOND: '1000',
      PETIOLE_UPSTREAM_LIMIT_MESSAGES_PER_SECOND: '10',
      PATH: '/bin',
    }),
  );
  assert.equal(config.gateway.name, '0123');
  assert.equal(config.log.level, 'warn');
  assert.equal(config.mqtt.connectionsMax, 7);
  assert.equal(config.mqtt.packetBytesMax, 65_536);
  assert.deepEqual(config.mqtt.listeners, [{ host: '0.0.0.0', port: 0, anonymous: true, tls: null, websocket: null }]);
  assert.deepEqual(config.status, {
    host: '0.0.0.0',
    port: 0,
    viewer: 'anyone',
    tls: { kind: 'self-made', folder: config.gateway.data },
  });
  assert.deepEqual(
    config.lanes.map(({ name, maxAgeMs }) => [name, maxAgeMs]),
    [
      ['a', 86_400_000],
      ['b', 0],
    ],
  );
  assert.deepEqual(config.upstream?.urls, ['tls://one:7422', 'nats://two:4222']);
  assert.equal(config.upstream?.user, 'sam');
  // The file's password_file is the same setting in another way, so it is overridden too.
  assert.equal(config.upstream?.password, '12345');
  assert.deepEqual(config.upstream?.limit, { messagesPerSecond: 10, bytesPerSecond: 1000 });
});

test('variables alone make an upstream; a list may be written as YAML', (t) => {
  const env = { PETIOLE_UPSTREAM_URLS: '["tls://hub"]', PETIOLE_UPSTREAM_WINDOW: '3', PETIOLE_STATUS_LISTEN: 'off' };
  const config = configOf(load(t, 'upstream:\n', env));
  assert.deepEqual(config.upstream?.urls, ['tls://hub:7422']);
  assert.equal(config.upstream?.window, 3);
  assert.equal(config.status, null);
});

test('mistakes in variables name the variable, beside those of the file', (t) => {
  const loaded = load(t, 'log: { level: loud }\n', {
    PETIOLE_GATEWAY_NMAE: 'x',
    PETIOLE_JOURNAL_RESERVE: '64',
    PETIOLE_LANES: '[{ name: a, subjects: [">"], size: 1 }]',
    PETIOLE_MQTT_CONNECTIONS_MAX: 'many',
    PETIOLE_MQTT_LISTENERS: '[{ listen: ',
    PETIOLE_NONSENSE: '1',
    PETIOLE_STATUS_ANONYMOUS: 'yes',
    PETIOLE_TEST_ANYTHING: 'left alone',
    PETIOLE_UPSTREAM_WINDOW: '5',
    PETIOLE_UPSTREAM_PASSWORD: '  ',
  });
  assert.deepEqual(placesOf(loaded).sort(), [
    ' PETIOLE_GATEWAY_NMAE',
    ' PETIOLE_NONSENSE',
    'journal.reserve PETIOLE_JOURNAL_RESERVE',
    'lanes[0].size PETIOLE_LANES',
    'log.level 1',
    'mqtt.connections_max PETIOLE_MQTT_CONNECTIONS_MAX',
    'mqtt.listeners PETIOLE_MQTT_LISTENERS',
    'status.anonymous PETIOLE_STATUS_ANONYMOUS',
    'upstream.password PETIOLE_UPSTREAM_PASSWORD',
    'upstream.urls PETIOLE_UPSTREAM_WINDOW',
  ]);
  const hintOf = (variable: string): string =>
    loaded.problems.find((problem) => problem.variable === variable)?.hint ?? '';
  assert.match(hintOf('PETIOLE_GATEWAY_NMAE'), /did you mean PETIOLE_GATEWAY_NAME\?/);
  assert.match(hintOf('PETIOLE_JOURNAL_RESERVE'), /64KiB/);
  assert.match(hintOf('PETIOLE_UPSTREAM_WINDOW'), /or set PETIOLE_UPSTREAM_URLS/);
  assert.equal(loaded.problems[0]?.line, 1);
});

test('a variable can not repair what is no map, and its secret is not shown', (t) => {
  const loaded = load(t, 'upstream: tls://hub\n', { PETIOLE_UPSTREAM_PASSWORD: 'hunter2'.repeat(300) });
  assert.deepEqual(placesOf(loaded), ['upstream 1']);
  const secret = load(t, '', { PETIOLE_UPSTREAM_PASSWORD: 'hunter2'.repeat(300) });
  assert.doesNotMatch(JSON.stringify(secret.problems), /hunter2/);
});
