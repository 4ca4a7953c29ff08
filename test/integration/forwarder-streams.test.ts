import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { connectHub, type createStream, streamState } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { binaryFor, createStreamFor, laneFor, type Procedure, procedures } from '../support/procedures.ts';
import type { Scope } from '../support/scope.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { startUplink, type UplinkLane } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

const OWN: UplinkLane = { subjects: ['t.>'], stream: { name: 'T', own: true } };
const SHARED: UplinkLane = { subjects: ['t.>'] };
const SHORT = { duplicate_window: 100_000_000 };

async function setting(
  scope: Scope,
  lane: UplinkLane,
  config: Parameters<typeof createStream>[3] = {},
  procedure: Procedure = 'read-back',
) {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: BEHIND_PROXY, ...binaryFor(procedure) });
  const client = await connectHub(scope, hub.clientUrl);
  await createStreamFor(procedure, client, 'T', ['t.>'], { ...SHORT, ...config });
  const proxy = await startTcpProxy(scope, hub.leafPort);
  const options = { leafUrl: `nats://127.0.0.1:${proxy.port}`, lanes: [lane], window: 100, ackTimeoutMs: 500 };
  const uplink = await startUplink(scope, options);
  return { hub, client, proxy, uplink, options };
}

/** Takes all that the work queue has now and acknowledges it. */
async function consume(client: NatsConnection, count: number): Promise<number[]> {
  const consumer = await jetstream(client).consumers.get('T', 'worker');
  const numbers: number[] = [];
  while (numbers.length < count) {
    for await (const one of await consumer.fetch({ max_messages: count - numbers.length, expires: 1_000 })) {
      numbers.push(Number(one.string()));
      await one.ackAck();
    }
  }
  return numbers;
}

describe('an own stream', () => {
  it('that others write to as well gets every record once all the same, and the alarm is sounded', async (scope) => {
    const { client, uplink } = await setting(scope, OWN);
    let writing = true;
    const foreign = (async () => {
      for (let i = 0; writing; i++) {
        await jetstream(client).publish('t.foreign', `-${i}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();
    for (let first = 1; first <= 3_000; first += 100) {
      await uplink.produce(100, 't.x', { first });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await uplink.drained();
    writing = false;
    await foreign;
    const found = await readNumbers(client, 'T');
    assert(found.some(({ subject }) => subject === 't.foreign'));
    // Each once; a record whose place was taken is stored behind those that fitted.
    assertExactly(
      found.filter(({ subject }) => subject === 't.x').toSorted((a, b) => a.n - b.n),
      3_000,
    );
  });

  it('that is a work queue loses and doubles nothing, though it was emptied while acknowledgements were lost', async (scope) => {
    const { client, proxy, uplink, options } = await setting(scope, OWN, { retention: 'workqueue' });
    const manager = await jetstreamManager(client);
    await manager.consumers.add('T', { durable_name: 'worker', ack_policy: 'explicit' });
    await uplink.produce(150, 't.x');
    await uplink.drained();
    proxy.swallow('down');
    await uplink.produce(60, 't.x', { first: 151 });
    await waitFor('records at the hub', async () => (await streamState(client, 'T')).lastSequence === 210);
    const numbers = await consume(client, 190);
    assert.equal((await streamState(client, 'T')).messages, 20);
    proxy.cut();
    await proxy.restore();
    await uplink.produce(40, 't.x', { first: 211 });
    await uplink.drained();
    // The next run of the box counts anew from the position: it must stand where the cursor does.
    proxy.swallow('down');
    await uplink.produce(10, 't.x', { first: 251 });
    await waitFor('records at the hub', async () => (await streamState(client, 'T')).lastSequence === 260);
    numbers.push(...(await consume(client, 70)));
    proxy.cut();
    await uplink.stop();
    await proxy.restore();
    const again = await startUplink(scope, { ...options, folder: uplink.folder });
    await again.produce(10, 't.x', { first: 261 });
    await again.drained();
    numbers.push(...(await consume(client, 10)));
    assert.deepEqual(
      numbers,
      Array.from({ length: 270 }, (_, i) => i + 1),
    );
  });

  it('that keeps only the newest messages is not sent the thrown away ones again', async (scope) => {
    const { client, proxy, uplink } = await setting(scope, OWN, { max_msgs: 10 });
    await uplink.produce(100, 't.x');
    await uplink.drained();
    proxy.swallow('down');
    await uplink.produce(50, 't.x', { first: 101 });
    await waitFor('records at the hub', async () => (await streamState(client, 'T')).lastSequence === 150);
    proxy.cut();
    await proxy.restore();
    await uplink.produce(5, 't.x', { first: 151 });
    await uplink.drained();
    assert.equal((await streamState(client, 'T')).lastSequence, 155);
    assert.deepEqual(
      (await readNumbers(client, 'T')).map(({ n }) => n),
      [146, 147, 148, 149, 150, 151, 152, 153, 154, 155],
    );
  });

  it('that was purged goes on where it was', async (scope) => {
    const { client, proxy, uplink } = await setting(scope, OWN);
    await uplink.produce(100, 't.x');
    await uplink.drained();
    proxy.swallow('down');
    await uplink.produce(50, 't.x', { first: 101 });
    await waitFor('records at the hub', async () => (await streamState(client, 'T')).lastSequence === 150);
    await (await jetstreamManager(client)).streams.purge('T');
    proxy.cut();
    await proxy.restore();
    await uplink.produce(5, 't.x', { first: 151 });
    await uplink.drained();
    assert.deepEqual(
      (await readNumbers(client, 'T')).map(({ n }) => n),
      [151, 152, 153, 154, 155],
    );
  });
});

for (const procedure of procedures) {
  describe(`a stream that is deleted and made again, by ${procedure}`, () => {
    it('gets what was not acknowledged before, and all that comes after', async (scope) => {
      const { client, uplink } = await setting(scope, laneFor(procedure), {}, procedure);
      const manager = await jetstreamManager(client);
      await uplink.produce(1_000, 't.x');
      await uplink.drained();
      await manager.streams.delete('T');
      await uplink.produce(500, 't.x', { first: 1_001 });
      await uplink.blocked('no_stream');
      await createStreamFor(procedure, client, 'T', ['t.>']);
      await uplink.drained();
      assert.deepEqual(
        (await readNumbers(client, 'T')).map(({ n }) => n),
        Array.from({ length: 500 }, (_, i) => 1_001 + i),
      );
      // At once, without the box having seen it away.
      await manager.streams.delete('T');
      await createStreamFor(procedure, client, 'T', ['t.>']);
      await uplink.produce(500, 't.x', { first: 1_501 });
      await uplink.drained();
      const numbers = (await readNumbers(client, 'T')).map(({ n }) => n);
      assert.deepEqual(
        numbers,
        Array.from({ length: 500 }, (_, i) => 1_501 + i),
      );
    });
  });
}

describe('a shared stream', () => {
  it('on whose subjects somebody at the hub answers too still acknowledges', async (scope) => {
    const { client, uplink } = await setting(scope, SHARED);
    const responder = client.subscribe('t.>', { callback: (_error, request) => void request.respond('thanks') });
    await client.flush();
    await uplink.produce(2_000, 't.x');
    await uplink.drained();
    responder.unsubscribe();
    assertExactly(await readNumbers(client, 'T'), 2_000);
    assert.equal(uplink.status().resent, 0);
  });
});
