import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { connectAsync } from 'mqtt';
import { type Endpoint, endpoints } from '../../src/ops/endpoints.ts';
import { openApiDocument } from '../../src/ops/openapi-build.ts';
import { secretsIn } from '../../src/ops/sign-in-secrets.ts';
import { listen, operatorOf } from '../support/api.ts';
import { type Box, startBox } from '../support/box.ts';
import { BridgeBoard } from '../support/bridge-board.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { fits } from '../support/openapi.ts';
import { atEnd } from '../support/scope.ts';
import { plugDevice, type SerialDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/* The document is true: a real box with everything connected answers each path as it says. */

const suite = { after };
let box: Box;
let scale: SerialDevice;
// biome-ignore lint/suspicious/noExplicitAny: read deep into a document
let document: any;

// Here and not in the hook below, whose own end it would be.
atEnd(suite, () => {});
before(async () => {
  const hub = await startNatsServer(suite, { jetstream: true, leafnodes: true });
  const folder = tempDir(suite, 'openapi');
  scale = await plugDevice(suite, join(folder, 'ttyScale'));
  const board = await plugDevice(suite, join(folder, 'ttyBoard'));
  box = await startBox(suite, {
    name: 'plant1',
    config: {
      upstream: { urls: [hub.leafUrl], streams: [{ name: 'TELEMETRY', subjects: ['line3.>'] }] },
      lanes: [
        { name: 'telemetry', subjects: ['line3.>'] },
        { name: 'stuck', subjects: ['nowhere.>'] },
      ],
      serial: [
        { name: 'scale', port: scale.path, frame: { type: 'line' }, decode: { type: 'json' }, subject: 'line3.scale' },
        { name: 'absent', port: join(folder, 'ttyNone'), subject: 'line3.absent' },
        { name: 'board', port: board.path, bridge: true },
      ],
    },
  });
  const isUp = ({ msg }: { msg?: string }) => msg === 'linked to the hub';
  await box.logged('the link', isUp);
  await waitFor('the board', async () => (await box.status()).serial[2].state === 'open');
  await new BridgeBoard(board).hello();
  await scale.send('{"kg":1.5}\nno JSON\n');
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'oven-12' });
  atEnd(suite, () => void sensor.endAsync(true));
  await sensor.publishAsync('line3/oven', '21.5', { qos: 1 });
  await sensor.publishAsync('nowhere/oven', '21.5', { qos: 1 });
  document = await (await fetch(`${box.statusUrl}/api/openapi.json`)).json();
});

const nameOf = ({ method, path }: Endpoint): string => `${method} ${path}`;

const QUERIES: Record<string, string> = {
  'GET /api/tail': '?filter=%3E',
  'GET /api/journal/export': '?lane=stuck',
  'GET /api/events': '?topics=status,health,logs',
};
const addressOf = (endpoint: Endpoint): string =>
  endpoint.path.replace('{port}', 'scale') + (QUERIES[nameOf(endpoint)] ?? '');

test('the document is valid, has every endpoint, and is that of the build', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document));
  assert.ok(valid, JSON.stringify(errors));
  const listed = Object.entries<object>(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual(listed.sort(), endpoints.map(nameOf).sort());
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  // What a type says of itself is there for who reads it.
  assert.match(document.components.schemas.Device.properties.id.description, /unique/);
  assert.deepEqual(document, openApiDocument(version));
});

for (const endpoint of endpoints.filter(({ answer, method }) => answer.kind === 'json' && method === 'GET')) {
  test(`${nameOf(endpoint)} answers as the document says`, async () => {
    const answer = await operatorOf(box).get(addressOf(endpoint));
    fits(endpoint.answer.kind === 'json' ? endpoint.answer.type : '', answer, nameOf(endpoint));
  });
}

for (const endpoint of endpoints.filter(({ answer }) => answer.kind === 'file' || answer.kind === 'text')) {
  test(`${nameOf(endpoint)} is of the kind that the document says`, async () => {
    const { headers } = operatorOf(box);
    const answer = await fetch(`${box.statusUrl}${addressOf(endpoint)}`, { headers });
    assert.equal(answer.status, 200);
    const { kind, mediaType } = endpoint.answer as { kind: string; mediaType: string };
    assert.equal(answer.headers.get('content-type')?.split(';')[0], mediaType);
    assert.equal(answer.headers.has('content-disposition'), kind === 'file');
    const body = Buffer.from(await answer.arrayBuffer());
    assert.ok(body.length > 0);
    if (mediaType === 'application/x-ndjson')
      fits('ExportLine', JSON.parse(body.toString().split('\n')[0] ?? ''), 'it');
  });
}

for (const endpoint of endpoints.filter(({ answer }) => answer.kind === 'events')) {
  test(`${nameOf(endpoint)} sends the events that the document says`, async (t) => {
    const { headers } = operatorOf(box);
    const stream = listen(t, box, addressOf(endpoint), headers);
    await stream.opened;
    const { events } = endpoint.answer as { events: Record<string, string> };
    for (const [event, type] of Object.entries(events)) {
      // The farewell comes when the box stops; a log line when there is something to say.
      if (event === 'bye') continue;
      const heard = await waitFor(
        `${event} of ${endpoint.path}`,
        async () => {
          await scale.send('{"kg":1.5}\n');
          if (event === 'log')
            connect(box.mqttPort, '127.0.0.1')
              .on('error', () => {})
              .end('GET / HTTP/1.1\r\n\r\n');
          return stream.of(event)[0];
        },
        { intervalMs: 100, timeoutMs: 30_000 },
      );
      fits(type, heard, `event ${event}`);
    }
  });
}

test('whatever changes something answers as the document says', async (t) => {
  const victim = await connectAsync(box.mqttUrl, { clientId: 'victim', reconnectPeriod: 0 });
  victim.on('error', () => {});
  t.after(() => victim.endAsync(true));
  const operator = operatorOf(box);
  const { text } = await operator.get('/api/config');
  const bodies: Record<string, unknown> = {
    'POST /api/session': { secret: secretsIn(box.dataDir)?.operator },
    'DELETE /api/session': {},
    'POST /api/devices/kick': { id: 'mqtt:victim' },
    'POST /api/publish': { subject: 'line3/set', payload: '1' },
    'POST /api/request': { subject: 'petiole.plant1.health', payload: '' },
    'POST /api/drain/pause': { lane: 'stuck' },
    'POST /api/drain/resume': {},
    'POST /api/config/check': { text: `${text}# a word\n` },
  };
  const changing = endpoints.filter(({ method, path }) => method !== 'GET' && !/apply|keep|revert/.test(path));
  assert.equal(changing.length, Object.keys(bodies).length);
  for (const endpoint of changing) {
    const name = nameOf(endpoint);
    if (endpoint.body) fits(endpoint.body, bodies[name], `the body of ${name}`);
    const answer = await operator.post(endpoint.path, bodies[name], endpoint.method);
    assert.equal(answer.status, 200, `${name}: ${JSON.stringify(answer.body)}`);
    fits(endpoint.answer.kind === 'json' ? endpoint.answer.type : '', answer.body, name);
  }
});

test('who may not is told so in the same words everywhere', async () => {
  const secrets = secretsIn(box.dataDir) ?? assert.fail('no secrets');
  const ask = async ({ method, path }: Endpoint, secret: string) => {
    const headers = { Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json' };
    const body = method === 'GET' ? null : '{}';
    return fetch(`${box.statusUrl}${path.replace('{port}', 'scale')}`, { method, headers, body });
  };
  for (const endpoint of endpoints.filter(({ role }) => role === 'operator')) {
    const answer = await ask(endpoint, secrets.viewer);
    assert.equal(answer.status, 403, nameOf(endpoint));
    fits('ApiError', await answer.json(), nameOf(endpoint));
  }
  const nowhere = await operatorOf(box).post('/api/nothing', {});
  assert.equal(nowhere.status, 404);
  fits('ApiError', nowhere.body, 'nowhere');
});

test('what is out of the bounds of the document is refused, and what is on them is not', async () => {
  const { headers } = operatorOf(box);
  const statusOf = async (path: string, query: Record<string, string>) => {
    const controller = new AbortController();
    const address = `${box.statusUrl}${path}?${new URLSearchParams(query)}`;
    const { status } = await fetch(address, { headers, signal: controller.signal });
    controller.abort();
    return status;
  };
  let tried = 0;
  for (const { path, query = {} } of endpoints) {
    const needed: Record<string, string> =
      path === '/api/tail' ? { filter: 'a' } : 'lane' in query ? { lane: 'stuck' } : {};
    for (const [name, parameter] of Object.entries(query)) {
      const ask = (value: string | number) => statusOf(path, { ...needed, [name]: String(value) });
      if (parameter.type === 'string' && parameter.enum === undefined) continue;
      tried++;
      const [good, wrong] =
        parameter.type === 'integer'
          ? [
              [parameter.minimum, parameter.maximum],
              [parameter.minimum - 1, parameter.maximum + 1, 'x'],
            ]
          : [parameter.enum ?? [], ['nothing']];
      for (const value of good) assert.equal(await ask(value), 200, `${path}?${name}=${value}`);
      for (const value of wrong) assert.equal(await ask(value), 400, `${path}?${name}=${value}`);
    }
  }
  assert.ok(tried >= 10, `only ${tried}`);
});

test('a configuration is put on trial, kept and taken back as the document says', async () => {
  const operator = operatorOf(box);
  for (const action of ['keep', 'revert']) {
    const { text, revision } = await operator.get('/api/config');
    const order = { text: `${text}# ${action}\n`, revision, confirmS: 600 };
    fits('ConfigApply', order, 'the order');
    const applied = await operator.post('/api/config/apply', order);
    assert.equal(applied.status, 202, JSON.stringify(applied.body));
    fits('ConfigTrial', applied.body, 'the trial');
    // The box is another one meanwhile, and does not answer.
    await waitFor('the trial', async () => (await operator.get('/api/config')).trial?.state === 'watching', {
      timeoutMs: 60_000,
    });
    const ended = await operator.post(`/api/config/${action}`, {});
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    fits('ConfigTrial', ended.body, action);
    await waitFor('its end', async () => (await operator.get('/api/config')).trial === null, { timeoutMs: 60_000 });
  }
  const refused = await operator.post('/api/config/apply', { text: 'gateway: 1\n' });
  assert.equal(refused.status, 400);
  assert.ok(refused.body.problems.length > 0);
  fits('ApiError', refused.body, 'the refusal');
});
