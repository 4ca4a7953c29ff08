import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Router } from '../../src/core/router.ts';
import { Announcer, type HealthMessage } from '../../src/ops/announcer.ts';
import type { Snapshot } from '../../src/ops/snapshot.ts';
import { startBox } from '../support/box.ts';
import { connectHub } from '../support/hub-stream.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { client, snapshot } from '../unit/ops-snapshot.ts';

test('from the cloud: health and status of a box, by request over its link', async (t) => {
  const hub = await startNatsServer(t, { leafnodes: true });
  const box = await startBox(t, { name: 'plant1', config: { upstream: { urls: [hub.leafUrl] } } });
  await box.logged('the link', ({ msg }) => msg === 'linked to the hub');
  const cloud = await connectHub(t, hub.clientUrl);
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'line1/temp', '-m', '21');
  const ask = async <T>(name: string) =>
    (await waitFor('an answer', () => cloud.request(`petiole.plant1.${name}`, '').catch(() => null))).json<T>();

  // No stream takes the lane here, which the box learns a moment later.
  const health = await waitFor('the blocked lane', async () => {
    const heard = await ask<HealthMessage>('health');
    return heard.status === 'degraded' ? heard : null;
  });
  assert.equal(health.gateway, 'plant1');
  assert.equal(health.lanes.find(({ name }) => name === 'default')?.depth, 1);
  const status = await ask<Snapshot>('status');
  assert.equal(status.link.state, 'up');
  assert.equal(status.lanes.find(({ name }) => name === 'default')?.lastSequence, 1, 'the requests are in no lane');
});

test('the health goes out by itself, live, and asks itself nothing', async (t) => {
  const router = new Router();
  const announcer = new Announcer('plant1', router, () => snapshot(), 20);
  t.after(() => announcer.stop());
  const got: HealthMessage[] = [];
  const owner = { kind: 'nats', name: 'test' } as const;
  const deliver = ({ payload }: { payload: Buffer }) => got.push(JSON.parse(payload.toString())) > 0;
  router.subscribe({ filter: 'petiole.*.health', queue: '', owner, deliver });
  await announcer.start();
  await waitFor('two', () => got.length >= 2);
  assert.match(got[0]?.sentence ?? '', /^Connected to hub1 for 3 h 12 min; everything sent; 2 sensors seen/);
  assert.equal(announcer.status().answered, 0);
});

test('five thousand clients do not make an answer that no hub takes', async (t) => {
  const router = new Router();
  const clients = Array.from({ length: 5000 }, (_, i) => client(`sensor-${i}`));
  const announcer = new Announcer('plant1', router, () => snapshot({ mqtt: { clients } }));
  t.after(() => announcer.stop());
  await announcer.start();
  const answer = await new Promise<Buffer>((resolve) => {
    const owner = { kind: 'nats', name: 'test' } as const;
    const deliver = ({ payload }: { payload: Buffer }) => {
      resolve(payload);
      return true;
    };
    router.subscribe({ filter: 'answer', queue: '', owner, deliver });
    const receivedAtMs = Date.now();
    const asked = { subject: 'petiole.plant1.status', reply: 'answer', receivedAtMs, origin: owner };
    router.publish({ ...asked, headers: Buffer.alloc(0), payload: Buffer.alloc(0) });
  });
  assert.ok(answer.length < 256 * 1024, `${answer.length} bytes`);
});
