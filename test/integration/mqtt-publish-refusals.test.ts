import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  binary,
  hex,
  packet,
  properties,
  property,
  pubackPacket,
  publishPacket,
  raw,
  readProperties,
  subackPacket,
  subscribePacket,
  u16,
  u32,
} from '../support/mqtt-packets.ts';
import type { Wire } from '../support/mqtt-wire.ts';

const none = properties();
const badUtf8 = binary(Buffer.of(0x61, 0xff, 0x62));
const surrogate = binary(Buffer.of(0xed, 0xa0, 0x80));

/** What no version may send. The 3.1.1 packet, the version 5 packet, the reason code of its DISCONNECT. */
const broken: Record<string, [three: Buffer, five: Buffer, reasonCode: number]> = {
  'topic with # [MQTT-3.3.2-2]': [packet(0x30, 'a/#'), packet(0x30, 'a/#', none), 0x90],
  'topic with + [MQTT-3.3.2-2]': [packet(0x30, '+/a'), packet(0x30, '+/a', none), 0x90],
  'topic with # inside a level': [packet(0x30, 'a#b'), packet(0x30, 'a#b', none), 0x90],
  'topic with U+0000 [MQTT-4.7.3-2]': [packet(0x30, 'a\0b'), packet(0x30, 'a\0b', none), 0x81],
  'topic in bad UTF-8 [MQTT-1.5.4-1]': [packet(0x30, badUtf8), packet(0x30, badUtf8, none), 0x81],
  'topic with a surrogate [MQTT-1.5.4-1]': [packet(0x30, surrogate), packet(0x30, surrogate, none), 0x81],
  'empty topic without alias [MQTT-4.7.3-1]': [packet(0x30, ''), packet(0x30, '', none), 0x82],
  'topic longer than the packet': [packet(0x30, u16(9), 0x61), packet(0x30, u16(9), 0x61), 0x81],
  'QoS 3 [MQTT-3.3.1-4]': [packet(0x36, 'a', u16(1)), packet(0x36, 'a', u16(1), none), 0x81],
  'DUP with QoS 0 [MQTT-3.3.1-2]': [packet(0x38, 'a'), packet(0x38, 'a', none), 0x81],
  'packet identifier 0 [MQTT-2.2.1-3]': [packet(0x32, 'a', u16(0)), packet(0x32, 'a', u16(0), none), 0x82],
  'no packet identifier': [packet(0x32, 'a'), packet(0x32, 'a'), 0x81],
};

test('a malformed PUBLISH ends its connection and reaches nobody', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  for (const [what, [three, five, reasonCode]] of Object.entries(broken)) {
    await t.test(what, async () => {
      const old = await edge.connect(4, 'three');
      old.send(three);
      await old.expectClosed();
      const wire = await edge.connect(5, 'five');
      wire.send(five);
      await wire.expectDisconnect(reasonCode);
    });
  }
  assert.deepEqual(heard, []);
  await edge.expectServing();
});

/** Property fields of a version 5 PUBLISH. */
const brokenProperties: Record<string, [fields: Buffer, ...reasonCodes: number[]]> = {
  'unknown property': [properties(0x7d, 0), 0x81],
  'property of another packet': [properties(property.sessionExpiry, u32(1)), 0x81],
  'a property twice': [properties(property.messageExpiry, u32(1), property.messageExpiry, u32(1)), 0x82],
  'property that ends too soon': [Buffer.of(2, property.messageExpiry, 0), 0x81],
  'property length beyond the packet': [Buffer.of(0x7f), 0x81],
  'payload format 2': [properties(property.payloadFormat, 2), 0x82],
  'response topic with a wildcard [MQTT-3.3.2-14]': [properties(property.responseTopic, 'a/+'), 0x82],
  'subscription identifier from a client [MQTT-3.3.4-6]': [properties(property.subscriptionIdentifier, 1), 0x81, 0x82],
  'user property in bad UTF-8': [properties(property.userProperty, 'k', badUtf8), 0x81],
};

test('a version 5 PUBLISH with wrong properties ends its connection', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  for (const [what, [fields, ...reasonCodes]] of Object.entries(brokenProperties)) {
    await t.test(what, async () => {
      const wire = await edge.connect(5, 'five');
      wire.send(packet(0x30, 'a/b', fields, raw('x')));
      await wire.expectDisconnect(reasonCodes);
    });
  }
  assert.deepEqual(heard, []);
  await edge.expectServing();
});

test('what the CONNACK declined is refused by its own reason code', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  const retaining = await edge.connect(5, 'retaining');
  retaining.send(publishPacket({ version: 5, topic: 'a', flags: 0x01 }));
  await retaining.expectDisconnect(0x9a); // [MQTT-3.2.2-14]
  assert.deepEqual(heard, []);
  await edge.expectServing();
});

async function refusal(wire: Wire, id: number): Promise<{ reasonCode: number; reason: string }> {
  const answer = await wire.next('a PUBACK');
  assert.equal(answer[0], 0x40, hex(answer));
  assert.equal(answer.readUInt16BE(2), id);
  const { entries } = answer.length > 5 ? readProperties(answer, 5) : { entries: [] };
  return { reasonCode: answer[4] ?? 0, reason: String(new Map(entries).get(property.reasonString) ?? '') };
}

const system = ['$SYS/broker/load', '$JS/API/STREAM/DELETE/x', '$share/g/a', '$'];

test('a publisher cannot reach the topics that begin with $', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  const wire = await edge.connect(5, 'five');
  for (const [i, topic] of system.entries()) {
    wire.send(publishPacket({ version: 5, topic, id: i + 1 }));
    const { reasonCode, reason } = await refusal(wire, i + 1);
    assert.equal(reasonCode, 0x87);
    assert.match(reason, /\$/);
    wire.send(publishPacket({ version: 5, topic }));
    await wire.expectQuiet();
  }
  assert.deepEqual(heard, []);
  await edge.expectServing();
});

test('a topic with more levels than the bound is refused', async (t) => {
  const edge = await startEdge(t, { topicLevelsMax: 3 });
  const heard = edge.listen('a.>');
  const wire = await edge.connect(5, 'five');
  wire.send(publishPacket({ version: 5, topic: 'a/b/c', id: 1 }));
  await wire.expect(pubackPacket(1));
  wire.send(publishPacket({ version: 5, topic: 'a/b/c/d', id: 2 }));
  const { reasonCode, reason } = await refusal(wire, 2);
  assert.equal(reasonCode, 0x90);
  assert.match(reason, /3/);
  wire.send(publishPacket({ version: 5, topic: '////' }));
  await wire.expectQuiet();
  assert.deepEqual(
    heard.map(({ subject }) => subject),
    ['a.b.c'],
  );
  await edge.expectServing();
});

test('a topic with more bytes than the bound is refused', async (t) => {
  const edge = await startEdge(t, { topicBytesMax: 20 });
  const wire = await edge.connect(5, 'five');
  wire.send(publishPacket({ version: 5, topic: 'a'.repeat(20), id: 1 }));
  await wire.expect(pubackPacket(1));
  wire.send(publishPacket({ version: 5, topic: 'a'.repeat(21), id: 2 }));
  assert.equal((await refusal(wire, 2)).reasonCode, 0x90);
  wire.send(
    subscribePacket(5, 3, [
      ['ä'.repeat(10), 0],
      ['ä'.repeat(11), 0],
    ]),
  );
  await wire.expect(subackPacket(5, 3, 0, 0x8f));
});

test('no reason string for a client that asked for none [MQTT-3.1.2-29]', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'quiet', { properties: [property.requestProblemInformation, 0] });
  wire.send(publishPacket({ version: 5, topic: '$SYS/x', id: 1 }));
  assert.deepEqual(await refusal(wire, 1), { reasonCode: 0x87, reason: '' });
});

test('an acknowledgement of nothing harms nobody: clients send them late, after a reconnect', async (t) => {
  const edge = await startEdge(t);
  for (const version of [4, 5] as const) {
    const wire = await edge.connect(version, `c-${version}`);
    for (const first of [0x40, 0x70]) wire.send(packet(first, u16(9)));
    await wire.expectQuiet();
    wire.send(packet(0x50, u16(9)));
    const answer = await wire.next('PUBREL');
    // Packet identifier not found [MQTT5 3.6.2.1]; 3.1.1 has no words for it.
    const expected = version === 4 ? ['62 02 00 09'] : ['62 03 00 09 92', '62 04 00 09 92 00'];
    assert.ok(expected.includes(hex(answer)), hex(answer));
    await wire.expectQuiet();
  }
  await edge.expectServing();
});

test('a PUBREL of an exchange that nobody knows here is answered, so that the client can forget it', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'five');
  wire.send(packet(0x62, u16(9)));
  const answer = await wire.next('PUBCOMP');
  // Packet identifier not found [MQTT5 3.7.2.1]; the property length may be left out.
  assert.ok(['70 03 00 09 92', '70 04 00 09 92 00'].includes(hex(answer)), hex(answer));
  const old = await edge.connect(4, 'three');
  old.send(packet(0x62, u16(9)));
  await old.expect(packet(0x70, u16(9)));
  await old.expectQuiet();
});
