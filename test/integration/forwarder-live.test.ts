import assert from 'node:assert/strict';
import { it } from 'node:test';
import { connectHub, createStream } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { startUplink } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Goal: a backlog that drains over a thin link leaves live messages their place. Method: a slowed proxy; counted is not the
 * time but how many bytes of the backlog go ahead of each live message, which is what makes it wait.
 */

const BYTES_PER_S = 400_000;
const RECORDS = 10_000;
const LIVE = 40;
/** A window of 1,000 records is 200 KiB and more. */
const AHEAD_BYTES_MAX = 64 * 1024;

it('a backlog lets live messages through over a thin link', async (scope) => {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: BEHIND_PROXY });
  const client = await connectHub(scope, hub.clientUrl);
  await createStream(client, 'T', ['t.>']);
  const proxy = await startTcpProxy(scope, hub.leafPort);
  const lanes = [{ subjects: ['t.>'] }];
  const uplink = await startUplink(scope, { leafUrl: `nats://127.0.0.1:${proxy.port}`, lanes, linked: false });
  await uplink.produce(RECORDS, 't.a');
  const arrived = new Map<number, number>();
  client.subscribe('live', { callback: (_error, { data }) => void arrived.set(Number(data), proxy.bytes.up) });
  await client.flush();

  proxy.throttle(BYTES_PER_S);
  await uplink.connect();
  await waitFor('the drain to have begun', () => uplink.cursor() > RECORDS / 10, { timeoutMs: 30_000 });
  const ahead: number[] = [];
  for (let n = 0; n < LIVE && uplink.cursor() < RECORDS; n++) {
    const before = proxy.bytes.up;
    assert.equal(uplink.link.publish('live', '', Buffer.alloc(0), Buffer.from(`${n}`), []), 'sent');
    await waitFor('a live message', () => arrived.has(n), { intervalMs: 2 });
    ahead.push((arrived.get(n) ?? 0) - before);
  }
  assert(ahead.length > LIVE / 8, `${ahead.length} beside the backlog`);
  ahead.sort((a, b) => a - b);
  const median = ahead[Math.floor(ahead.length / 2)] ?? 0;
  scope.diagnostic(`bytes ahead of a live message: median ${median}, most ${ahead.at(-1)}`);
  assert(median < AHEAD_BYTES_MAX, `${median} bytes of the backlog go ahead of a live message`);
});
