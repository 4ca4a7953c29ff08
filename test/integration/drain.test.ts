import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { NatsConnection } from '@nats-io/transport-node';
import { type Box, DIST, startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, streamState, waitForStream } from '../support/hub-stream.ts';
import { runLoad } from '../support/mqtt-load.ts';
import { startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const BACKLOG = 3_000;
const LIVE = 200;
const WAIT = { timeoutMs: 60_000, intervalMs: 20 };

const run = promisify(execFile);
const petiole = (...args: string[]) => run(process.execPath, [join(DIST, 'main.js'), ...args]);

/** A box whose link goes through a proxy, and the stream T at its hub. */
async function setting(scope: Scope, config: { lane?: object; upstream?: object }) {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
  const link = await startTcpProxy(scope, hub.leafPort);
  await hub.restart({ leafnodes: { raw: `  advertise: "127.0.0.1:${link.port}"` } });
  const reader = await connectHub(scope, hub.clientUrl);
  await createStream(reader, 'T', ['t.>']);
  const box = await startBox(scope, {
    config: {
      lanes: [{ name: 't', subjects: ['t.>'], ...config.lane }],
      upstream: { urls: [`nats://127.0.0.1:${link.port}`], ...config.upstream },
    },
  });
  return { hub, link, reader, box };
}

const publish = (scope: Scope, box: Box, clientPrefix: string, messages: number) =>
  runLoad(scope, { port: box.mqttPort, clientPrefix, messages, connections: 1, topic: 't/x' });

async function recordsOf(reader: NatsConnection) {
  const found: { part: string; sequence: number; isHistorical: boolean; sameTime: boolean }[] = [];
  await readStream(reader, 'T', ({ id, header }) => {
    const [, , part = '', sequence] = id.split('.');
    const [historical] = header('Petiole-Historical');
    const sameTime = historical === undefined || historical === header('Petiole-Time')[0];
    found.push({ part, sequence: Number(sequence), isHistorical: historical !== undefined, sameTime });
  });
  return found;
}

describe('the drain', { timeout: 120_000 }, () => {
  it('live-first: news overtakes the backlog; each part comes once and in its order, the late one marked', async (scope) => {
    const upstream = { limit: { messages_per_second: 500 } };
    const { link, reader, box } = await setting(scope, { lane: { drain: 'live-first' }, upstream });
    await publish(scope, box, 'first', 10);
    await waitForStream(reader, 'T', 10);
    await link.refuse();
    link.cut();
    await waitFor('the link to be down', async () => (await box.status()).link.state !== 'up', WAIT);
    await publish(scope, box, 'backlog', BACKLOG);
    await link.restore();
    await waitFor('the drain to begin', async () => (await streamState(reader, 'T')).messages > 20, WAIT);
    await publish(scope, box, 'live', LIVE);
    const { messages: passed } = await streamState(reader, 'T');
    await waitForStream(reader, 'T', 10 + BACKLOG + LIVE);

    const found = await recordsOf(reader);
    const live = found.filter(({ part }) => part === 't');
    const late = found.filter(({ part }) => part === 't~late');
    assert.deepEqual([live.length, late.length], [10 + LIVE, BACKLOG]);
    for (const part of [live, late]) {
      assert(
        part.every(({ sequence }, i) => sequence === i + 1),
        'each part once and in order',
      );
    }
    assert(late.every(({ isHistorical, sameTime }) => isHistorical && sameTime));
    assert(live.every(({ isHistorical }) => !isHistorical));
    const lastLive = found.findLastIndex(({ part }) => part === 't');
    // The backlog has a tenth meanwhile, and what is in flight.
    assert(lastLive < passed + 2 * LIVE, `the last of the news is number ${lastLive}, with ${passed} when it was sent`);
    assert(passed + 2 * LIVE < found.length, `${passed} of ${found.length} when the news was sent`);
    const lanes: { name: string; depth: number }[] = (await box.status()).lanes;
    assert.deepEqual(
      lanes.map(({ name }) => name),
      ['t', 't~late', 'petiole-ledger'],
    );
  });

  it('waits while it is paused, by command and by a request from the hub', async (scope) => {
    const { reader, box } = await setting(scope, {});
    await publish(scope, box, 'a', 10);
    await waitForStream(reader, 'T', 10);
    const paused = await petiole('drain', 'pause', '--lane', 't', '--for', '1h', '--url', box.statusUrl);
    assert.match(paused.stdout, /^Lane t paused by operator since .*, for another 3600 s\n$/);
    await publish(scope, box, 'b', 50);
    await waitFor('the lane to say so', async () => (await box.status()).lanes[0].state === 'paused', WAIT);
    const { lanes, problems } = await box.status();
    assert.equal(lanes[0].depth, 50);
    assert.equal(lanes[0].reason.code, 'paused');
    assert.equal((await streamState(reader, 'T')).messages, 10);
    assert(!problems.some(({ severity }: { severity: string }) => severity === 'failing'), JSON.stringify(problems));
    const ask = async (action: string, request = '') =>
      (await reader.request(`$PETIOLE.box.drain.${action}`, request)).json();
    assert.deepEqual(((await ask('status')) as { paused: { lane: string }[] }).paused[0]?.lane, 't');
    const { stdout } = await petiole('drain', 'resume', '--url', box.statusUrl, '--json');
    assert.deepEqual(JSON.parse(stdout), { paused: [], windows: [], windowOpen: true });
    await waitForStream(reader, 'T', 60);
    assert.deepEqual(((await ask('pause', '{"for_s":60}')) as { paused: unknown[] }).paused.length, 1);
    assert.match(JSON.stringify(await ask('pause', '{"lane":"nope"}')), /there is no lane/);
    assert.match(JSON.stringify(await ask('pause', 'now')), /no JSON object/);
    await publish(scope, box, 'c', 5);
    await ask('resume');
    await waitForStream(reader, 'T', 65);
  });

  it('is not paused by a page of another site, nor by a wrong word', async (scope) => {
    const box = await startBox(scope, { config: { upstream: { urls: ['nats://127.0.0.1:9'] } } });
    const post = (path: string, headers: Record<string, string>) =>
      fetch(`${box.statusUrl}${path}`, { method: 'POST', headers }).then(({ status }) => status);
    assert.equal(await post('/drain/pause', {}), 403);
    assert.equal(await post('/drain/pause', { 'petiole-control': 'yes', 'sec-fetch-site': 'cross-site' }), 403);
    assert.equal(await post('/status.json', { 'petiole-control': 'yes' }), 405);
    assert.equal(await post('/drain/halt', { 'petiole-control': 'yes' }), 400);
    assert.equal(await post('/drain/pause?for_s=-1', { 'petiole-control': 'yes' }), 400);
    await assert.rejects(petiole('drain', 'pause', '--for', 'ever'), { code: 64 });
  });
});
