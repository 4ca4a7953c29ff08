import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectHub, createStream, streamState } from '../support/hub-stream.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { startUplink } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

const startHub = (scope: Scope): Promise<NatsServer> => startNatsServer(scope, { jetstream: true, leafnodes: true });

const PROCEDURES = [
  { procedure: 'read-back', lane: { subjects: ['t.>'] } },
  { procedure: 'own-stream', lane: { subjects: ['t.>'], stream: { name: 'T', own: true } } },
] as const;

for (const { procedure, lane } of PROCEDURES) {
  describe(`a lane that goes up by ${procedure}`, () => {
    it('drains its backlog and what comes meanwhile, each record once and in order, and is idle then', async (scope) => {
      const hub = await startHub(scope);
      const client = await connectHub(scope, hub.clientUrl);
      await createStream(client, 'T', ['t.>']);
      const uplink = await startUplink(scope, { leafUrl: hub.leafUrl, lanes: [lane], linked: false });
      await uplink.produce(20_000, (n) => `t.${n % 50}`);
      assert.equal(uplink.status().state, 'waiting-for-link');
      await uplink.connect();
      await uplink.produce(10_000, (n) => `t.${n % 50}`, { first: 20_001 });
      await uplink.drained();
      const found = await readNumbers(client, 'T');
      assertExactly(found, 30_000);
      assert(found.every(({ subject, n }) => subject === `t.${n % 50}`));
      assert(found.every(({ sequence, n }) => sequence === n));
      await waitFor('idle', () => uplink.status().state === 'idle');
      const { procedure: by, acknowledged, duplicates, resent } = uplink.status();
      assert.deepEqual([by, acknowledged, duplicates, resent], [procedure, 30_000, 0, 0]);
      // One at a time it takes the way past the disk.
      for (let n = 30_001; n <= 30_020; n++) {
        await uplink.produce(1, 't.1', { first: n });
        await uplink.drained();
      }
      assert.equal((await streamState(client, 'T')).messages, 30_020);
    });

    it('goes on after a restart of the box where it was', async (scope) => {
      const hub = await startHub(scope);
      const client = await connectHub(scope, hub.clientUrl);
      await createStream(client, 'T', ['t.>']);
      const first = await startUplink(scope, { leafUrl: hub.leafUrl, lanes: [lane] });
      await first.produce(3_000, 't.x');
      await first.stop();
      const { folder } = first;
      const second = await startUplink(scope, { leafUrl: hub.leafUrl, lanes: [lane], folder });
      await second.produce(100, 't.x', { first: 3_001 });
      await second.drained();
      assertExactly(await readNumbers(client, 'T'), 3_100);
    });
  });
}

describe('lanes and streams', () => {
  it('one lane fills several streams, each in order', async (scope) => {
    const hub = await startHub(scope);
    const client = await connectHub(scope, hub.clientUrl);
    for (const name of ['A', 'B', 'C']) await createStream(client, name, [`${name}.>`]);
    const uplink = await startUplink(scope, { leafUrl: hub.leafUrl });
    await uplink.produce(6_000, (n) => `${'ABC'[n % 3]}.${n % 10}`);
    await uplink.drained();
    for (const [i, name] of ['A', 'B', 'C'].entries()) {
      const numbers = (await readNumbers(client, name)).map(({ n }) => n);
      assert.equal(numbers.length, 2_000);
      assert(numbers.every((n, at) => n % 3 === i && (at === 0 || n > (numbers[at - 1] ?? 0))));
    }
    assert.deepEqual(
      uplink.journal.records
        .resume(0)
        .positions.map(({ stream, sequence }) => `${stream} ${sequence}`)
        .toSorted(),
      ['A 2000', 'B 2000', 'C 2000'],
    );
  });

  it('a lane that waits does not hold up another one', async (scope) => {
    const hub = await startHub(scope);
    const client = await connectHub(scope, hub.clientUrl);
    await createStream(client, 'T', ['t.>']);
    const lanes = [
      { name: 'stuck', subjects: ['nowhere.>'] },
      { name: 'fine', subjects: ['t.>'] },
    ];
    const uplink = await startUplink(scope, { leafUrl: hub.leafUrl, lanes });
    await uplink.produce(10, 'nowhere.x');
    await uplink.blocked('no_stream');
    await uplink.produce(5_000, 't.x', { lane: 1 });
    await uplink.drained(1);
    assertExactly(await readNumbers(client, 'T'), 5_000);
    assert.equal(uplink.status(0).state, 'blocked');
    assert.equal(uplink.cursor(0), 0);
  });

  it('the limit of messages per second holds over all lanes', async (scope) => {
    const hub = await startHub(scope);
    const client = await connectHub(scope, hub.clientUrl);
    await createStream(client, 'T', ['t.>', 'u.>']);
    const limit = { messagesPerSecond: 500, bytesPerSecond: 0 };
    const lanes = [
      { name: 'one', subjects: ['t.>'] },
      { name: 'two', subjects: ['u.>'] },
    ];
    const uplink = await startUplink(scope, { leafUrl: hub.leafUrl, lanes, limit, linked: false });
    await uplink.produce(2_000, 't.x');
    await uplink.produce(2_000, 'u.x', { lane: 1 });
    await uplink.connect();
    const count = async () => (await streamState(client, 'T')).messages;
    await waitFor('the first ones', async () => (await count()) >= 200, { intervalMs: 1 });
    const [startMs, before] = [performance.now(), await count()];
    await waitFor('many more', async () => (await count()) >= 1_200, { intervalMs: 1 });
    const rate = ((await count()) - before) / ((performance.now() - startMs) / 1000);
    assert(rate > 350 && rate < 600, `${Math.round(rate)} messages/s`);
  });
});
