import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_HEADERS } from '../../src/core/message.ts';
import { startRetainingEdge, type TestEdge } from '../support/mqtt-edge.ts';
import {
  connectPacket,
  DISCONNECT,
  hex,
  type PublishFields,
  property,
  pubackPacket,
  publishPacket,
  subackPacket,
  subscribePacket,
  u32,
  unsubscribePacket,
  type Version,
} from '../support/mqtt-packets.ts';
import type { Wire } from '../support/mqtt-wire.ts';
import { waitFor } from '../support/wait-for.ts';

const RETAIN = 0x01;
const NO_LOCAL = 0x04;
const RETAIN_AS_PUBLISHED = 0x08;
const ONLY_IF_NEW = 0x10;
const DO_NOT_SEND = 0x20;

function retained(fields: PublishFields): Buffer {
  return publishPacket({ ...fields, flags: RETAIN });
}

/** Publishes retained messages with QoS 1 and waits for the PUBACKs. */
async function retain(wire: Wire, version: Version, values: Record<string, string>): Promise<void> {
  let id = 0;
  for (const [topic, payload] of Object.entries(values)) {
    wire.send(retained({ version, topic, payload, id: ++id }));
    await wire.expect(pubackPacket(id));
  }
}

/** Behind everything, and seen by no wildcard of the tests: walks go in order. */
const END = '_INBOX/the/end';

/** What a new subscriber gets at once, as `topic=payload`, sorted. */
async function retainedFor(edge: TestEdge, version: Version, ...filters: string[]): Promise<string[]> {
  const wire = await edge.connect(version, `looks-at-${filters}`);
  const wanted = filters.map((filter): [string, number] => [filter, 0]);
  wire.send(subscribePacket(version, 1, [...wanted, [END, 0]]));
  await wire.expect(subackPacket(version, 1, ...wanted.map(() => 0), 0));
  const seen: string[] = [];
  for (;;) {
    const packet = await wire.next('a retained message');
    assert.equal(packet[0], 0x31, hex(packet));
    const topicEnd = 4 + packet.readUInt16BE(2);
    const topic = packet.toString('utf8', 4, topicEnd);
    if (topic === END) break;
    seen.push(`${topic}=${packet.toString('utf8', topicEnd + (version === 5 ? 1 : 0))}`);
  }
  wire.send(DISCONNECT);
  await wire.expectClosed();
  return seen.sort();
}

for (const version of [4, 5] as const) {
  test(`version ${version}: a new subscriber gets the last retained message, with the flag [MQTT-3.3.1-8]`, async (t) => {
    const { edge } = await startRetainingEdge(t);
    const early = await edge.connect(version, 'early');
    early.send(subscribePacket(version, 1, [['#', 0]]));
    await early.expect(subackPacket(version, 1, 0));
    const sender = await edge.connect(version, 'sender');
    // QoS 0, QoS 1, in a lane and live only; replaced; and one without the flag, which replaces nothing.
    sender.send(retained({ version, topic: 'state', payload: 'old' }));
    sender.send(retained({ version, topic: 'state', payload: 'on', id: 1 }));
    sender.send(retained({ version, topic: 'lane/state', payload: 'kept', id: 2 }));
    sender.send(publishPacket({ version, topic: 'state', payload: 'passing', id: 3 }));
    await sender.expect(pubackPacket(1), pubackPacket(2), pubackPacket(3));
    // To those who were there it is a message like any other [MQTT-3.3.1-9].
    await early.expect(
      publishPacket({ version, topic: 'state', payload: 'old' }),
      publishPacket({ version, topic: 'state', payload: 'on' }),
      publishPacket({ version, topic: 'lane/state', payload: 'kept' }),
      publishPacket({ version, topic: 'state', payload: 'passing' }),
    );
    const late = await edge.connect(version, 'late');
    late.send(
      subscribePacket(version, 1, [
        ['state', 0],
        ['lane/+', 1],
      ]),
    );
    await late.expect(subackPacket(version, 1, 0, 1));
    await late.expect(retained({ version, topic: 'state', payload: 'on' }));
    await late.expect(retained({ version, topic: 'lane/state', payload: 'kept', id: 1 }));
    late.send(pubackPacket(1));
    await late.expectQuiet();
    await early.expectQuiet();
    assert.equal(edge.status.retained?.count, 2);
    assert.equal(edge.counter('retainIgnored'), 0);
  });

  test(`version ${version}: an empty payload clears, and is passed on [MQTT-3.3.1-6] [MQTT-3.3.1-11]`, async (t) => {
    const { edge, store } = await startRetainingEdge(t);
    const sender = await edge.connect(version, 'sender');
    await retain(sender, version, { 'a/b': 'x', [END]: '.' });
    const early = await edge.connect(version, 'early');
    early.send(subscribePacket(version, 1, [['a/b', 0]]));
    await early.expect(subackPacket(version, 1, 0), retained({ version, topic: 'a/b', payload: 'x' }));
    await retain(sender, version, { 'a/b': '', 'never/there': '' });
    await early.expect(publishPacket({ version, topic: 'a/b', payload: '' }));
    assert.deepEqual(await retainedFor(edge, version, '#', 'a/b'), []);
    assert.equal(store.retained?.status().count, 1);
  });

  test(`version ${version}: wildcards choose the retained messages as they choose live ones`, async (t) => {
    const { edge } = await startRetainingEdge(t);
    const sender = await edge.connect(version, 'sender');
    const topics = ['a', 'a/b', 'a/b/c', 'a/c', '/a', 'b/b', 'x.y/b', '_INBOX/1', 'a//b'];
    await retain(sender, version, Object.fromEntries([...topics, END].map((topic) => [topic, '1'])));
    const seen = async (...filters: string[]) =>
      (await retainedFor(edge, version, ...filters)).map((line) => line.slice(0, -2)).sort();
    assert.deepEqual(await seen('a/#'), ['a', 'a//b', 'a/b', 'a/b/c', 'a/c']);
    assert.deepEqual(await seen('+/b'), ['a/b', 'b/b', 'x.y/b']);
    assert.deepEqual(await seen('+/+/b'), ['a//b']);
    assert.deepEqual(await seen('a/+/c'), ['a/b/c']);
    assert.deepEqual(await seen('/#'), ['/a']);
    assert.deepEqual(await seen('+/1'), [], '_INBOX is the system’s [MQTT-4.7.2-1]');
    assert.deepEqual(await seen('_INBOX/+'), ['_INBOX/1']);
    assert.deepEqual(await seen('nothing/#', 'a/nothing'), []);
    // Each of two filters that overlap has its own [MQTT-3.3.5-1].
    assert.deepEqual(await seen('a/b', '+/b'), ['a/b', 'a/b', 'b/b', 'x.y/b']);
  });

  test(`version ${version}: who subscribes again gets them again; a shared subscription none [MQTT5 4.8.2]`, async (t) => {
    const { edge } = await startRetainingEdge(t);
    const sender = await edge.connect(version, 'sender');
    await retain(sender, version, { state: 'on' });
    const wire = await edge.connect(version, 'reader');
    for (const id of [1, 2]) {
      wire.send(subscribePacket(version, id, [['state', 0]]));
      await wire.expect(subackPacket(version, id, 0), retained({ version, topic: 'state', payload: 'on' }));
    }
    wire.send(subscribePacket(version, 3, [['$share/g/state', 0]]));
    await wire.expect(subackPacket(version, 3, 0));
    // Ended before its turn came [MQTT-3.10.4-2].
    wire.send(subscribePacket(version, 4, [['#', 0]]), unsubscribePacket(version, 5, '#'));
    await wire.expect(subackPacket(version, 4, 0));
    assert.equal((await wire.next('UNSUBACK'))[0], 0xb0);
    await wire.expectQuiet();
  });

  test(`version ${version}: a will is retained where it asks for that [MQTT-3.1.2-17]`, async (t) => {
    const { edge } = await startRetainingEdge(t);
    const doomed = await edge.connect(version, 'doomed', { will: { topic: 'wills/1', payload: 'died', flags: 0x28 } });
    const other = await edge.connect(version, 'other', { will: { topic: 'wills/2', flags: 0x08 } });
    await retain(other, version, { [END]: '.' });
    doomed.reset();
    other.reset();
    await waitFor('both wills', () => edge.counter('willsPublished') === 2);
    assert.deepEqual(await retainedFor(edge, version, 'wills/#'), ['wills/1=died']);
  });
}

function looker(edge: TestEdge, name: string): Promise<Wire> {
  return edge.connect(5, name);
}

test('version 5: the CONNACK no longer declines the retain flag', async (t) => {
  const { edge } = await startRetainingEdge(t);
  const wire = await edge.open();
  wire.send(connectPacket({ version: 5, clientId: 'c' }));
  assert.equal((await wire.connAck()).properties.get(property.retainAvailable), 1);
});

test('version 5: Retain Handling 0, 1 and 2 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]', async (t) => {
  const { edge } = await startRetainingEdge(t);
  await retain(await looker(edge, 'sender'), 5, { state: 'on' });
  const on = retained({ version: 5, topic: 'state', payload: 'on' });
  const wire = await looker(edge, 'reader');
  wire.send(subscribePacket(5, 1, [['state', ONLY_IF_NEW]]));
  await wire.expect(subackPacket(5, 1, 0), on);
  wire.send(subscribePacket(5, 2, [['state', ONLY_IF_NEW]]));
  await wire.expect(subackPacket(5, 2, 0));
  wire.send(subscribePacket(5, 3, [['state', 0]]));
  await wire.expect(subackPacket(5, 3, 0), on);
  wire.send(subscribePacket(5, 4, [['+', DO_NOT_SEND]]));
  await wire.expect(subackPacket(5, 4, 0));
  await wire.expectQuiet();
});

test('version 5: Retain As Published keeps the flag of live messages [MQTT-3.3.1-12] [MQTT-3.3.1-13]', async (t) => {
  const { edge } = await startRetainingEdge(t);
  const wire = await looker(edge, 'bridge');
  wire.send(
    subscribePacket(5, 1, [['as/it/is', RETAIN_AS_PUBLISHED]], property.subscriptionIdentifier, 7),
    subscribePacket(5, 2, [['plain', 0]]),
  );
  await wire.expect(subackPacket(5, 1, 0), subackPacket(5, 2, 0));
  const sender = await looker(edge, 'sender');
  await retain(sender, 5, { 'as/it/is': '1', plain: '2' });
  sender.send(publishPacket({ version: 5, topic: 'as/it/is', payload: '3' }));
  const properties = [property.subscriptionIdentifier, 7];
  await wire.expect(
    retained({ version: 5, topic: 'as/it/is', payload: '1', properties }),
    publishPacket({ version: 5, topic: 'plain', payload: '2' }),
    publishPacket({ version: 5, topic: 'as/it/is', payload: '3', properties }),
  );
});

test('version 5: properties, Subscription Identifier and No Local of retained messages', async (t) => {
  const { edge } = await startRetainingEdge(t);
  const wire = await looker(edge, 'self');
  const shown = [property.contentType, 'text/plain', property.userProperty, 'unit', 'C'];
  wire.send(retained({ version: 5, topic: 'mine', payload: '1', id: 1, properties: shown }));
  await wire.expect(pubackPacket(1));
  wire.send(subscribePacket(5, 1, [['mine', NO_LOCAL]]), subscribePacket(5, 2, [['+', 0]], 0x0b, 9));
  await wire.expect(subackPacket(5, 1, 0), subackPacket(5, 2, 0));
  await wire.expect(retained({ version: 5, topic: 'mine', payload: '1', properties: [...shown, 0x0b, 9] }));
  await wire.expectQuiet();
});

test('version 5: a retained message expires, and tells how long it has left [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async (t) => {
  let nowMs = Date.now();
  const { edge, store } = await startRetainingEdge(t, { parts: { clock: () => nowMs } });
  const sender = await looker(edge, 'sender');
  const properties = [property.messageExpiry, u32(3600)];
  sender.send(retained({ version: 5, topic: 'a', payload: 'x', id: 1, properties }));
  await sender.expect(pubackPacket(1));
  nowMs += 1_000_000;
  const wire = await looker(edge, 'reader');
  wire.send(subscribePacket(5, 1, [['a', 0]]));
  const left = [property.messageExpiry, u32(2600)];
  await wire.expect(subackPacket(5, 1, 0), retained({ version: 5, topic: 'a', payload: 'x', properties: left }));
  nowMs += 2_600_000;
  wire.send(subscribePacket(5, 2, [['a', 0]]));
  await wire.expect(subackPacket(5, 2, 0));
  await wire.expectQuiet();
  assert.ok(store.retained);
  store.retained.sweep(nowMs);
  assert.deepEqual([store.retained.status().count, store.retained.status().bytes], [0, 0]);
});

test('beyond retained_max: 0x97 where that can be said, else taken and not retained', async (t) => {
  const { edge } = await startRetainingEdge(t, { journal: { retained: { countMax: 2, bytesMax: 1_000_000 } } });
  const five = await looker(edge, 'five');
  const heard = edge.listen('>');
  await retain(five, 5, { [END]: '.', a: '1' });
  five.send(retained({ version: 5, topic: 'b', payload: '1', id: 7 }));
  const refusal = await five.next('PUBACK');
  assert.equal(refusal[4], 0x97, hex(refusal));
  assert.match(refusal.toString('latin1'), /mqtt\.retained_max/);
  assert.deepEqual(
    heard.map(({ subject }) => subject),
    ['_INBOX.the.end', 'a'],
    'a refused message is not taken at all',
  );
  five.send(retained({ version: 5, topic: 'b', payload: '2' }));
  const four = await edge.connect(4, 'four');
  await retain(four, 4, { b: '3' });
  await waitFor('both as live messages', () => heard.length === 4);
  assert.equal(edge.counter('retainedRefused'), 3);
  assert.deepEqual(await retainedFor(edge, 5, '+'), ['a=1']);
  // One goes, and there is room; a known one can always be replaced.
  await retain(five, 5, { a: '', b: '4' });
  await retain(five, 5, { b: '5' });
  assert.deepEqual(await retainedFor(edge, 5, '+'), ['b=5']);
});

test('beyond retained_bytes_max what is there is not kept in place of the newer', async (t) => {
  const { edge } = await startRetainingEdge(t, { journal: { retained: { countMax: 10, bytesMax: 3_000 } } });
  const four = await edge.connect(4, 'four');
  await retain(four, 4, { [END]: '.', a: '1' });
  await retain(four, 4, { a: 'x'.repeat(3_000) });
  assert.equal(edge.counter('retainedRefused'), 1);
  assert.deepEqual(await retainedFor(edge, 4, '+'), []);
});

test('messages from the hub are never retained', async (t) => {
  const { edge, store } = await startRetainingEdge(t);
  const wire = await edge.connect(4, 'reader');
  wire.send(subscribePacket(4, 1, [['cmd', 0]]));
  await wire.expect(subackPacket(4, 1, 0));
  const origin = { kind: 'hub', name: 'hub' } as const;
  const payload = Buffer.from('go');
  edge.router.deliver({ subject: 'cmd', reply: '', headers: NO_HEADERS, payload, receivedAtMs: 1, origin }, []);
  await wire.expect(publishPacket({ topic: 'cmd', payload: 'go' }));
  assert.equal(store.retained?.status().count, 0);
});
