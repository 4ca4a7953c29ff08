import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import mqtt from 'mqtt';
import { startBox } from '../support/box.ts';
import { openRaw } from '../support/client-port.ts';
import { RuledDisk } from '../support/ruled-disk.ts';
import { atEnd } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/**
 * Goal: a card that takes 400 ms for each fsync stalls nobody but who waits for it. Method: the real box on a slowed
 * disk, under QoS 1 load; pings and live messages are timed meanwhile, and the durable ones counted by commit.
 */

const SYNC_MS = 400;
const SAMPLES = 60;
const PUBLISHERS = 20;

const quantile = (sorted: readonly number[], q: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;

it('a disk of 400 ms per fsync delays neither pings nor live messages, and its commits grow instead', async (scope) => {
  const dir = tempDir(scope, 'slow');
  const root = join(dir, 'root');
  mkdirSync(root);
  const disk = new RuledDisk(scope, root, dir);
  const config = { lanes: [{ name: 'd', subjects: ['d.>'] }] };
  const box = await startBox(scope, { dataDir: join(root, 'data'), env: disk.env, config });
  const live = await mqtt.connectAsync(box.mqttUrl, { reconnectPeriod: 0 });
  atEnd(scope, () => void live.end(true));
  await live.subscribeAsync('live');
  const nats = await (await openRaw(scope, box.natsPort)).connect();

  disk.rule('syncMs', SYNC_MS);
  let acknowledged = 0;
  let isOver = false;
  const publishers = await Promise.all(
    Array.from({ length: PUBLISHERS }, async (_, i) => {
      const client = await mqtt.connectAsync(box.mqttUrl, { clientId: `p${i}`, reconnectPeriod: 0 });
      atEnd(scope, () => void client.end(true));
      return client;
    }),
  );
  const { commits } = (await box.status()).store;
  const flood = publishers.map(async (client) => {
    while (!isOver) {
      await Promise.all(Array.from({ length: 20 }, () => client.publishAsync('d/x', 'x'.repeat(100), { qos: 1 })));
      acknowledged += 20;
    }
  });

  const pings: number[] = [];
  const lives: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    const pingAt = performance.now();
    await nats.answers();
    pings.push(performance.now() - pingAt);
    const liveAt = performance.now();
    const arrived = new Promise((resolve) => live.once('message', resolve));
    await live.publishAsync('live', `${i}`);
    await arrived;
    lives.push(performance.now() - liveAt);
    // Spread over many fsyncs.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  isOver = true;
  await Promise.all(flood);
  disk.rule('syncMs', 0);
  const made = (await box.status()).store.commits - commits;
  for (const times of [pings, lives]) times.sort((a, b) => a - b);
  const figures = [pings, lives].map(
    (times) => `p50 ${quantile(times, 0.5).toFixed(1)}, p99 ${quantile(times, 0.99).toFixed(1)} ms`,
  );
  scope.diagnostic(`PING ${figures[0]}; live ${figures[1]}; ${acknowledged} durable in ${made} commits`);
  // Whoever waited for the disk would have waited for most of an fsync each time. The figures above are for people.
  assert((pings[0] ?? SYNC_MS) < SYNC_MS / 4, figures[0]);
  assert((lives[0] ?? SYNC_MS) < SYNC_MS / 4, figures[1]);
  assert(acknowledged / made > PUBLISHERS, `${acknowledged} in ${made} commits: one fsync serves many`);
});
