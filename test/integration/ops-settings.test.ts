import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { connect as connectNats } from '@nats-io/transport-node';
import { connectAsync } from 'mqtt';
import type { ApiError, ConfigState, ConfigTrial } from '../../src/ops/api.ts';
import { secretsIn } from '../../src/ops/sign-in-secrets.ts';
import { type Box, startBox } from '../support/box.ts';
import { connectHub } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { fits } from '../support/openapi.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait-for.ts';

function operatorOf(box: Box) {
  const headers = { Authorization: `Bearer ${secretsIn(box.dataDir)?.operator}`, 'Content-Type': 'application/json' };
  return {
    async get(): Promise<ConfigState> {
      return (await fetch(`${box.statusUrl}/api/config`, { headers })).json() as Promise<ConfigState>;
    },
    // biome-ignore lint/suspicious/noExplicitAny: each endpoint has a shape of its own
    async post(action: string, body: unknown = {}): Promise<{ status: number; body: any }> {
      const url = `${box.statusUrl}/api/config/${action}`;
      const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
      return { status: answer.status, body: await answer.json() };
    },
  };
}

/** A busy machine takes its time to start a box twice. */
const PATIENT = { timeoutMs: 60_000, intervalMs: 100 };

async function sensorOf(t: TestContext, box: Box) {
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'pump-3', reconnectPeriod: 100 });
  t.after(() => sensor.endAsync(true));
  await sensor.publishAsync('pump/3', '1', { qos: 1 });
  return sensor;
}

test('an edited copy is checked, put on trial, and kept once what was well is well again', async (t) => {
  const box = await startBox(t, { config: { log: { level: 'info' }, users: [] } });
  const { get, post } = operatorOf(box);
  await sensorOf(t, box);
  const state = await get();
  assert.deepEqual([state.file, state.readOnly, state.trial], [box.configFile, null, null]);
  const edited = state.text.replace('name: box', 'name: other');
  const check = await post('check', { text: edited });
  assert.deepEqual(check.body.changes, [{ path: 'gateway.name', before: 'box', after: 'other' }]);
  assert.match(check.body.diff, /-\s+name: box\n\+\s+name: other/);
  assert.equal(check.body.isValid, true);
  const wrong = await post('apply', { text: edited.replace('level: info', 'level: loud') });
  assert.deepEqual([wrong.status, wrong.body.problems[0].path], [400, 'log.level']);
  const stale = await post('apply', { text: edited, revision: '0000' });
  assert.deepEqual([stale.status, stale.body.error.code], [409, 'config_changed']);

  const applied = await post('apply', { text: edited, revision: state.revision, confirmS: 600 });
  assert.deepEqual([applied.status, applied.body.state], [202, 'applying']);
  const kept = await waitFor('it is kept', async () => (await get()).last, PATIENT);
  assert.equal(kept.state, 'kept', kept.reason);
  assert.match(readFileSync(box.configFile, 'utf8'), /name: other/);
  assert.equal((await box.status()).gateway.name, 'other');
  assert.equal((await box.status()).mqtt.clients[0].clientId, 'pump-3');
});

test('where an input does not come back, the old configuration returns by itself, and the input with it', async (t) => {
  const box = await startBox(t);
  const { get, post } = operatorOf(box);
  await sensorOf(t, box);
  const { text } = await get();
  const before = readFileSync(box.configFile, 'utf8');
  const moved = text.replace(`127.0.0.1:${box.mqttPort}`, `127.0.0.1:${await freePort()}`);
  assert.notEqual(moved, text);
  assert.equal((await post('apply', { text: moved, confirmS: 10 })).status, 202);
  await waitFor(
    'the sensor is missed',
    async () => (await get()).trial?.missing.includes('mqtt client pump-3'),
    PATIENT,
  );
  assert.equal((await post('apply', { text, confirmS: 10 })).body.error.code, 'config_on_trial');
  const last = await waitFor('the old one returns', async () => (await get()).last, PATIENT);
  assert.deepEqual([last.state, /mqtt client pump-3/.test(last.reason)], ['reverted', true]);
  assert.equal(readFileSync(box.configFile, 'utf8'), before);
  await waitFor('the sensor is back', async () => (await box.status()).mqtt.clients.length === 1, PATIENT);
});

test('what cannot start is taken back at once; SIGHUP reads the file anew', async (t) => {
  const box = await startBox(t);
  const { get, post } = operatorOf(box);
  const { text } = await get();
  const foreign = text.replace(`127.0.0.1:${box.mqttPort}`, '192.0.2.1:1883').replace('listeners:', 'listeners:');
  const open = foreign.replace('192.0.2.1:1883', '192.0.2.1:1883\n      anonymous: true');
  assert.equal((await post('apply', { text: open, confirmS: 600 })).status, 202);
  const last = await waitFor('it is taken back', async () => (await get()).last, PATIENT);
  assert.match(last.reason, /could not start: .*192\.0\.2\.1/);
  await (await sensorOf(t, box)).endAsync(true);

  writeFileSync(box.configFile, readFileSync(box.configFile, 'utf8').replace('name: box', 'name: third'));
  box.signal('SIGHUP');
  await waitFor('the file is taken', async () => (await box.status()).gateway.name === 'third', PATIENT);
  writeFileSync(box.configFile, 'nonsense: true\n');
  box.signal('SIGHUP');
  await box.logged('the mistake', ({ msg }) => msg === 'the configuration has mistakes and is not taken');
  assert.equal((await box.status()).gateway.name, 'third');
});

test('by NATS: who may publish there may do it, and nobody where there are no users', async (t) => {
  const box = await startBox(t);
  const nats = await connectNats({ servers: box.natsUrl });
  t.after(() => nats.close());
  const refused = await nats.request('petiole.box.config.get', '', { timeout: 10_000 });
  assert.equal(refused.json<{ error: { code: string } }>().error.code, 'permission_denied');
  await nats.close();
  // `petiole user token` would write the same.
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256').update('fleet').digest('base64').replace(/=+$/, '');
  const users = [
    { name: 'fleet', token_hash: `$sha256$${hash}`, publish: ['petiole.box.config.*'], subscribe: ['_INBOX.>'] },
  ];
  box.configure({ users });
  await box.restart();
  const fleet = await connectNats({ servers: box.natsUrl, token: 'fleet' });
  t.after(() => fleet.close());
  const got = (await fleet.request('petiole.box.config.get', '', { timeout: 10_000 })).json<ConfigState>();
  assert.ok(!JSON.stringify(got).includes(hash), 'no secret leaves the box');
  const order = JSON.stringify({ text: got.text.replace('name: box', 'name: other') });
  const check = (await fleet.request('petiole.box.config.check', order, { timeout: 10_000 })).json<{
    changes: unknown;
  }>();
  assert.deepEqual(check.changes, [{ path: 'gateway.name', before: 'box', after: 'other' }]);
});

test('from the cloud, over the link of the box: a change is applied, confirmed by itself, and seen in the file', async (t) => {
  const hub = await startNatsServer(t, { leafnodes: true });
  const box = await startBox(t, { name: 'plant1', config: { upstream: { urls: [hub.leafUrl] } } });
  await box.logged('the link', ({ msg }) => msg === 'linked to the hub');
  const cloud = await connectHub(t, hub.clientUrl);
  const ask = async <T>(action: string, body: object = {}): Promise<T> =>
    waitFor(
      'an answer',
      async () => {
        const answer = await cloud.request(`petiole.plant1.config.${action}`, JSON.stringify(body), { timeout: 5000 });
        return answer.json<T>();
      },
      PATIENT,
    );
  const { text, revision } = await ask<ConfigState>('get');
  const order = { text: text.replace('name: plant1', 'name: plant1\n  # by the fleet tool'), revision, confirmS: 60 };
  const trial = await ask<ConfigTrial>('apply', order);
  fits('ConfigTrial', trial, 'the answer');
  assert.deepEqual([trial.state, trial.by], ['applying', 'hub hub']);
  // The link falls and comes back meanwhile: that is what the trial waits for.
  const last = await waitFor('the end', async () => (await ask<ConfigState>('get')).last, PATIENT);
  assert.deepEqual([last.id, last.state], [trial.id, 'kept']);
  assert.match(readFileSync(box.configFile, 'utf8'), /# by the fleet tool/);
  const stale = await ask<ApiError>('apply', order);
  assert.equal(stale.error.code, 'config_changed');
  fits('ApiError', stale, 'the refusal');
});
