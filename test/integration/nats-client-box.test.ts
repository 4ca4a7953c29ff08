import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type ConnectionOptions, connect, headers, type NatsConnection } from '@nats-io/transport-node';
import mqtt from 'mqtt';
import { type Box, startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, waitForStream } from '../support/hub-stream.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const text = (data: Uint8Array): string => Buffer.from(data).toString();

/** An official client of the box. */
async function client(scope: Scope, box: Box, options: ConnectionOptions = {}): Promise<NatsConnection> {
  const connection = await connect({ servers: box.natsUrl, reconnect: false, ...options });
  atEnd(scope, () => connection.close());
  return connection;
}

const lanes = [
  { name: 'telemetry', subjects: ['line3.>'], stream: { name: 'TELEMETRY' } },
  { name: 'small', subjects: ['small.>'], full: 'refuse', max_bytes: '256KiB' },
];

async function hubWith(scope: Scope): Promise<{ hub: NatsServer; cloud: NatsConnection }> {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
  const cloud = await connectHub(scope, hub.clientUrl);
  await createStream(cloud, 'TELEMETRY', ['line3.>']);
  return { hub, cloud };
}

async function linkedBox(scope: Scope, hub: NatsServer): Promise<Box> {
  const box = await startBox(scope, {
    config: {
      lanes,
      upstream: { urls: [hub.leafUrl], ping_interval: '1s' },
      mqtt: { listeners: [{ listen: '127.0.0.1:0' }] },
    },
  });
  await box.logged('the link', ({ msg }) => msg === 'linked to the hub');
  return box;
}

test('without a hub: publish and subscribe, headers, max, requests, queue groups, drain', async (t) => {
  const box = await startBox(t);
  const [a, b] = [await client(t, box, { name: 'alpha' }), await client(t, box)];
  const got: string[] = [];
  const reading = (async () => {
    for await (const message of b.subscribe('x.*', { max: 2 }))
      got.push(`${message.subject} ${text(message.data)} ${message.headers?.get('K')}`);
  })();
  await b.flush();
  const with_ = headers();
  with_.set('K', 'v');
  for (const n of ['1', '2', '3']) a.publish('x.y', n, { headers: with_ });
  await reading;
  assert.deepEqual(got, ['x.y 1 v', 'x.y 2 v']);

  b.subscribe('echo', { callback: (_, message) => void message.respond(`got ${text(message.data)}`) });
  await b.flush();
  assert.equal(text((await a.request('echo', 'this')).data), 'got this');
  await assert.rejects(a.request('nobody', '', { timeout: 5_000 }), /no responders/);

  const counts = [0, 0];
  for (const [i, member] of [a, b].entries()) {
    member.subscribe('work', { queue: 'g', callback: () => void counts.splice(i, 1, (counts[i] ?? 0) + 1) });
    await member.flush();
  }
  for (let i = 0; i < 100; i++) a.publish('work');
  await waitFor('a hundred', () => (counts[0] ?? 0) + (counts[1] ?? 0) === 100);
  assert.deepEqual(counts, [50, 50]);

  const status = await box.status();
  const shown = status.nats.clients.find(({ name }: { name: string }) => name === 'alpha');
  assert.equal(shown.lang, 'nats.js');
  assert.ok(shown.messagesIn > 100 && shown.subscriptions >= 1);
  assert.equal((await a.request('$SYS.REQ.USER.INFO')).json<{ data: { account: string } }>().data.account, '$G');
  await a.drain();
  await waitFor('it to be gone', async () => (await box.status()).nats.clients.length === 1);
});

test('a stop of the box: clients see lame duck, and the box ends in order', async (t) => {
  const box = await startBox(t);
  const a = await client(t, box);
  const seen: string[] = [];
  void (async () => {
    for await (const { type } of a.status()) seen.push(type);
  })();
  await a.flush();
  assert.deepEqual(await box.stop(), { code: 0, signal: null });
  await a.closed();
  // The client hands its events out in later turns than the close.
  await waitFor('the lame duck', () => seen.includes('ldm'));
});

test('MQTT and NATS clients hear each other', async (t) => {
  const box = await startBox(t);
  const a = await client(t, box);
  const sensor = await mqtt.connectAsync(box.mqttUrl, { protocolVersion: 5 });
  atEnd(t, () => sensor.endAsync(true));
  const heard: string[] = [];
  sensor.on('message', (topic, payload) => heard.push(`${topic} ${payload}`));
  await sensor.subscribeAsync('to/mqtt/#');
  a.publish('to.mqtt.x', 'from nats');
  await waitFor('the message at MQTT', () => heard.length === 1);
  assert.deepEqual(heard, ['to/mqtt/x from nats']);
  const messages = a.subscribe('to.nats.>', { max: 1 });
  await a.flush();
  await sensor.publishAsync('to/nats/x', 'from mqtt', { qos: 1 });
  for await (const message of messages) assert.equal(`${message.subject} ${text(message.data)}`, 'to.nats.x from mqtt');
});

test('JetStream publishes offline get receipts, ids are heard once, and the stream has each once', async (t) => {
  const { hub, cloud } = await hubWith(t);
  const box = await linkedBox(t, hub);
  await hub.stop();
  await waitFor('the box to notice', async () => (await box.status()).link.state !== 'up');
  const a = await client(t, box);
  const js = jetstream(a, { checkAPI: false });
  for (let i = 1; i <= 20; i++) {
    const { stream, seq, duplicate } = await js.publish('line3.temp', String(i), { msgID: `id-${i}` });
    assert.deepEqual({ stream, seq, duplicate }, { stream: 'TELEMETRY', seq: i, duplicate: false });
  }
  const again = await js.publish('line3.temp', '7', { msgID: 'id-7' });
  assert.deepEqual([again.seq, again.duplicate], [7, true]);
  const acks = await Promise.all(Array.from({ length: 500 }, (_, i) => js.publish('line3.temp', String(21 + i))));
  assert.deepEqual(
    acks.map(({ seq }) => seq),
    Array.from({ length: 500 }, (_, i) => 21 + i),
  );
  // What only the hub knows.
  const refused = [
    [{ lastSequence: 4 }, 10071],
    [{ lastSubjectSequence: 4 }, 10071],
    [{ lastMsgID: 'x' }, 10070],
    [{ streamName: 'OTHER' }, 10060],
  ] as const;
  for (const [expect, code] of refused) await assert.rejects(js.publish('line3.temp', 'no', { expect }), { code });
  // Up to its bound; the lane holds what it acknowledged.
  let full: unknown = null;
  for (let i = 0; i < 100 && full === null; i++) {
    await js.publish('small.x', Buffer.alloc(4096, i), { retries: 0 }).catch((error: unknown) => {
      full = error;
    });
  }
  assert.equal((full as { code?: number } | null)?.code, 10077);

  await hub.restart();
  await waitForStream(cloud, 'TELEMETRY', 520);
  const payloads: string[] = [];
  const ids: string[][] = [];
  await readStream(cloud, 'TELEMETRY', (message) => {
    payloads.push(text(message.payload));
    ids.push([...message.header('Nats-Msg-Id'), ...message.header('Petiole-Msg-Id')]);
  });
  assert.deepEqual(
    payloads,
    Array.from({ length: 520 }, (_, i) => String(i + 1)),
  );
  assert.equal(ids[6]?.length, 2, 'one id of the box and one of the publisher');
  assert.match(ids[6]?.[0] ?? '', /^box\.\w+\.telemetry\.7$/);
  assert.equal(ids[6]?.[1], 'id-7');
});

test('requests and queue groups over box and hub', async (t) => {
  const { hub, cloud } = await hubWith(t);
  const box = await linkedBox(t, hub);
  const a = await client(t, box);
  a.subscribe('svc.box', { callback: (_, message) => void message.respond(`box ${text(message.data)}`) });
  cloud.subscribe('svc.hub', { callback: (_, message) => void message.respond(`hub ${text(message.data)}`) });
  await Promise.all([a.flush(), cloud.flush()]);
  const ask = (from: NatsConnection, subject: string) =>
    waitFor('an answer', async () => text((await from.request(subject, '1', { timeout: 2_000 })).data));
  assert.equal(await ask(cloud, 'svc.box'), 'box 1');
  assert.equal(await ask(a, 'svc.hub'), 'hub 1');

  // A group with members on both sides: each message once.
  const at = { box: 0, hub: 0 };
  a.subscribe('work', { queue: 'g', callback: () => void at.box++ });
  const there = cloud.subscribe('work', { queue: 'g', callback: () => void at.hub++ });
  let far = 0;
  cloud.subscribe('only', { queue: 'far', callback: () => void far++ });
  await Promise.all([a.flush(), cloud.flush()]);
  await waitFor('the group at the hub', async () => {
    a.publish('only');
    await a.flush();
    return far > 0;
  });
  for (let i = 0; i < 50; i++) a.publish('work');
  await waitFor('fifty', () => at.box + at.hub >= 50);
  assert.deepEqual(at, { box: 50, hub: 0 }, 'the near member is preferred');
  for (let i = 0; i < 50; i++) cloud.publish('work');
  await waitFor('a hundred', () => at.box + at.hub >= 100);
  // Without the member at the hub, the hub sends them here.
  there.unsubscribe();
  const now = at.box;
  await cloud.flush();
  for (let i = 0; i < 50; i++) cloud.publish('work');
  await waitFor('fifty more here', () => at.box === now + 50);
});

test('streams, pull and ordered consumers and a bucket at the hub, through the box; 503 when the link is down', async (t) => {
  const { hub, cloud } = await hubWith(t);
  const box = await linkedBox(t, hub);
  const a = await client(t, box);
  const manager = await jetstreamManager(a);
  assert.equal((await manager.streams.info('TELEMETRY')).config.name, 'TELEMETRY');
  await manager.streams.add({ name: 'JOBS', subjects: ['jobs.>'] });
  const js = jetstream(a);
  const ack = await waitFor('a PubAck of the hub', () => js.publish('jobs.a', 'one', { timeout: 1_000 }));
  assert.equal(ack.stream, 'JOBS');
  await js.publish('jobs.b', 'two');

  await manager.consumers.add('JOBS', { durable_name: 'd', ack_policy: AckPolicy.Explicit });
  const consumer = await js.consumers.get('JOBS', 'd');
  const pulled: string[] = [];
  for await (const message of await consumer.fetch({ max_messages: 2, expires: 5_000 })) {
    pulled.push(`${message.subject} ${text(message.data)}`);
    assert.equal(await message.ackAck(), true);
  }
  assert.deepEqual(pulled, ['jobs.a one', 'jobs.b two']);
  assert.equal((await manager.consumers.info('JOBS', 'd')).num_ack_pending, 0);

  // What a bucket is made of: put, get by direct get, watch by an ordered consumer.
  await manager.streams.add({ name: 'KV_b', subjects: ['$KV.b.>'], max_msgs_per_subject: 1, allow_direct: true });
  assert.equal((await js.publish('$KV.b.k', 'v1')).seq, 1);
  const got = await manager.direct.getMessage('KV_b', { last_by_subj: '$KV.b.k' });
  assert.deepEqual([got?.subject, got && text(got.data)], ['$KV.b.k', 'v1']);
  const watch = await js.consumers.get('KV_b', {
    filter_subjects: '$KV.b.>',
    deliver_policy: DeliverPolicy.LastPerSubject,
  });
  const changes: string[] = [];
  const watching = await watch.consume({
    callback: (message) => {
      changes.push(`${message.subject} ${text(message.data)}`);
    },
  });
  await waitFor('the present value', () => changes.length === 1);
  await js.publish('$KV.b.k', 'v2');
  await waitFor('the change', () => changes.length === 2);
  assert.deepEqual(changes, ['$KV.b.k v1', '$KV.b.k v2']);
  await watching.close();

  await cloud.close();
  await hub.stop();
  await waitFor('the box to notice', async () => (await box.status()).link.state !== 'up');
  // Somebody who listens to everything is no responder to JetStream's API.
  (await client(t, box)).subscribe('>');
  const since = performance.now();
  await assert.rejects(manager.streams.info('JOBS'), /no responders|jetstream/i);
  await assert.rejects(js.publish('$KV.b.k', 'v3', { retries: 0, timeout: 10_000 }), /no responders|jetstream/i);
  assert.ok(performance.now() - since < 5_000);
});
