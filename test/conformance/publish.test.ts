import assert from 'node:assert/strict';
import { startEdge, startRetainingEdge } from '../support/mqtt-edge.ts';
import {
  binary,
  DISCONNECT,
  type Field,
  packet,
  properties,
  property,
  pubackPacket,
  publishPacket,
  raw,
  u16,
  u32,
  varint,
} from '../support/mqtt-packets.ts';
import { conform, ends, expectEnds, subscribe } from './conform.ts';

/* PUBLISH and its properties (3.3), QoS 0 and 1 (4.3), message order (4.6). */

const DUP = 0x08;
const RETAIN = 0x01;

conform('QoS 3', { 4: ['3.3.1-4'], 5: ['3.3.1-4'] }, async (t, version) => {
  const edge = await startEdge(t);
  const none = version === 5 ? [properties()] : [];
  await expectEnds(edge, version, 0x81, {
    'QoS 3': packet(0x36, 'a', u16(1), ...none),
    'QoS 3, DUP and retain': packet(0x3f, 'a', u16(1), ...none),
  });
});

conform('QoS 0 is never a duplicate', { 4: ['3.3.1-2', '4.3.1-1'], 5: ['3.3.1-2', '4.3.1-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('d');
  await expectEnds(edge, version, [0x81, 0x82], { DUP: publishPacket({ version, topic: 'd', flags: DUP }) });
  assert.deepEqual(heard, []);
  const wire = await edge.connect(version, 'c1');
  await subscribe(wire, version, [['d', 0]]);
  edge.publish('d', 'live');
  await wire.expect(publishPacket({ version, topic: 'd', payload: 'live' }));
});

conform(
  'a duplicate is passed on as a message of its own',
  { 4: ['3.3.1-3', '4.3.2-2'], 5: ['3.3.1-3', '4.3.2-5'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const reader = await edge.connect(version, 'reader');
    await subscribe(reader, version, [['d', 0]]);
    const wire = await edge.connect(version, 'sender');
    for (const flags of [0, DUP, DUP]) {
      // The identifier is free again with each PUBACK.
      wire.send(publishPacket({ version, topic: 'd', id: 7, flags, payload: 'p' }));
      await wire.expect(pubackPacket(7));
      await reader.expect(publishPacket({ version, topic: 'd', payload: 'p' }));
    }
  },
);

conform(
  'a retained message is kept, the last one',
  { 4: ['3.1.2-7', '3.3.1-5', '3.3.1-6', '3.3.1-7', '3.3.1-8'], 5: ['3.3.1-5', '3.3.1-9'] },
  async (t, version) => {
    const { edge } = await startRetainingEdge(t);
    const wire = await edge.connect(version, 'sender');
    wire.send(publishPacket({ version, topic: 'r/1', id: 1, flags: RETAIN, payload: 'one' }));
    await wire.expect(pubackPacket(1));
    wire.send(publishPacket({ version, topic: 'r/1', flags: RETAIN, payload: 'two' }), DISCONNECT);
    await wire.expectClosed();
    const reader = await edge.connect(version, 'reader');
    await subscribe(reader, version, [['r/#', 0]]);
    await reader.expect(publishPacket({ version, topic: 'r/1', flags: RETAIN, payload: 'two' }));
    await reader.expectQuiet();
  },
);

conform('the retain flag of a live message', { 4: ['3.3.1-9'], 5: ['3.3.1-12'] }, async (t, version) => {
  const { edge } = await startRetainingEdge(t);
  const wire = await edge.connect(version, 'c');
  await subscribe(wire, version, [['r/1', 0]]);
  wire.send(publishPacket({ version, topic: 'r/1', flags: RETAIN, payload: 'x' }));
  await wire.expect(publishPacket({ version, topic: 'r/1', payload: 'x' }));
});

conform('Retain As Published', { 5: ['3.3.1-13'] }, async (t, version) => {
  const { edge } = await startRetainingEdge(t);
  const wire = await edge.connect(version, 'c');
  await subscribe(wire, version, [['r/1', 0x08]]);
  for (const flags of [RETAIN, 0]) {
    const sent = publishPacket({ version, topic: 'r/1', flags, payload: 'x' });
    wire.send(sent);
    await wire.expect(sent);
  }
});

conform(
  'an empty retained message clears',
  { 4: ['3.3.1-10', '3.3.1-11'], 5: ['3.3.1-6', '3.3.1-7'] },
  async (t, version) => {
    const { edge } = await startRetainingEdge(t);
    const wire = await edge.connect(version, 'c');
    wire.send(publishPacket({ version, topic: 'r/1', id: 1, flags: RETAIN, payload: 'x' }));
    await wire.expect(pubackPacket(1));
    const early = await edge.connect(version, 'early');
    await subscribe(early, version, [['r/1', 0]]);
    await early.expect(publishPacket({ version, topic: 'r/1', flags: RETAIN, payload: 'x' }));
    wire.send(publishPacket({ version, topic: 'r/1', id: 2, flags: RETAIN, payload: '' }));
    await wire.expect(pubackPacket(2));
    await early.expect(publishPacket({ version, topic: 'r/1', payload: '' }));
    const late = await edge.connect(version, 'late');
    await subscribe(late, version, [['r/#', 0]]);
    await late.expectQuiet();
    assert.equal(edge.status.retained?.count, 0);
  },
);

conform(
  'a message without the flag leaves the retained one alone',
  { 4: ['3.3.1-12'], 5: ['3.3.1-8'] },
  async (t, version) => {
    const { edge } = await startRetainingEdge(t);
    const wire = await edge.connect(version, 'c');
    wire.send(publishPacket({ version, topic: 'r/1', flags: RETAIN, payload: 'kept' }));
    for (const payload of ['other', '']) wire.send(publishPacket({ version, topic: 'r/1', payload }));
    wire.send(publishPacket({ version, topic: 'r/2', id: 1, payload: 'live' }));
    await wire.expect(pubackPacket(1));
    await subscribe(wire, version, [['r/#', 0]]);
    await wire.expect(publishPacket({ version, topic: 'r/1', flags: RETAIN, payload: 'kept' }));
    await wire.expectQuiet();
  },
);

conform('Retain Handling', { 5: ['3.3.1-9', '3.3.1-10', '3.3.1-11'] }, async (t, version) => {
  const { edge } = await startRetainingEdge(t);
  const wire = await edge.connect(version, 'c');
  const kept = publishPacket({ version, topic: 'r/1', flags: RETAIN, payload: 'kept' });
  wire.send(kept);
  const handlings: [filter: string, handling: number, isSent: boolean][] = [
    ['r/1', 2, false],
    ['r/1', 1, false],
    ['r/1', 0, true],
    ['r/1', 0, true],
    ['r/+', 1, true],
    ['r/+', 1, false],
    ['+/1', 2, false],
  ];
  for (const [filter, handling, isSent] of handlings) {
    await subscribe(wire, version, [[filter, handling << 4]]);
    if (isSent) await wire.expect(kept);
    await wire.expectQuiet();
  }
});

conform('a wildcard in a topic name', { 4: ['3.3.2-2', '4.7.1-1'], 5: ['3.3.2-2', '4.7.0-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  const names = ['#', '+', 'a/#', 'a/+/b', 'a+', 'a#b', '/+'];
  const packets = names.map((topic) => [topic, publishPacket({ version, topic })] as const);
  await expectEnds(edge, version, [0x81, 0x82, 0x90], Object.fromEntries(packets));
  assert.deepEqual([...new Set(heard.map(({ subject }) => subject))], ['good']);
});

conform('a publish that is not allowed', { 4: ['3.3.5-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  const wire = await edge.connect(version, 'c');
  wire.send(publishPacket({ version, topic: '$JS/API/x', id: 1 }));
  await wire.expectClosed();
  assert.deepEqual(heard, []);
});

/** In every kind that a PUBLISH may have, the user properties with a name twice and out of order. */
const shown: readonly Field[] = [
  ...[property.payloadFormat, 1],
  ...[property.contentType, 'text/plain; charset=utf-8'],
  ...[property.responseTopic, 'answers/ä/1'],
  ...[property.correlationData, binary(Buffer.of(0, 255, 10, 13, 0x25))],
  ...[property.userProperty, 'z', '1', property.userProperty, 'a', '2', property.userProperty, 'z', '1'],
  ...[property.userProperty, '', '', property.userProperty, 'Nats-Msg-Id', 'x: y\r\n%0D'],
];

conform(
  'properties arrive as they were sent',
  { 5: ['3.3.2-4', '3.3.2-15', '3.3.2-16', '3.3.2-17', '3.3.2-18', '3.3.2-20'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'c');
    await subscribe(wire, version, [['p', 0]]);
    const sent = publishPacket({ version, topic: 'p', payload: 'p', properties: shown });
    wire.send(sent);
    await wire.expect(sent);
  },
);

conform('message expiry counts down, and ends what waits', { 5: ['3.3.2-5', '3.3.2-6'] }, async (t, version) => {
  let nowMs = Date.now();
  const { edge, store } = await startRetainingEdge(t, { parts: { clock: () => nowMs } });
  const wire = await edge.connect(version, 'c');
  const expiring = (seconds: number, flags: number) =>
    publishPacket({ version, topic: 'r/1', flags, payload: 'x', properties: [property.messageExpiry, u32(seconds)] });
  await subscribe(wire, version, [['r/1', 0]]);
  wire.send(expiring(60, RETAIN));
  await wire.expect(expiring(60, 0));
  nowMs += 25_000;
  await subscribe(wire, version, [['r/1', 0]]);
  await wire.expect(expiring(35, RETAIN));
  nowMs += 36_000;
  await subscribe(wire, version, [['r/1', 0]]);
  await wire.expectQuiet();
  assert.ok(store);
});

conform(
  'topic aliases of a client',
  { 5: ['3.3.2-7', '3.3.2-8', '3.3.2-9', '3.3.2-12', '3.2.2-17'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const heard = edge.listen('t.>');
    const aliased = (alias: number, topic: string) =>
      publishPacket({ version, topic, properties: [property.topicAlias, u16(alias)] });
    const wire = await edge.open();
    wire.send(packet(0x10, 'MQTT', 5, 0x02, u16(0), 0, 'c'));
    const max = Number((await wire.connAck()).properties.get(property.topicAliasMaximum));
    assert.ok(max > 0);
    for (let alias = 1; alias <= max; alias++) wire.send(aliased(alias, `t/${alias}`));
    for (let alias = 1; alias <= max; alias++) wire.send(aliased(alias, ''));
    wire.send(aliased(1, 't/new'), aliased(1, ''));
    await wire.expectQuiet();
    const topics = Array.from({ length: max }, (_, i) => `t.${i + 1}`);
    assert.deepEqual(
      heard.map(({ subject }) => subject),
      [...topics, ...topics, 't.new', 't.new'],
    );
    // Nothing of that is known on the next connection.
    await expectEnds(edge, version, 0x82, { 'of another connection': aliased(2, '') });
    await expectEnds(edge, version, 0x94, { 'alias 0': aliased(0, 't/x'), 'too large': aliased(max + 1, 't/x') });
  },
);

conform('a wildcard in a response topic', { 5: ['3.3.2-14'] }, async (t, version) => {
  const edge = await startEdge(t);
  const publish = (topic: string) =>
    publishPacket({ version, topic: 'a', properties: [property.responseTopic, topic] });
  await expectEnds(edge, version, [0x81, 0x82], { '#': publish('a/#'), '+': publish('+'), empty: publish('') });
});

conform('a subscription identifier of a client', { 5: ['3.3.4-6'] }, async (t, version) => {
  const edge = await startEdge(t);
  const bytes = publishPacket({ version, properties: [property.subscriptionIdentifier, varint(1)] });
  await expectEnds(edge, version, 0x82, { identifier: bytes });
});

conform('more than the Receive Maximum', { 5: ['3.3.4-7'] }, async (t, version) => {
  const edge = await startEdge(t, { inflightMax: 3 });
  const wire = await edge.connect(version, 'c');
  for (let id = 1; id <= 3; id++) wire.send(publishPacket({ version, topic: 'lane/x', id }));
  await edge.journal.holds(3);
  await wire.expectQuiet();
  wire.send(publishPacket({ version, topic: 'lane/x', id: 4 }));
  await wire.expectDisconnect(0x93);
  assert.equal(edge.journal.held.length, 3);
});

conform('PUBACKs go out in the order of their messages', { 4: ['4.6.0-2'], 5: ['4.6.0-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c');
  const publish = (topic: string, id: number) => publishPacket({ version, topic, id });
  wire.send(publish('lane/x', 5), publish('live', 4), publish('lane/x', 3), publish('live', 2));
  await edge.journal.holds(2);
  await wire.expectQuiet();
  edge.journal.release(1);
  await wire.expect(pubackPacket(5), pubackPacket(4));
  await wire.expectQuiet();
  edge.journal.release(1);
  await wire.expect(pubackPacket(3), pubackPacket(2));
});

conform('every topic is in order', { 4: ['4.6.0-5', '4.6.0-6'], 5: ['4.6.0-5', '4.6.0-6'] }, async (t, version) => {
  const edge = await startEdge(t, { inflightMax: 100 });
  const readers = [await edge.connect(version, 'one'), await edge.connect(version, 'two')];
  for (const reader of readers) await subscribe(reader, version, [['o/+', 0]]);
  const wire = await edge.connect(version, 'sender');
  const sent = Array.from({ length: 100 }, (_, i) => ({ version, topic: `o/${i % 3}`, payload: `${i}` }));
  wire.send(...sent.map((fields, i) => publishPacket({ ...fields, ...(i % 2 === 0 && { id: i + 1 }) })));
  for (const reader of readers) await reader.expect(...sent.map((fields) => publishPacket(fields)));
});

conform('a PUBLISH is answered as its QoS asks', { 4: ['3.3.4-1'], 5: ['3.3.4-1', '3.4.2-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c');
  wire.send(publishPacket({ version, topic: 'a', payload: raw('x') }));
  await wire.expectQuiet();
  wire.send(publishPacket({ version, topic: 'a', id: 1 }));
  await wire.expect(pubackPacket(1));
  if (version === 4) return;
  wire.send(publishPacket({ version, topic: '$SYS/a', id: 2 }));
  const refused = await wire.next('PUBACK');
  const codes = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
  assert.ok(codes.includes(refused[4] ?? 0), `reason code 0x${refused[4]?.toString(16)} is not one of a PUBACK`);
});

conform('a larger message than the bound', { 5: ['3.2.2-15'] }, async (t, version) => {
  const edge = await startEdge(t, { packetBytesMax: 1024 });
  const wire = await edge.open();
  wire.send(packet(0x10, 'MQTT', 5, 0x02, u16(0), 0, 'c'));
  assert.equal((await wire.connAck()).properties.get(property.maximumPacketSize), 1024);
  wire.send(publishPacket({ version, topic: 'a', payload: 'x'.repeat(1024 - 7) }));
  await wire.expectQuiet();
  wire.send(publishPacket({ version, topic: 'a', payload: 'x'.repeat(1024 - 6) }));
  await ends(wire, version, 0x95);
});

conform('a retain flag where nothing is retained', { 5: ['3.2.2-14'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectEnds(edge, version, 0x9a, { retain: publishPacket({ version, flags: RETAIN }) });
});
