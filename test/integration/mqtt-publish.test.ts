import assert from 'node:assert/strict';
import { test } from 'node:test';
import { topicToSubject } from '../../src/core/topic.ts';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  connectPacket,
  property,
  pubackPacket,
  publishPacket,
  subackPacket,
  subscribePacket,
  u16,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

for (const version of [4, 5] as const) {
  test(`version ${version}: QoS 0 is passed on and not answered`, async (t) => {
    const edge = await startEdge(t);
    const heard = edge.listen('>');
    const before = Date.now();
    const wire = await edge.connect(version, 'sender');
    wire.send(publishPacket({ version, topic: 'line/3/temp', payload: '21.5' }));
    await wire.expectQuiet();
    const [message] = heard;
    assert.ok(message);
    assert.equal(message.subject, 'line.3.temp');
    assert.equal(message.payload.toString(), '21.5');
    assert.equal(message.headers.length, 0);
    assert.equal(message.reply, '');
    assert.deepEqual({ ...message.origin }, { ...message.origin, kind: 'mqtt', name: 'sender' });
    assert.ok(message.receivedAtMs >= before && message.receivedAtMs <= Date.now());
  });

  test(`version ${version}: QoS 1 is answered with its packet identifier`, async (t) => {
    const edge = await startEdge(t);
    const heard = edge.listen('>');
    const wire = await edge.connect(version, 'sender');
    for (const id of [1, 0x1234, 0xffff]) {
      wire.send(publishPacket({ version, id, payload: `m${id}` }));
      await wire.expect(pubackPacket(id));
    }
    // A repeated packet is a publish of its own: QoS 1 is at least once.
    wire.send(publishPacket({ version, id: 7, flags: 0x08, payload: 'again' }));
    await wire.expect(pubackPacket(7));
    assert.deepEqual(
      heard.map(({ payload }) => payload.toString()),
      ['m1', 'm4660', 'm65535', 'again'],
    );
  });

  test(`version ${version}: a payload may be empty, binary, and as large as the packet bound allows`, async (t) => {
    const edge = await startEdge(t, { packetBytesMax: 20_000 });
    const heard = edge.listen('>');
    const wire = await edge.connect(version, 'sender');
    const head = publishPacket({ version, topic: 'p', id: 1, payload: '' });
    const largest = Buffer.alloc(20_000 - head.length - 2, 0xfe);
    assert.equal(publishPacket({ version, topic: 'p', id: 3, payload: largest }).length, 20_000);
    wire.send(
      publishPacket({ version, topic: 'p', id: 1, payload: '' }),
      publishPacket({ version, topic: 'p', id: 2, payload: Buffer.of(0, 0xff, 0xc3, 0x28) }),
    );
    await wire.sendInPieces(publishPacket({ version, topic: 'p', id: 3, payload: largest }), 977);
    await wire.expect(pubackPacket(1), pubackPacket(2), pubackPacket(3));
    assert.deepEqual(
      heard.map(({ payload }) => payload),
      [Buffer.alloc(0), Buffer.of(0, 0xff, 0xc3, 0x28), largest],
    );
  });
}

test('every legal topic reaches its subject', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  const wire = await edge.connect(4, 'sender');
  const topics = [
    '/',
    '/a',
    'a/',
    'a//b',
    'a.b',
    'a b',
    'température/ß',
    '漢/字',
    '50%',
    'a>b',
    'x*',
    '_INBOX/x',
    'a$b',
  ];
  for (const [i, topic] of topics.entries()) wire.send(publishPacket({ topic, id: i + 1 }));
  for (const i of topics.keys()) await wire.expect(pubackPacket(i + 1));
  assert.deepEqual(
    heard.map(({ subject }) => subject),
    topics.map(topicToSubject),
  );
});

test('a payload that has been delivered is not overwritten by what comes later', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(4, 'sender');
  for (let i = 0; i < 8; i++)
    wire.send(publishPacket({ topic: 'lane/x', id: i + 1, payload: `payload ${i}`.repeat(50) }));
  await edge.journal.holds(8);
  wire.send(publishPacket({ topic: 'other', payload: Buffer.alloc(60_000, 0x5a) }));
  await wire.expectQuiet();
  for (const [i, { message }] of edge.journal.held.entries()) {
    assert.equal(message.payload.toString(), `payload ${i}`.repeat(50));
  }
});

test('a topic alias stands for its topic on this connection [MQTT5 3.3.2.3.4]', async (t) => {
  const edge = await startEdge(t);
  const probe = await edge.open();
  probe.send(connectPacket({ version: 5, clientId: 'probe' }));
  const { properties } = await probe.connAck();
  const aliases = Number(properties.get(property.topicAliasMaximum) ?? 0);
  assert.ok(aliases >= 1, 'topic aliases are offered');

  const heard = edge.listen('>');
  const wire = await edge.connect(5, 'sender');
  const alias = (value: number) => [property.topicAlias, u16(value)];
  const publish = (id: number, topic: string, value: number) =>
    wire.send(publishPacket({ version: 5, id, topic, properties: alias(value) }));
  publish(1, 'first/topic', 1);
  publish(2, '', 1);
  publish(3, 'second/topic', aliases);
  publish(4, '', aliases);
  publish(5, 'third/topic', 1); // The alias is set anew.
  publish(6, '', 1);
  for (let id = 1; id <= 6; id++) await wire.expect(pubackPacket(id));
  const subjects = ['first.topic', 'first.topic', 'second.topic', 'second.topic', 'third.topic', 'third.topic'];
  assert.deepEqual(
    heard.map(({ subject }) => subject),
    subjects,
  );
  assert.ok(
    heard.every(({ headers }) => headers.length === 0),
    'an alias means nothing to anybody else',
  );

  for (const [what, value, topic, reasonCode] of [
    ['alias of another connection', 1, '', 0x82],
    ['alias 0', 0, 'a', 0x94],
    ['alias above the maximum', aliases + 1, 'a', 0x94],
  ] as const) {
    const other = await edge.connect(5, what);
    other.send(publishPacket({ version: 5, topic, properties: alias(value) }));
    await other.expectDisconnect(reasonCode);
  }
  await edge.expectServing();
});

test('retain from 3.1.1, which cannot be told, is a live message', async (t) => {
  const edge = await startEdge(t);
  const reader = await edge.connect(4, 'reader');
  reader.send(subscribePacket(4, 1, [['state', 0]]));
  await reader.expect(subackPacket(4, 1, 0));
  const wire = await edge.connect(4, 'sender');
  wire.send(publishPacket({ topic: 'state', payload: 'on', id: 1, flags: 0x01 }));
  await wire.expect(pubackPacket(1));
  await reader.expect(publishPacket({ topic: 'state', payload: 'on' }));
  const late = await edge.connect(4, 'late');
  late.send(subscribePacket(4, 1, [['state', 0]]));
  await late.expect(subackPacket(4, 1, 0));
  await late.expectQuiet();
});

test('counts and times of a client are told', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'counted', { keepAlive: 30 });
  wire.send(subscribePacket(5, 1, [['c/#', 0]]), publishPacket({ version: 5, topic: 'c/1', id: 2 }));
  await wire.expect(subackPacket(5, 1, 0));
  await waitFor('PUBLISH and PUBACK', () => wire.waiting === 2);
  const [client] = edge.status.clients;
  assert.ok(client);
  assert.equal(client.clientId, 'counted');
  assert.match(client.remote, /127\.0\.0\.1/);
  assert.equal(client.messagesIn, 1);
  assert.equal(client.messagesOut, 1);
  assert.equal(client.dropped, 0);
  assert.equal(client.subscriptions, 1);
  assert.equal(client.inflight, 0);
  const written = connectPacket({ version: 5, clientId: 'counted', keepAlive: 30 }).length + 12 + 11;
  assert.ok(client.bytesIn > 30 && client.bytesIn < written + 20, `${client.bytesIn} bytes in`);
  assert.equal(client.bytesOut, wire.socket.bytesRead);
  assert.ok(client.lastSeenMs >= client.connectedAtMs);
});
