import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqtt from 'mqtt';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  packet,
  properties,
  property,
  publishPacket,
  raw,
  subackPacket,
  subscribePacket,
  u16,
  varint,
} from '../support/mqtt-packets.ts';
import { atEnd } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

/** A PUBLISH with a topic alias; '' leaves the topic name out. */
function aliased(topic: string, alias: number, payload: string, ...more: Buffer[]): Buffer {
  return packet(0x30, topic, properties(property.topicAlias, u16(alias), ...more), raw(payload));
}

test('topic aliases go out within the Topic Alias Maximum, set by the first PUBLISH of a topic [MQTT-3.1.2-26]', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'two', { properties: [property.topicAliasMaximum, u16(2)] });
  const identified = await edge.connect(5, 'identified', { properties: [property.topicAliasMaximum, u16(9)] });
  const plain = await edge.connect(5, 'plain');
  const old = await edge.connect(4, 'old');
  for (const [client, version] of [
    [wire, 5],
    [plain, 5],
    [old, 4],
  ] as const) {
    client.send(subscribePacket(version, 1, [['#', 0]]));
    await client.expect(subackPacket(version, 1, 0));
  }
  identified.send(subscribePacket(5, 1, [['#', 0]], property.subscriptionIdentifier, varint(7)));
  await identified.expect(subackPacket(5, 1, 0));
  for (const [i, subject] of ['a.b', 'a.b', 'c', 'd', 'c', 'a.b'].entries()) edge.publish(subject, `${i}`);
  await wire.expect(
    aliased('a/b', 1, '0'),
    aliased('', 1, '1'),
    aliased('c', 2, '2'),
    publishPacket({ version: 5, topic: 'd', payload: '3' }),
    aliased('', 2, '4'),
    aliased('', 1, '5'),
  );
  const id = Buffer.of(property.subscriptionIdentifier, 7);
  await identified.expect(
    aliased('a/b', 1, '0', id),
    aliased('', 1, '1', id),
    aliased('c', 2, '2', id),
    aliased('d', 3, '3', id),
  );
  for (const [client, version] of [
    [plain, 5],
    [old, 4],
  ] as const) {
    await client.expect(
      publishPacket({ version, topic: 'a/b', payload: '0' }),
      publishPacket({ version, topic: 'a/b', payload: '1' }),
    );
  }
});

test('topic aliases at QoS 1', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'one', { properties: [property.topicAliasMaximum, u16(1)] });
  wire.send(subscribePacket(5, 1, [['#', 1]]));
  await wire.expect(subackPacket(5, 1, 1));
  for (const subject of ['a.b', 'a.b', 'c']) edge.publish(subject, 'x');
  const alias = properties(property.topicAlias, u16(1));
  await wire.expect(
    packet(0x32, 'a/b', u16(1), alias, raw('x')),
    packet(0x32, '', u16(2), alias, raw('x')),
    packet(0x32, 'c', u16(3), properties(), raw('x')),
  );
});

test('a PUBLISH that is dropped sets no alias', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'small', {
    properties: [property.topicAliasMaximum, u16(5), property.maximumPacketSize, 0, 0, 0, 40],
  });
  wire.send(subscribePacket(5, 1, [['#', 0]]));
  await wire.expect(subackPacket(5, 1, 0));
  edge.publish('a.b', 'x'.repeat(60));
  edge.publish('a.b', '1');
  edge.publish('a.b', '2');
  await wire.expect(aliased('a/b', 1, '1'), aliased('', 1, '2'));
  assert.equal(edge.counter('deliveriesTooLarge'), 1);
});

test('MQTT.js resolves the aliases that it is sent', async (t) => {
  const edge = await startEdge(t);
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${edge.port}`, {
    protocolVersion: 5,
    properties: { topicAliasMaximum: 3 },
  });
  atEnd(t, () => client.endAsync(true));
  const heard: string[] = [];
  client.on('message', (topic, payload) => void heard.push(`${topic} ${payload}`));
  await client.subscribeAsync('#');
  const sent: string[] = [];
  for (let i = 0; i < 50; i++) {
    edge.publish(`t.${i % 5}`, `${i}`);
    sent.push(`t/${i % 5} ${i}`);
  }
  await waitFor('all', () => heard.length === sent.length);
  assert.deepEqual(heard, sent);
});
