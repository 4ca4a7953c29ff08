/**
 * Goal: a box without a battery clock tells right times in the end, and throws nothing away by a wrong one. Method: the
 * whole box under libfaketime, whose offset is in a file that the test changes while the box runs.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, waitForStream } from '../support/hub-stream.ts';
import { runLoad } from '../support/mqtt-load.ts';
import { startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const WAIT = { timeoutMs: 30_000, intervalMs: 50 };
const YEAR_S = 365 * 24 * 3600;
/** Of what a loaded machine does between two steps of the test. */
const SLACK_MS = 60_000;
const [library = ''] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');

/** A box whose wall clock is off by seconds that may be changed; the monotonic one runs as it is. */
async function setting(scope: Scope, offsetS: number) {
  assert(existsSync(library), 'libfaketime is installed by test/support/setup.ts');
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
  const reader = await connectHub(scope, hub.clientUrl);
  await createStream(reader, 'T', ['t.>']);
  const file = join(tempDir(scope, 'clock'), 'offset');
  const set = (seconds: number) => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}`);
  set(offsetS);
  const box = await startBox(scope, {
    config: {
      lanes: [{ name: 't', subjects: ['t.>'], max_age: '30d' }],
      upstream: { urls: [`nats://127.0.0.1:${hub.leafPort}`] },
    },
    env: {
      ...process.env,
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  });
  const trust = (wanted: string) =>
    waitFor(`the clock to be ${wanted}`, async () => (await box.status()).clock.trust === wanted, WAIT);
  const hold = (action: string) =>
    fetch(`${box.statusUrl}/drain/${action}`, { method: 'POST', headers: { 'petiole-control': 'yes' } });
  const publish = (clientPrefix: string, messages: number) =>
    runLoad(scope, { port: box.mqttPort, clientPrefix, messages, connections: 1, topic: 't/x' });
  const times = async () => {
    const found: { ms: number; quality: string | undefined }[] = [];
    await readStream(reader, 'T', ({ header }) => {
      const [ms, quality] = (header('Petiole-Time')[0] ?? '').split(';q=');
      found.push({ ms: Number(ms), quality });
    });
    return found;
  };
  return { reader, box, set, trust, hold, publish, times };
}

describe('a box whose clock is wrong', { concurrency: 2, timeout: 120_000 }, () => {
  it('of 1970: records say so, and those that wait go up with their right time once it is set', async (scope) => {
    const { reader, box, set, trust, hold, publish, times } = await setting(
      scope,
      -Math.floor(Date.now() / 1000) + 100,
    );
    await trust('untrusted');
    const { problems } = await box.status();
    assert(problems.some(({ code }: { code: string }) => code === 'clock_untrusted'));
    await publish('sent', 5);
    await waitForStream(reader, 'T', 5);
    await hold('pause');
    await publish('waiting', 7);
    set(0);
    await trust('assumed');
    await hold('resume');
    await publish('later', 3);
    await waitForStream(reader, 'T', 15);
    const found = await times();
    assert.deepEqual(
      found.map(({ quality }) => quality),
      [...Array(5).fill('untrusted'), ...Array(7).fill('restamped'), ...Array(3).fill(undefined)],
    );
    assert(found.slice(0, 5).every(({ ms }) => ms < YEAR_S * 1000));
    for (const { ms } of found.slice(5)) assert(Math.abs(ms - Date.now()) < SLACK_MS, new Date(ms).toISOString());
    assert.equal((await box.status()).clock.steps, 1);
  });

  it('that jumps ten years ahead: nothing expires, and it is right again when it jumps back', async (scope) => {
    const { reader, box, set, trust, hold, publish, times } = await setting(scope, 0);
    await trust('assumed');
    await hold('pause');
    await publish('before', 20);
    set(10 * YEAR_S);
    await trust('untrusted');
    await publish('during', 20);
    // The writer looks for what is too old every two seconds.
    const { uptimeS } = (await box.status()).gateway;
    await waitFor('it to be looked at', async () => (await box.status()).gateway.uptimeS > uptimeS + 5, WAIT);
    assert.deepEqual((await box.status()).losses.expired, 0);
    set(0);
    await trust('assumed');
    await hold('resume');
    await waitForStream(reader, 'T', 40);
    const found = await times();
    assert.deepEqual(
      found.map(({ quality }) => quality),
      [...Array(20).fill(undefined), ...Array(20).fill('restamped')],
    );
    for (const { ms } of found) assert(Math.abs(ms - Date.now()) < SLACK_MS, new Date(ms).toISOString());
  });
});
