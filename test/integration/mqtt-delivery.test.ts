import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headerEntries } from '../../src/core/headers.ts';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  binary,
  connectPacket,
  hex,
  type PublishFields,
  packet,
  properties,
  property,
  pubackPacket,
  publishPacket,
  raw,
  subackPacket,
  subscribePacket,
  u16,
  u32,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

const NO_LOCAL = 0x04;
const RETAIN_AS_PUBLISHED = 0x08;

function publish5(fields: PublishFields): Buffer {
  return publishPacket({ version: 5, ...fields });
}

test('no local: what a client publishes itself is not sent to it [MQTT-3.8.3-3]', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'echo');
  wire.send(
    subscribePacket(5, 1, [
      ['quiet', NO_LOCAL],
      ['loud', 0],
      ['kept', RETAIN_AS_PUBLISHED],
    ]),
  );
  await wire.expect(subackPacket(5, 1, 0, 0, 0));
  const other = await edge.connect(5, 'other');
  for (const topic of ['quiet', 'loud', 'kept']) wire.send(publish5({ topic, payload: 'mine' }));
  await wire.expect(publish5({ topic: 'loud', payload: 'mine' }), publish5({ topic: 'kept', payload: 'mine' }));
  other.send(publish5({ topic: 'quiet', payload: 'theirs' }));
  await wire.expect(publish5({ topic: 'quiet', payload: 'theirs' }));
  await wire.expectQuiet();
});

test('a subscription identifier comes with each delivery of its subscription [MQTT-3.3.4-3]', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'reader');
  const identifier = (...bytes: number[]) => [property.subscriptionIdentifier, ...bytes];
  wire.send(subscribePacket(5, 1, [['a/b', 0]], ...identifier(7)));
  wire.send(subscribePacket(5, 2, [['big', 0]], ...identifier(0xff, 0xff, 0xff, 0x7f)));
  wire.send(subscribePacket(5, 3, [['bare', 0]]));
  await wire.expect(subackPacket(5, 1, 0), subackPacket(5, 2, 0), subackPacket(5, 3, 0));
  edge.publish('a.b');
  edge.publish('big');
  edge.publish('bare');
  await wire.expect(
    publish5({ topic: 'a/b', properties: identifier(7) }),
    publish5({ topic: 'big', properties: identifier(0xff, 0xff, 0xff, 0x7f) }),
    publish5({ topic: 'bare' }),
  );
  // Subscribing again without one takes it off.
  wire.send(subscribePacket(5, 4, [['a/b', 0]]));
  await wire.expect(subackPacket(5, 4, 0));
  edge.publish('a.b');
  await wire.expect(publish5({ topic: 'a/b' }));
});

for (const version of [4, 5] as const) {
  test(`version ${version}: a shared subscription gives each message to one member [MQTT5 4.8.2]`, async (t) => {
    const edge = await startEdge(t);
    const members = await Promise.all([1, 2, 3].map((n) => edge.connect(version, `member-${n}`)));
    for (const member of members) {
      member.send(subscribePacket(version, 1, [['$share/team/work/#', 0]]));
      await member.expect(subackPacket(version, 1, 0));
    }
    const alone = await edge.connect(version, 'alone');
    alone.send(subscribePacket(version, 1, [['work/#', 0]]));
    await alone.expect(subackPacket(version, 1, 0));
    for (let i = 0; i < 30; i++) edge.publish('work.item', `${i}`);
    await waitFor('all copies', () => members.reduce((sum, { waiting }) => sum + waiting, 0) >= 30);
    for (let i = 0; i < 30; i++) await alone.expect(publishPacket({ version, topic: 'work/item', payload: `${i}` }));
    const shares = members.map(({ waiting }) => waiting);
    assert.equal(
      shares.reduce((sum, share) => sum + share),
      30,
    );
    assert.ok(Math.min(...shares) > 0, `${shares}`);
  });

  test(`version ${version}: a shared subscription without a group or a filter is refused`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    for (const [i, filter] of [
      '$share/',
      '$share/g',
      '$share//a',
      '$share/g/',
      '$share/g+/a',
      '$share/#/a',
    ].entries()) {
      wire.send(subscribePacket(version, i + 1, [[filter, 0]]));
      assert.equal(
        hex(await wire.next('SUBACK')),
        hex(subackPacket(version, i + 1, version === 5 ? 0x8f : 0x80)),
        filter,
      );
    }
    assert.equal(edge.router.subscriptions, 0);
  });
}

/** All that a PUBLISH may carry from end to end, in the order of the specification's table. */
const everything = [
  property.payloadFormat,
  1,
  property.messageExpiry,
  u32(3600),
  property.contentType,
  'text/plain; ü',
  property.responseTopic,
  'answers/to me',
  property.correlationData,
  binary(Buffer.of(0, 0xff, 0x0d, 0x0a)),
  property.userProperty,
  'b',
  '1',
  property.userProperty,
  'a: b\r\n',
  'x\r\nForged: yes',
  property.userProperty,
  'b',
  '  spaces  ',
  property.userProperty,
  '',
  '',
];

function bodyOf(seen: Buffer, topic: string): string[] {
  const head = packet(0x30, topic).length - 2;
  assert.equal(seen[0], 0x30);
  const at = seen.indexOf(raw(topic)) + topic.length;
  assert.ok(at >= head);
  return [...seen.subarray(at).toString('latin1')].sort();
}

test('properties go from publisher to subscriber unaltered, user properties in their order [MQTT-3.3.2-18]', async (t) => {
  const edge = await startEdge(t);
  const reader = await edge.connect(5, 'reader');
  const old = await edge.connect(4, 'old');
  reader.send(subscribePacket(5, 1, [['p', 0]]));
  old.send(subscribePacket(4, 1, [['p', 0]]));
  await reader.expect(subackPacket(5, 1, 0));
  await old.expect(subackPacket(4, 1, 0));
  const wire = await edge.connect(5, 'sender');
  const sent = publish5({ topic: 'p', payload: 'x', properties: everything });
  wire.send(publish5({ topic: 'p', payload: 'x', id: 1, properties: everything }));
  await wire.expect(pubackPacket(1));
  const seen = await reader.next('PUBLISH');
  assert.deepEqual(bodyOf(seen, 'p'), bodyOf(sent, 'p'), `${hex(seen)}\n${hex(sent)}`);
  const users = hex(properties(...everything.slice(10)).subarray(1));
  assert.ok(hex(seen).includes(users), 'the user properties stand together and in order');
  await old.expect(publishPacket({ topic: 'p' }));
});

test('a NATS subscriber sees properties as header lines, and no forged one', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('p');
  const wire = await edge.connect(5, 'sender');
  wire.send(publish5({ topic: 'p', id: 1, properties: everything }));
  await wire.expect(pubackPacket(1));
  const entries = [...headerEntries(heard[0]?.headers ?? Buffer.alloc(0))];
  assert.equal(entries.length, 9, 'one line for each property');
  assert.deepEqual(entries.find(([key]) => key === 'Content-Type')?.[1], 'text/plain; ü');
  const [first, second] = entries.filter(([key]) => key === 'b').map(([, value]) => value);
  assert.equal(first, '1');
  assert.match(second ?? '', /spaces/);
  assert.ok(!entries.some(([key]) => key === 'Forged'));
});

test('header lines of a NATS publisher reach a version 5 subscriber as user properties', async (t) => {
  const edge = await startEdge(t);
  const reader = await edge.connect(5, 'reader');
  reader.send(subscribePacket(5, 1, [['p', 0]]));
  await reader.expect(subackPacket(5, 1, 0));
  edge.publish('p', 'x', raw('NATS/1.0\r\nTrace: 17\r\nUnit: °C\r\n\r\n'));
  await reader.expect(
    publish5({ topic: 'p', properties: [property.userProperty, 'Trace', '17', property.userProperty, 'Unit', '°C'] }),
  );
});

test('a client gets no packet beyond its maximum packet size [MQTT-3.1.2-24]', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'small', { properties: [property.maximumPacketSize, u32(64)] });
  wire.send(subscribePacket(5, 1, [['a', 0]]));
  await wire.expect(subackPacket(5, 1, 0));
  const fits = 64 - publish5({ topic: 'a', payload: '' }).length;
  edge.publish('a', Buffer.alloc(fits + 1));
  edge.publish('a', Buffer.alloc(fits));
  await wire.expect(publish5({ topic: 'a', payload: Buffer.alloc(fits) }));
  // Where the reason string does not fit, the reason code still does. [MQTT-3.4.2-2]
  wire.send(publish5({ topic: `$${'s'.repeat(60)}`, id: 9 }));
  const refusal = await wire.next('PUBACK');
  assert.ok(refusal.length <= 64, `${refusal.length} bytes`);
  assert.equal(hex(refusal.subarray(2, 5)), '00 09 87');
  assert.equal(edge.status.clients[0]?.dropped, 1);
});

test('a slow subscriber loses what it does not read; its memory is bounded and nobody else waits', async (t) => {
  const edge = await startEdge(t, { outboundBytesMax: 100_000 });
  const slow = await edge.connect(4, 'slow');
  const quick = await edge.connect(4, 'quick');
  for (const wire of [slow, quick]) {
    wire.send(subscribePacket(4, 1, [['flood', 0]]));
    await wire.expect(subackPacket(4, 1, 0));
  }
  slow.pause();
  const dropped = () => edge.status.clients.find(({ clientId }) => clientId === 'slow')?.dropped ?? 0;
  const payload = Buffer.alloc(10_000);
  let published = 0;
  while (dropped() < 100) {
    assert.ok(published < 20_000, 'nothing is ever dropped');
    payload.writeUInt32BE(published++);
    assert.ok(edge.publish('flood', Buffer.from(payload)) >= 1);
    const delivery = await quick.next('the delivery to the quick one');
    assert.equal(delivery.readUInt32BE(delivery.length - payload.length), published - 1);
  }
  slow.resume();
  await waitFor('what the kernel and the box held', () => slow.waiting === published - dropped());
  assert.equal(edge.status.clients.find(({ clientId }) => clientId === 'quick')?.dropped, 0);
  // It is served again, from the present on.
  edge.publish('flood', 'news');
  await waitFor('the news', () => slow.waiting === published - dropped() + 1);
});

test('a message whose topic or size no MQTT packet can hold is dropped', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(4, 'reader');
  wire.send(subscribePacket(4, 1, [['#', 0]]));
  await wire.expect(subackPacket(4, 1, 0));
  edge.publish(`a.${'b'.repeat(70_000)}`);
  edge.publish('a');
  await wire.expect(publishPacket({ topic: 'a' }));
  await wire.expectQuiet();
});

test('a reader that publishes to itself and its PUBACK are both served within one receive maximum', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.open();
  wire.send(connectPacket({ version: 5, clientId: 'both', properties: [property.receiveMaximum, u16(1)] }));
  assert.equal((await wire.connAck()).reasonCode, 0);
  wire.send(subscribePacket(5, 1, [['s', 1]]));
  await wire.expect(subackPacket(5, 1, 1));
  wire.send(publish5({ topic: 's', id: 2 }), publish5({ topic: 's', id: 3 }));
  await wire.expectInAnyOrder(publish5({ topic: 's', id: 1 }), pubackPacket(2), pubackPacket(3));
  await wire.expectQuiet();
  // [MQTT-3.3.4-9]: the next one only now.
  wire.send(pubackPacket(1));
  await wire.expect(publish5({ topic: 's', id: 2 }));
});
