import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectNats } from '@nats-io/transport-node';
import { connectAsync } from 'mqtt';
import type { DevicePage, ExportLine, LogPage, TailMessage } from '../../src/ops/api.ts';
import { secretsIn } from '../../src/ops/sign-in-secrets.ts';
import { listen, operatorOf } from '../support/api.ts';
import { startBox } from '../support/box.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

test('live tail, publish, request and devices on a real box', async (t) => {
  const box = await startBox(t);
  const operator = operatorOf(box);
  const tail = listen(t, box, '/api/tail?filter=line3/%23&rate=1000');
  await waitFor('the tail is open', () => tail.of('tail').length > 0);
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'sensor "7" <b>', protocolVersion: 5 });
  t.after(() => sensor.endAsync(true));
  await sensor.publishAsync('line3/temp', '21.5', { qos: 1 });
  await sensor.publishAsync('line4/temp', 'not wanted', { qos: 1 });
  await sensor.publishAsync('line3/raw', Buffer.from([0xff, 0x00]), { qos: 1 });
  const messages: TailMessage[] = await waitFor('both messages', () => {
    const found = tail.of('message');
    return found.length >= 2 ? found : undefined;
  });
  assert.deepEqual(
    messages.map(({ subject, topic, payload, from }) => [subject, topic, payload.encoding, payload.data, from]),
    [
      ['line3.temp', 'line3/temp', 'text', '21.5', 'mqtt sensor "7" <b>'],
      ['line3.raw', 'line3/raw', 'base64', '/wA=', 'mqtt sensor "7" <b>'],
    ],
  );

  // What an operator sends by hand: kept, and seen by everybody.
  const nats = await connectNats({ servers: box.natsUrl, name: 'robot' });
  t.after(() => nats.close());
  const got = nats.subscribe('line3.>', { max: 1 });
  nats.subscribe('ask', {
    callback: (_error, message) => {
      message.respond(`${message.string()}!`);
    },
  });
  await nats.flush();
  const order = { subject: 'line3/set', payload: '68 69', encoding: 'hex', headers: [['Unit', 'C']] };
  const published = await operator.post('/api/publish', order);
  assert.equal(published.status, 200, JSON.stringify(published.body));
  assert.equal(published.body.lane, 'default');
  assert.ok(published.body.sequence > 0 && published.body.reached >= 1);
  for await (const message of got) assert.equal(`${message.string()} ${message.headers?.get('Unit')}`, 'hi C');
  const asked = await operator.post('/api/request', { subject: 'ask', payload: 'you there' });
  assert.deepEqual([asked.status, asked.body.payload?.data], [200, 'you there!'], JSON.stringify(asked.body));
  const unheard = await operator.post('/api/request', { subject: 'nobody', payload: '', timeoutMs: 100 });
  assert.deepEqual([unheard.status, unheard.body.error.code], [504, 'request_timeout']);
  for (const wrong of [{ subject: 'a.*' }, { subject: '' }, { subject: 'a', payload: 'x', encoding: 'hex' }, {}]) {
    assert.equal((await operator.post('/api/publish', wrong)).status, 400, JSON.stringify(wrong));
  }

  // A retained one is there for who comes later.
  assert.equal((await operator.post('/api/publish', { subject: 'set/point', payload: '5', retain: true })).status, 200);
  const late = await connectAsync(box.mqttUrl, { clientId: 'late' });
  t.after(() => late.endAsync(true));
  const retained: string[] = [];
  late.on('message', (_topic, payload) => retained.push(String(payload)));
  await late.subscribeAsync('set/point');
  assert.equal(await waitFor('the retained message', () => retained[0]), '5');

  await operator.get('/api/devices');
  await sensor.publishAsync('line3/temp', '22', { qos: 1 });
  const page: DevicePage = await operator.get('/api/devices?q=sensor&sort=messagesIn&order=desc');
  assert.equal(page.total, 1);
  assert.deepEqual([page.byKind.mqtt, page.byKind.nats], [2, 1]);
  const [device] = page.devices;
  assert.equal(device?.lastValue?.payload.data, '22');
  assert.equal(device?.name, 'sensor "7" <b>');
  const reasons: (number | undefined)[] = [];
  sensor.on('disconnect', ({ reasonCode }) => reasons.push(reasonCode));
  assert.equal((await operator.post('/api/devices/kick', { id: device?.id })).status, 200);
  // MQTT 5 tells the client why: administrative action.
  assert.equal(await waitFor('why it was ended', () => reasons[0]), 0x98);
  const robot: DevicePage = await operator.get('/api/devices?kind=nats');
  const closed = nats.closed();
  assert.equal((await operator.post('/api/devices/kick', { id: robot.devices[0]?.id })).status, 200);
  await nats.close();
  await closed;
  assert.equal((await operator.post('/api/devices/kick', { id: 'mqtt:nobody' })).status, 404);
});

test('a tail is bounded by its rate and says what it left out', async (t) => {
  const box = await startBox(t);
  const tail = listen(t, box, '/api/tail?filter=%3E&rate=5');
  await waitFor('the tail is open', () => tail.of('tail').length > 0);
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'fast' });
  t.after(() => sensor.endAsync(true));
  for (let i = 0; i < 200; i++) sensor.publish('a/b', String(i));
  await sensor.publishAsync('a/b', 'last', { qos: 1 });
  const count = await waitFor('the count', () => tail.of('tail').find(({ matched }) => matched >= 201));
  assert.equal(count.matched - count.skipped, tail.of('message').length);
  assert.ok(count.skipped > 100, `${count.skipped} skipped`);
  const answer = await fetch(`${box.statusUrl}/api/tail?filter=a..b`);
  assert.equal(answer.status, 400);
});

test('the journal: what waits can be taken away as a file, and pausing needs an operator', async (t) => {
  const box = await startBox(t);
  const operator = operatorOf(box);
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'one' });
  t.after(() => sensor.endAsync(true));
  for (let i = 1; i <= 300; i++) sensor.publish('line/n', String(i), { qos: 1 });
  await sensor.publishAsync('line/n', '301', { qos: 1 });
  const state = await operator.get('/api/journal');
  assert.equal(state.lanes.find((lane: { name: string }) => lane.name === 'default').depth, 301);
  const { headers } = operator;
  const exported = await fetch(`${box.statusUrl}/api/journal/export?lane=default&from=2&to=299`, { headers });
  assert.match(exported.headers.get('content-disposition') ?? '', /filename="default\.ndjson"/);
  const lines: ExportLine[] = (await exported.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ sequence, subject, payload }) => [sequence, subject, Buffer.from(payload, 'base64').toString()]),
    Array.from({ length: 298 }, (_, i) => [i + 2, 'line.n', String(i + 2)]),
  );
  // To look is no reading: everything is still there.
  assert.equal((await operator.get('/api/journal')).lanes[0].depth, 301);
  assert.equal((await fetch(`${box.statusUrl}/api/journal/export?lane=default`)).status, 401);
  assert.equal((await operator.post('/api/drain/pause', {})).status, 400);
  const visitor = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' };
  assert.equal((await fetch(`${box.statusUrl}/api/drain/pause`, visitor)).status, 401);
});

test('recent log lines, by part and level, and as they are written', async (t) => {
  const box = await startBox(t, { config: { log: { level: 'debug' } } });
  const { get } = operatorOf(box);
  const all: LogPage = await get('/api/logs');
  assert.ok(all.lines.some(({ message, part }) => message === 'ready' && part === 'main'));
  assert.ok(all.parts.includes('mqtt'));
  const some: LogPage = await get('/api/logs?part=mqtt&level=info');
  assert.ok(some.lines.length > 0 && some.lines.every(({ part, level }) => part === 'mqtt' && level !== 'debug'));
  const last = all.lines.at(-1)?.id ?? 0;
  assert.deepEqual((await get(`/api/logs?after=${last}&part=main`)).lines, []);
  const live = listen(t, box, '/api/events?topics=logs');
  await live.opened;
  const stranger = await connectAsync(box.mqttUrl, { clientId: 'x', protocolVersion: 4 });
  await stranger.endAsync(true);
  // A wrong protocol is what every box complains about.
  const garbage = await import('node:net').then(({ connect }) => connect(box.mqttPort, '127.0.0.1'));
  garbage.on('error', () => {});
  garbage.end('GET / HTTP/1.1\r\n\r\n');
  await waitFor('a line as it is written', () => live.of('log').length > 0);
  assert.ok(live.of('log').every(({ id }) => id > last));
});

test('the page costs nothing when nobody looks: no message is shown to anybody', async (t) => {
  const box = await startBox(t);
  const tail = listen(t, box, '/api/tail?filter=%3E');
  await waitFor('the tail is open', () => tail.of('tail').length > 0);
  const first = listen(t, box, '/api/events');
  const frame = await waitFor('a frame', () => first.of('status')[0]);
  assert.deepEqual(frame.snapshot.mqtt.clients, []);
  assert.equal(frame.tone, 'ok');
  assert.match(frame.sentence, /No upstream/);
  const ended = box.stop();
  await waitFor('the farewell', () => first.of('bye').length > 0);
  assert.equal((await ended).code, 0);
});

test('the support bundle: one archive, and none of the planted secrets in it', async (t) => {
  const password = 'pl4nted "password" of the hub';
  const hash = '$scrypt$ln=14,r=8,p=1$c29tZSBzYWx0IHNvbWU$dGhpcyBpcyBub3QgYSByZWFsIGhhc2gsIHJlYWxseQ';
  const users = [{ name: 'line3', password_hash: hash, publish: ['>'] }];
  const upstream = { urls: ['nats://127.0.0.1:9'], user: 'box', password };
  const box = await startBox(t, { config: { users, upstream } });
  const { headers } = operatorOf(box);
  assert.equal((await fetch(`${box.statusUrl}/api/bundle`)).status, 401);
  // A client that says its secret aloud: a name with a JWT in it reaches the log.
  const token = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJl';
  const stranger = await connectAsync(box.mqttUrl, { clientId: token, username: 'line3', password: 'no' }).catch(
    () => null,
  );
  assert.equal(stranger, null);
  const answer = await fetch(`${box.statusUrl}/api/bundle`, { headers });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-disposition') ?? '', /petiole-box-[\dTZ-]+\.tar\.gz/);
  const folder = tempDir(t, 'bundle');
  writeFileSync(join(folder, 'bundle.tar.gz'), Buffer.from(await answer.arrayBuffer()));
  execFileSync('tar', ['-xzf', 'bundle.tar.gz'], { cwd: folder });
  const texts = new Map(
    readdirSync(folder)
      .filter((name) => !name.endsWith('.gz'))
      .map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  );
  assert.deepEqual([...texts.keys()].sort(), [
    'hardware.json',
    'health.json',
    'history.json',
    'log.ndjson',
    'petiole.yaml',
    'settings.json',
    'status.json',
  ]);
  const { operator, viewer } = secretsIn(box.dataDir) ?? assert.fail('no secrets');
  const planted = [password, 'pl4nted', 'c29tZSBzYWx0', token, operator, viewer, operator.replaceAll('-', '')];
  for (const [name, text] of texts) {
    for (const secret of planted) assert.ok(!text.includes(secret), `${name} has ${secret}`);
  }
  assert.equal(JSON.parse(texts.get('status.json') ?? '').gateway.name, 'box');
  assert.match(texts.get('petiole.yaml') ?? '', /password: "\[redacted\]"/);
});
