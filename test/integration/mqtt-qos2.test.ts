import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  connectPacket,
  hex,
  packet,
  property,
  pubackPacket,
  publishPacket,
  subackPacket,
  subscribePacket,
  u16,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

const QOS_2 = 0x04;
const DUP = 0x08;

const pubrec = (id: number) => packet(0x50, u16(id));
const pubrel = (id: number) => packet(0x62, u16(id));
const pubcomp = (id: number) => packet(0x70, u16(id));

for (const version of [4, 5] as const) {
  test(`version ${version}: a QoS 2 message that is sent again before its PUBREL is one [MQTT-4.3.3-10]`, async (t) => {
    const edge = await startEdge(t);
    const heard = edge.listen('a');
    const wire = await edge.connect(version, 'sender');
    const again = publishPacket({ version, topic: 'a', id: 7, flags: QOS_2 | DUP });
    wire.send(publishPacket({ version, topic: 'a', id: 7, flags: QOS_2 }));
    await wire.expect(pubrec(7));
    wire.send(again, again);
    await wire.expect(pubrec(7), pubrec(7));
    wire.send(pubrel(7));
    await wire.expect(pubcomp(7));
    assert.equal(heard.length, 1);
    wire.send(publishPacket({ version, topic: 'a', id: 7, flags: QOS_2 }), pubrel(7));
    await wire.expect(pubrec(7), pubcomp(7));
    assert.equal(heard.length, 2, 'behind the PUBCOMP the identifier stands for another message');
  });

  test(`version ${version}: PUBACK and PUBREC wait for the commit and keep the order [MQTT-4.6.0-3]`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'sender');
    wire.send(
      publishPacket({ version, topic: 'lane/x', id: 1, flags: QOS_2 }),
      publishPacket({ version, topic: 'live', id: 2, flags: QOS_2 }),
      publishPacket({ version, topic: 'lane/x', id: 3 }),
    );
    await edge.journal.holds(2);
    await wire.expectQuiet();
    edge.journal.release();
    await wire.expect(pubrec(1), pubrec(2), pubackPacket(3));
  });

  test(`version ${version}: QoS 2 out: PUBREL follows PUBREC, in order, and PUBCOMP frees the place`, async (t) => {
    const edge = await startEdge(t, { inflightMax: 2 });
    const wire = await edge.connect(version, 'reader');
    wire.send(subscribePacket(version, 1, [['a', 2]]));
    await wire.expect(subackPacket(version, 1, 2));
    const sender = await edge.connect(version, 'sender');
    for (const id of [1, 2, 3]) {
      sender.send(publishPacket({ version, topic: 'a', payload: `${id}`, id, flags: QOS_2 }), pubrel(id));
      await sender.expect(pubrec(id), pubcomp(id));
    }
    const out = (id: number) => publishPacket({ version, topic: 'a', payload: `${id}`, id, flags: QOS_2 });
    await wire.expect(out(1), out(2));
    await wire.expectQuiet();
    wire.send(pubrec(1), pubrec(2));
    await wire.expect(pubrel(1), pubrel(2)); // [MQTT-4.6.0-4]
    await wire.expectQuiet();
    wire.send(pubcomp(1));
    await wire.expect(out(3));
    // A PUBREC that comes again gets its PUBREL again.
    wire.send(pubrec(2));
    await wire.expect(pubrel(2));
  });

  test(`version ${version}: what a subscriber does not take is bounded, and what is dropped is counted`, async (t) => {
    const edge = await startEdge(t, { inflightMax: 1, sessionQueueMax: 3 });
    const wire = await edge.connect(version, 'reader');
    wire.send(subscribePacket(version, 1, [['a', 1]]));
    await wire.expect(subackPacket(version, 1, 1));
    for (const payload of ['1', '2', '3', '4', '5']) edge.publish('a', payload);
    assert.equal(edge.counter('deliveriesQueueFull'), 2);
    for (const id of [1, 2, 3]) {
      await wire.expect(publishPacket({ version, topic: 'a', payload: `${id}`, id }));
      await wire.expectQuiet();
      wire.send(pubackPacket(id));
    }
    await wire.expectQuiet();
  });
}

test('version 5: more than the Receive Maximum is 0x93, and a PUBCOMP counts, not a PUBREC [MQTT-3.3.4-7]', async (t) => {
  const edge = await startEdge(t, { inflightMax: 2 });
  const publish = (id: number, flags = QOS_2) => publishPacket({ version: 5, topic: 'a', id, flags });
  const wire = await edge.connect(5, 'sender');
  wire.send(publish(1), publish(2), publish(1, QOS_2 | DUP));
  await wire.expect(pubrec(1), pubrec(2), pubrec(1));
  wire.send(pubrel(1));
  await wire.expect(pubcomp(1));
  wire.send(publish(3));
  await wire.expect(pubrec(3));
  wire.send(publish(4));
  await wire.expectDisconnect(0x93);
});

test('version 5: a PUBREC of 0x80 or more ends the exchange [MQTT-4.3.3-4]', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.open();
  wire.send(connectPacket({ version: 5, clientId: 'reader', properties: [property.receiveMaximum, u16(1)] }));
  assert.equal((await wire.connAck()).reasonCode, 0);
  wire.send(subscribePacket(5, 1, [['a', 2]]));
  await wire.expect(subackPacket(5, 1, 2));
  const sender = await edge.connect(5, 'sender');
  for (const id of [1, 2]) sender.send(publishPacket({ version: 5, topic: 'a', id, flags: QOS_2 }), pubrel(id));
  await sender.expect(pubrec(1), pubcomp(1), pubrec(2), pubcomp(2));
  await wire.expect(publishPacket({ version: 5, topic: 'a', id: 1, flags: QOS_2 }));
  wire.send(packet(0x50, u16(1), 0x97));
  await wire.expect(publishPacket({ version: 5, topic: 'a', id: 2, flags: QOS_2 }));
});

test('a topic that is refused is refused in the PUBREC, and ends the exchange', async (t) => {
  const edge = await startEdge(t, { inflightMax: 1 });
  const wire = await edge.connect(5, 'sender');
  for (const id of [1, 2]) {
    wire.send(publishPacket({ version: 5, topic: '$SYS/x', id, flags: QOS_2 }));
    const answer = await wire.next('PUBREC');
    assert.equal(hex(answer.subarray(0, 1)), '50');
    assert.equal(answer[4], 0x87);
  }
  assert.equal(edge.status.clients[0]?.inflight, 0);
});

test('a shared subscription gives QoS 1 to members that are ready, and what one left to another [MQTT-4.8.2-6]', async (t) => {
  const edge = await startEdge(t, { inflightMax: 1 });
  const members = await Promise.all(['a', 'b'].map((name) => edge.connect(5, name)));
  for (const wire of members) {
    wire.send(subscribePacket(5, 1, [['$share/g/s', 1]]));
    await wire.expect(subackPacket(5, 1, 1));
  }
  const [slow, quick] = members as [(typeof members)[0], (typeof members)[0]];
  edge.publish('s', '1');
  edge.publish('s', '2');
  await waitFor('one each', () => slow.waiting === 1 && quick.waiting === 1);
  const unacknowledged = (await slow.next('a message')).subarray(-1).toString();
  await quick.next('a message');
  quick.send(pubackPacket(1));
  await quick.expectQuiet();
  // The slow one has not acknowledged: the other one gets them all.
  for (const [i, payload] of ['3', '4', '5'].entries()) {
    edge.publish('s', payload);
    await quick.expect(publishPacket({ version: 5, topic: 's', payload, id: i + 2 }));
    quick.send(pubackPacket(i + 2));
    await quick.expectQuiet();
  }
  slow.reset();
  await quick.expect(publishPacket({ version: 5, topic: 's', payload: unacknowledged, id: 5 }));
});
