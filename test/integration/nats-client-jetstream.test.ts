import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { Objm } from '@nats-io/obj';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { type Box, startBox } from '../support/box.ts';
import { connectHub } from '../support/hub-stream.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

/*
 * What stock clients on the box do at the hub, by way of the leaf link: they know nothing of the box, and each thing is
 * looked at from the hub's side too.
 */

interface Rig {
  readonly hub: NatsServer;
  readonly box: Box;
  readonly cloud: NatsConnection;
  readonly local: NatsConnection;
}

async function rig(scope: Scope, domain: string | null): Promise<Rig> {
  const jetstream = domain === null ? true : { domain };
  const hub = await startNatsServer(scope, { jetstream, leafnodes: true });
  const cloud = await connectHub(scope, hub.clientUrl);
  const upstream = { urls: [hub.leafUrl], ping_interval: '1s' };
  const box = await startBox(scope, { config: { lanes: [{ name: 'kept', subjects: ['kept.>'] }], upstream } });
  await box.logged('the link', ({ msg }) => msg === 'linked to the hub');
  const local = await connect({ servers: box.natsUrl, reconnect: false });
  atEnd(scope, () => local.close());
  return { hub, box, cloud, local };
}

// The domain that the hub has, and the one that clients name.
for (const [hubDomain, domain] of [
  [null, undefined],
  ['cloud', undefined],
  ['cloud', 'cloud'],
] as const) {
  const options = domain === undefined ? {} : { domain };
  const what = `${hubDomain === null ? 'a hub without a domain' : 'a hub with a domain'}${domain ? ', which the client names' : ''}`;

  test(`streams, pull and push consumers, a bucket and an object store through the box: ${what}`, async (t) => {
    const { cloud, local } = await rig(t, hubDomain);
    const manager = await jetstreamManager(local, options);
    await manager.streams.add({ name: 'JOBS', subjects: ['jobs.>'] });
    const js = jetstream(local, options);
    await waitFor('a PubAck of the hub', () => js.publish('jobs.0', 'job 0', { timeout: 1_000, msgID: '0' }));
    for (let i = 1; i < 50; i++) {
      const ack = await js.publish(`jobs.${i}`, `job ${i}`, { msgID: String(i) });
      assert.equal(ack.domain, hubDomain ?? undefined);
    }
    assert.equal((await (await jetstreamManager(cloud)).streams.info('JOBS')).state.messages, 50);

    // Pull, acknowledged.
    await manager.consumers.add('JOBS', { durable_name: 'pull', ack_policy: AckPolicy.Explicit });
    const pulled: string[] = [];
    const consumer = await js.consumers.get('JOBS', 'pull');
    for await (const message of await consumer.fetch({ max_messages: 50, expires: 10_000 })) {
      pulled.push(message.string());
      message.ack();
    }
    const expected = Array.from({ length: 50 }, (_, i) => `job ${i}`);
    assert.deepEqual(pulled, expected);
    await waitFor('the acknowledgements', async () => {
      return (await manager.consumers.info('JOBS', 'pull')).ack_floor.stream_seq === 50;
    });

    // Push, with heartbeats and flow control, which ride on replies.
    await manager.consumers.add('JOBS', {
      durable_name: 'push',
      deliver_subject: 'push.here',
      ack_policy: AckPolicy.Explicit,
      idle_heartbeat: 500_000_000,
      flow_control: true,
    });
    const pushed: string[] = [];
    const pushing = await (await js.consumers.getPushConsumer('JOBS', 'push')).consume({
      callback: (message) => {
        pushed.push(message.string());
        message.ack();
      },
    });
    await waitFor('all of them', () => pushed.length === 50);
    assert.deepEqual(pushed, expected);
    await pushing.close();

    const bucket = await new Kvm(js).create('settings', { history: 3 });
    await bucket.put('speed', '1');
    const revision = await bucket.put('speed', '2');
    await bucket.put('colour', 'red');
    assert.equal((await bucket.get('speed'))?.string(), '2');
    await assert.rejects(bucket.update('speed', '9', revision - 1), /wrong last sequence/);
    await bucket.update('speed', '3', revision);
    const seen: string[] = [];
    const watch = await bucket.watch();
    void (async () => {
      for await (const { key, value, operation } of watch) seen.push(`${operation} ${key} ${Buffer.from(value)}`);
    })();
    await waitFor('what is there', () => seen.length === 2);
    // From the other side.
    await (await new Kvm(cloud).open('settings')).put('speed', '4');
    await bucket.delete('colour');
    await waitFor('the changes', () => seen.length === 4);
    assert.deepEqual(seen.slice(2), ['PUT speed 4', 'DEL colour ']);
    watch.stop();
    const keys: string[] = [];
    for await (const key of await bucket.keys()) keys.push(key);
    assert.deepEqual(keys, ['speed']);

    const store = await new Objm(js).create('files');
    const file = Buffer.alloc(1_000_000, 'firmware ');
    await store.putBlob({ name: 'image' }, file);
    assert.deepEqual(Buffer.from((await store.getBlob('image')) ?? []), file);
    const there = await (await new Objm(cloud).open('files')).getBlob('image');
    assert.deepEqual(Buffer.from(there ?? []), file);
    await store.delete('image');
    assert.equal(await store.getBlob('image'), null);
  });
}

test('when the link is down, all of it fails at once with no responders, and works again when it is back', async (t) => {
  const { hub, box, cloud, local } = await rig(t, null);
  const manager = await jetstreamManager(local);
  const js = jetstream(local);
  await manager.streams.add({ name: 'JOBS', subjects: ['jobs.>'] });
  const bucket = await new Kvm(js).create('settings');
  await waitFor('the bucket', () => bucket.put('a', '1'));
  await cloud.close();
  await hub.stop();
  await waitFor('the box to notice', async () => (await box.status()).link.state !== 'up');
  // A listener to everything is no responder.
  const monitor = await connect({ servers: box.natsUrl, reconnect: false });
  atEnd(t, () => monitor.close());
  monitor.subscribe('>');
  const since = performance.now();
  const patient = { timeout: 40_000, retries: 0 };
  const works: Record<string, () => Promise<unknown>> = {
    'stream info': () => manager.streams.info('JOBS'),
    'stream list': () => manager.streams.list().next(),
    publish: () => js.publish('$JS.API.STREAM.NAMES', 'x', patient),
    get: () => bucket.get('a'),
    put: () => js.publish('$KV.settings.a', '2', patient),
    'account info': () => local.request('$JS.API.INFO', '', { timeout: 40_000 }),
    'another domain': () => local.request('$JS.cloud.API.INFO', '', { timeout: 40_000 }),
  };
  for (const [what, work] of Object.entries(works)) {
    await assert.rejects(work(), /no responders|jetstream is not enabled|503/i, what);
  }
  assert.ok(performance.now() - since < 30_000, 'none of them waited for its time-out');
  await hub.restart();
  await waitFor('the link', async () => (await box.status()).link.state === 'up', { timeoutMs: 30_000 });
  await waitFor('the bucket again', async () => (await bucket.get('a'))?.string() === '1');
});
