/** Atomic batches: when they are chosen, what they leave in the stream, and what happens where they can't be had. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { WATERMARK, watermarkFilter, watermarkSubject } from '../../src/upstream/watermark.ts';
import { connectHub, createStream, readStream, streamState } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { binaryFor, createStreamFor, natsServers } from '../support/procedures.ts';
import type { Scope } from '../support/scope.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { startUplink, type UplinkOptions } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

const LANES = [{ subjects: ['t.>'] }];
const ALL = ['t.>', watermarkFilter('T')];
const SHORT = { duplicate_window: 100_000_000 };

async function setting(scope: Scope, options: Partial<UplinkOptions> = {}, binary = binaryFor('atomic').binary) {
  const program = binary === undefined ? {} : { binary };
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: BEHIND_PROXY, ...program });
  const client = await connectHub(scope, hub.clientUrl);
  const link = await startTcpProxy(scope, hub.leafPort);
  const all = { leafUrl: `nats://127.0.0.1:${link.port}`, lanes: LANES, ackTimeoutMs: 1_000, ...options };
  return { hub, client, link, options: all, start: () => startUplink(scope, all) };
}

interface Mark {
  subject: string;
  id: string;
  batch: string;
}

/** The watermarks that lie in the stream, and the batches of its records. */
async function read(client: NatsConnection): Promise<{ marks: Mark[]; batches: Map<string, number> }> {
  const marks: Mark[] = [];
  const batches = new Map<string, number>();
  await readStream(client, 'T', ({ subject, header }) => {
    const [id] = header(WATERMARK);
    const [batch = ''] = header('Nats-Batch-Id');
    if (id !== undefined) marks.push({ subject, id, batch });
    else batches.set(batch, (batches.get(batch) ?? 0) + 1);
  });
  return { marks, batches };
}

describe('atomic batches', { concurrency: 2, timeout: 120_000 }, () => {
  it('are chosen where the stream allows them, and leave one watermark for each lane', async (scope) => {
    const lanes = [
      { name: 'a', subjects: ['t.a.>'] },
      { name: 'b', subjects: ['t.b'], stream: { name: 'T', own: false } },
    ];
    const { client, start } = await setting(scope, { lanes });
    await createStreamFor('atomic', client, 'T', ['t.>']);
    const uplink = await start();
    await uplink.produce(5_000, 't.a.x');
    await uplink.produce(10, 't.b', { lane: 1 });
    await jetstream(client).publish('t.foreign', '0');
    await uplink.drained();
    await uplink.drained(1);
    for (const lane of [0, 1]) assert.equal(uplink.status(lane).procedure, 'atomic-batch');
    const found = (await readNumbers(client, 'T')).filter(({ n }) => n > 0);
    for (const [subject, count] of [
      ['t.a.x', 5_000],
      ['t.b', 10],
    ] as const) {
      const ofLane = found.filter((one) => one.subject === subject);
      assertExactly(ofLane, count);
    }
    const { marks, batches } = await read(client);
    const { epoch, laneNames } = uplink.journal;
    const wanted = laneNames.slice(0, 2).map((name, lane) => ({
      subject: watermarkSubject('box', 'T', name),
      id: `box.${epoch}.${name}.${lane === 0 ? 5_000 : 10}`,
    }));
    assert.deepEqual(
      marks.map(({ subject, id }) => ({ subject, id })).toSorted((a, b) => (a.subject < b.subject ? -1 : 1)),
      wanted,
    );
    const sizes = [...batches.values()];
    assert.ok(Math.max(...sizes) <= 999 && Math.max(...sizes) > 400, `${sizes}`);
    assert.ok(sizes.length < 60, 'many records to a batch');
  });

  it('need neither rollup nor TTL; the newest watermark counts', async (scope) => {
    const { client, link, start } = await setting(scope);
    await createStream(client, 'T', ALL, { allow_atomic: true, ...SHORT });
    const uplink = await start();
    for (let first = 1; first <= 1_001; first += 500) {
      await uplink.produce(500, 't.x', { first });
      await uplink.drained();
      link.cut();
    }
    await uplink.produce(1, 't.x', { first: 1_501 });
    await uplink.drained();
    assert.equal(uplink.status().procedure, 'atomic-batch');
    assertExactly(await readNumbers(client, 'T'), 1_501);
    assert.ok((await read(client)).marks.length > 1);
  });

  it('are not used without a place for the watermark, nor where messages are consumed away', async (scope) => {
    const { client, start } = await setting(scope);
    await createStream(client, 'T', ['t.>'], { allow_atomic: true });
    const uplink = await start();
    await uplink.produce(100, 't.x');
    await uplink.drained();
    assert.equal(uplink.status().procedure, 'read-back');
    const queue = await setting(scope);
    await createStreamFor('atomic', queue.client, 'T', ['t.>'], { retention: 'workqueue' });
    const other = await queue.start();
    await other.produce(100, 't.x');
    await other.drained();
    assert.equal(other.status().procedure, 'read-back');
  });

  it('give way to read-back where the hub does not let the box write its watermark', async (scope) => {
    const deny = '{ user: "box", password: "pw", permissions: { publish: { deny: ["petiole.>"] } } }';
    const accounts = `A { jetstream: enabled, users: [ { user: "admin", password: "pw" }, ${deny} ] }`;
    const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, accounts, ...binaryFor('atomic') });
    const client = await connectHub(scope, hub.clientUrl, { user: 'admin', pass: 'pw' });
    await createStreamFor('atomic', client, 'T', ['t.>']);
    const uplink = await startUplink(scope, { leafUrl: hub.leafUrl, lanes: LANES, user: 'box', password: 'pw' });
    await uplink.produce(1_500, 't.x');
    await uplink.drained();
    assert.equal(uplink.status().procedure, 'read-back');
    assert.equal(uplink.link.status().reconnects, 0);
    assertExactly(await readNumbers(client, 'T'), 1_500);
  });

  it('come and go with what the stream allows, and nothing is there twice', async (scope) => {
    const { client, link, start } = await setting(scope);
    await createStream(client, 'T', ALL, SHORT);
    const uplink = await start();
    const manager = await jetstreamManager(client);
    const sendOver = async (first: number, allow_atomic: boolean) => {
      // Half of it is in doubt when the stream is another one.
      link.swallow('down');
      const before = (await streamState(client, 'T')).lastSequence;
      await uplink.produce(300, 't.x', { first });
      const grown = async () => (await streamState(client, 'T')).lastSequence > before;
      await waitFor('some of it to be stored', grown, { timeoutMs: 20_000 });
      await manager.streams.update('T', { allow_atomic });
      link.cut();
      await link.restore();
      await uplink.produce(300, 't.x', { first: first + 300 });
      await uplink.drained();
    };
    await uplink.produce(100, 't.x');
    await uplink.drained();
    await sendOver(101, true);
    await waitFor('batches', async () => uplink.status().procedure === 'atomic-batch', { timeoutMs: 20_000 });
    await sendOver(701, true);
    await sendOver(1_301, false);
    assert.equal(uplink.status().procedure, 'read-back');
    await sendOver(1_901, true);
    assertExactly(await readNumbers(client, 'T'), 2_500);
  });

  it('go on when the stream was changed while one was on its way', async (scope) => {
    const { client, start } = await setting(scope);
    await createStreamFor('atomic', client, 'T', ['t.>']);
    const uplink = await start();
    await uplink.produce(100, 't.x');
    await uplink.drained();
    await (await jetstreamManager(client)).streams.update('T', { allow_atomic: false });
    await uplink.produce(100, 't.x', { first: 101 });
    await uplink.drained();
    assert.equal(uplink.status().procedure, 'read-back');
    assertExactly(await readNumbers(client, 'T'), 200);
  });

  it('wait while others have all open batches of the stream, and lose none', async (scope) => {
    const { client, start } = await setting(scope);
    await createStreamFor('atomic', client, 'T', ['t.>']);
    const uplink = await start();
    await uplink.produce(1, 't.x');
    await uplink.drained();
    // The hub allows fifty, and forgets them after ten idle seconds.
    for (let i = 0; i < 60; i++) {
      const block = headers();
      block.set('Nats-Batch-Id', `other${i}`);
      block.set('Nats-Batch-Sequence', '1');
      client.publish('t.foreign', '', { headers: block });
    }
    await client.flush();
    await uplink.produce(1_500, 't.x', { first: 2 });
    await uplink.drained();
    assertExactly(await readNumbers(client, 'T'), 1_501);
  });

  it('are committed as they are where a limit makes them wait', async (scope) => {
    const { client, start } = await setting(scope, { limit: { messagesPerSecond: 100, bytesPerSecond: 0 } });
    await createStreamFor('atomic', client, 'T', ['t.>']);
    const uplink = await start();
    await uplink.produce(150, 't.x');
    await waitFor('the first of them', async () => (await streamState(client, 'T')).messages > 1);
    assert.ok(uplink.cursor() < 150, 'while others wait');
    await uplink.drained();
    assertExactly(await readNumbers(client, 'T'), 150);
  });

  it('are no matter to a hub that does not know them', async (scope) => {
    const [oldest] = natsServers();
    const { client, start } = await setting(scope, {}, oldest?.path);
    await createStream(client, 'T', ALL, { allow_rollup_hdrs: true });
    const uplink = await start();
    await uplink.produce(100, 't.x');
    await uplink.drained();
    assert.equal(uplink.status().procedure, 'read-back');
    assertExactly(await readNumbers(client, 'T'), 100);
  });
});
