import assert from 'node:assert/strict';
import { startEdge, startRetainingEdge } from '../support/mqtt-edge.ts';
import {
  packet,
  properties,
  property,
  publishPacket,
  u16,
  unsubscribePacket,
  type Version,
  varint,
} from '../support/mqtt-packets.ts';
import type { Wire } from '../support/mqtt-wire.ts';
import { conform, expectEnds, subscribe, untilQuiet } from './conform.ts';

/* SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (3.8 to 3.11). */

const FAILURE = 0x80;
const RETAIN = 0x01;

/** Unsubscribes; resolves with the codes of the UNSUBACK, none in 3.1.1. */
async function unsubscribe(wire: Wire, version: Version, ...filters: string[]): Promise<number[]> {
  wire.send(unsubscribePacket(version, 77, ...filters));
  const unsuback = await wire.next('UNSUBACK');
  assert.equal(unsuback[0], 0xb0);
  assert.equal(unsuback.readUInt16BE(2), 77);
  return [...unsuback.subarray(version === 5 ? 5 : 4)];
}

conform('no topic filter at all', { 4: ['3.8.3-3', '3.10.3-2'], 5: ['3.8.3-2', '3.10.3-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  const none = version === 5 ? [properties()] : [];
  await expectEnds(edge, version, [0x81, 0x82], {
    SUBSCRIBE: packet(0x82, u16(1), ...none),
    'a filter without options': packet(0x82, u16(1), ...none, 'a'),
    UNSUBSCRIBE: packet(0xa2, u16(1), ...none),
  });
});

conform('reserved bits of the options, and QoS 3', { 4: ['3.8.3-4'], 5: ['3.8.3-5'] }, async (t, version) => {
  const edge = await startEdge(t);
  const none = version === 5 ? [properties()] : [];
  const bad = version === 5 ? [0x03, 0x40, 0x80, 0xc0, 0x41] : [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff];
  const packets = bad.map((options) => [`options ${options}`, packet(0x82, u16(1), ...none, 'a', options)] as const);
  await expectEnds(edge, version, 0x81, Object.fromEntries(packets));
  if (version === 5) await expectEnds(edge, version, 0x82, { 'retain handling 3': packet(0x82, u16(1), 0, 'a', 0x30) });
});

conform('No Local', { 5: ['3.8.3-3'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c');
  const other = await edge.connect(version, 'other');
  await subscribe(wire, version, [['n', 0x04]]);
  wire.send(publishPacket({ version, topic: 'n', payload: 'own' }));
  await wire.expectQuiet();
  other.send(publishPacket({ version, topic: 'n', payload: 'theirs' }));
  await wire.expect(publishPacket({ version, topic: 'n', payload: 'theirs' }));
});

conform('No Local on a shared subscription', { 5: ['3.8.3-4'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectEnds(edge, version, 0x82, { shared: packet(0x82, u16(1), 0, '$share/g/a', 0x04) });
});

conform('subscribing again replaces', { 4: ['3.8.4-3'], 5: ['3.8.4-3', '3.8.4-4'] }, async (t, version) => {
  const { edge } = await startRetainingEdge(t);
  const wire = await edge.connect(version, 'c');
  wire.send(publishPacket({ version, topic: 's/kept', flags: RETAIN, payload: 'kept' }));
  const identifier = (value: number) => (version === 5 ? [property.subscriptionIdentifier, varint(value)] : []);
  for (const number of [1, 2, 3]) {
    await subscribe(wire, version, [['s/#', 0]], ...identifier(number));
    const shown = identifier(number);
    await wire.expect(publishPacket({ version, topic: 's/kept', flags: RETAIN, payload: 'kept', properties: shown }));
    edge.publish('s.live', 'once');
    await wire.expect(publishPacket({ version, topic: 's/live', payload: 'once', properties: shown }));
    await wire.expectQuiet();
  }
  // No message is lost in between: a stream goes on while the subscription is replaced again and again.
  const stream = Array.from({ length: 50 }, (_, i) => `${i}`);
  for (const payload of stream) {
    edge.publish('s.stream', payload);
    if (version === 5) wire.send(packet(0x82, u16(5), properties(), 's/#', 0x20));
    else wire.send(packet(0x82, u16(5), 's/#', 0));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const seen: string[] = [];
  let subacks = 0;
  while (seen.length < stream.length || subacks < stream.length) {
    const next = await wire.next('the stream');
    if (next[0] === 0x90) subacks++;
    else if (next[0] === 0x30) seen.push(next.toString('latin1').replace(/^.*s\/stream\W*/s, ''));
  }
  assert.deepEqual(seen, stream);
});

conform(
  'several filters in one packet',
  {
    4: ['3.8.4-4', '3.8.4-5', '3.9.3-1', '3.9.3-2'],
    5: ['3.8.4-5', '3.8.4-6', '3.8.4-7', '3.9.3-1', '3.9.3-2', '3.2.2-10'],
  },
  async (t, version) => {
    const edge = await startEdge(t, { subscriptionsMax: 4 });
    const wire = await edge.connect(version, 'c');
    const codes = await subscribe(wire, version, [
      ['a', 0],
      ['b/#/c', 0],
      ['c', 1],
      ['$JS/x', 2],
      ['d', 2],
      ['a', 1],
      ['e', 0],
      ['f', 0],
    ]);
    assert.equal(codes.length, 8);
    const [a, invalid, c, system, d, again, e, quota] = codes;
    const refusals = version === 5 ? [0x8f, 0x87, 0x97] : [FAILURE, FAILURE, FAILURE];
    assert.deepEqual([invalid, system, quota], refusals);
    for (const [code, asked] of [
      [a, 0],
      [c, 1],
      [d, 2],
      [again, 1],
      [e, 0],
    ] as const) {
      assert.ok(code !== undefined && code <= asked, `granted ${code} of ${asked}`);
    }
    for (const topic of ['a', 'c', 'd', 'e', 'f']) edge.publish(topic, 'x');
    const topics = (await untilQuiet(wire)).map((bytes) => String.fromCharCode(bytes[4] ?? 0));
    assert.deepEqual(topics.sort(), ['a', 'c', 'd', 'e']);
  },
);

conform(
  'unsubscribing compares character by character',
  { 4: ['3.10.4-1', '3.10.4-2'], 5: ['3.10.4-1', '3.10.4-2'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'c');
    await subscribe(wire, version, [
      ['u/+', 0],
      ['U/#', 0],
    ]);
    for (const near of ['u/#', 'u/a', 'U/+', 'u/+/', '/u/+', '#', '+/+']) await unsubscribe(wire, version, near);
    edge.publish('u.a', 'still');
    await wire.expect(publishPacket({ version, topic: 'u/a', payload: 'still' }));
    const codes = await unsubscribe(wire, version, 'u/+');
    assert.deepEqual(codes, version === 5 ? [0] : []);
    edge.publish('u.a', 'no more');
    edge.publish('U.a', 'the other');
    await wire.expect(publishPacket({ version, topic: 'U/a', payload: 'the other' }));
    await wire.expectQuiet();
  },
);

conform(
  'unsubscribing from several, and from nothing',
  { 4: ['3.10.4-5', '3.10.4-6'], 5: ['3.10.4-5', '3.10.4-6', '3.11.3-1', '3.11.3-2'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'c');
    assert.deepEqual(await unsubscribe(wire, version, 'never'), version === 5 ? [0x11] : []);
    await subscribe(wire, version, [
      ['a', 0],
      ['b', 0],
      ['c', 0],
    ]);
    const codes = await unsubscribe(wire, version, 'a', 'x', 'c', 'a');
    assert.deepEqual(codes, version === 5 ? [0, 0x11, 0, 0x11] : []);
    for (const topic of ['a', 'b', 'c']) edge.publish(topic);
    await wire.expect(publishPacket({ version, topic: 'b' }));
    await wire.expectQuiet();
  },
);

conform('overlapping subscriptions', { 4: ['3.3.5-1'], 5: ['3.3.4-2', '3.3.4-3', '3.3.4-5'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c');
  const identifier = (value: number) => (version === 5 ? [property.subscriptionIdentifier, varint(value)] : []);
  await subscribe(wire, version, [['o/#', 0]], ...identifier(10));
  await subscribe(wire, version, [['o/+', 0]], ...identifier(300));
  await subscribe(wire, version, [['o/1', 0]]);
  edge.publish('o.1', 'x');
  // A copy for each, with the identifier of its subscription where it has one.
  await wire.expectInAnyOrder(
    publishPacket({ version, topic: 'o/1', properties: identifier(10) }),
    publishPacket({ version, topic: 'o/1', properties: identifier(300) }),
    publishPacket({ version, topic: 'o/1' }),
  );
  await wire.expectQuiet();
});
