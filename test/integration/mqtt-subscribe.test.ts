import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  binary,
  type Field,
  hex,
  packet,
  properties,
  property,
  publishPacket,
  subackPacket,
  subscribePacket,
  u16,
  unsubscribePacket,
} from '../support/mqtt-packets.ts';

for (const version of [4, 5] as const) {
  test(`version ${version}: every QoS asked for is granted, in the order of the filters`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    wire.send(
      subscribePacket(version, 0xfffe, [
        ['a', 0],
        ['b/+', 1],
        ['c/#', 2],
        ['#', 0],
        ['+', 1],
      ]),
    );
    await wire.expect(subackPacket(version, 0xfffe, 0, 1, 2, 0, 1));
    assert.equal(edge.status.clients[0]?.subscriptions, 5);
  });

  test(`version ${version}: wildcards match as MQTT has it [MQTT-4.7.1]`, async (t) => {
    const edge = await startEdge(t);
    const matching: Record<string, [yes: string[], no: string[]]> = {
      'sport/#': [
        ['sport', 'sport/tennis', 'sport/a/b'],
        ['sports', 'a/sport'],
      ],
      'sport/+': [
        ['sport/a', 'sport/'],
        ['sport', 'sport/a/b'],
      ],
      '+/+': [
        ['/finance', 'a/b'],
        ['a', 'a/b/c'],
      ],
      '/+': [['/finance'], ['finance', 'a/finance']],
      '+/b/#': [
        ['a/b', 'a/b/c', '/b'],
        ['b', 'a/c'],
      ],
      'a.b': [['a.b'], ['a/b']],
    };
    for (const [filter, [yes, no]] of Object.entries(matching)) {
      const wire = await edge.connect(version, 'reader');
      wire.send(subscribePacket(version, 1, [[filter, 0]]));
      await wire.expect(subackPacket(version, 1, 0));
      const sender = await edge.connect(version, 'sender');
      sender.send(...[...no, ...yes].map((topic) => publishPacket({ version, topic })));
      await wire.expect(...yes.map((topic) => publishPacket({ version, topic })));
      await wire.expectQuiet();
    }
  });

  test(`version ${version}: a filter that begins with a wildcard does not see the system’s subjects [MQTT-4.7.2-1]`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    wire.send(
      subscribePacket(version, 1, [
        ['#', 0],
        ['+/x', 0],
        ['+/#', 0],
      ]),
    );
    await wire.expect(subackPacket(version, 1, 0, 0, 0));
    for (const subject of ['$SYS.x', '$JS.x', '_INBOX.x']) assert.equal(edge.publish(subject), 0);
    await wire.expectQuiet();
    wire.send(subscribePacket(version, 2, [['_INBOX/#', 0]]));
    await wire.expect(subackPacket(version, 2, 0));
    edge.publish('_INBOX.x');
    await wire.expect(publishPacket({ version, topic: '_INBOX/x' }));
    await wire.expectQuiet();
  });

  test(`version ${version}: filters that begin with $ are refused: their interest would go to the hub’s services`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    const refused = version === 5 ? 0x87 : 0x80;
    for (const [i, filter] of ['$SYS', '$SYSTEM/#', '$JS/API/+', '$share/g/$JS/API/#', '$'].entries()) {
      wire.send(subscribePacket(version, i + 1, [[filter, 0]]));
      assert.equal(hex(await wire.next('SUBACK')), hex(subackPacket(version, i + 1, refused)), filter);
    }
    assert.equal(edge.router.subscriptions, 0);
  });

  test(`version ${version}: each of several overlapping filters delivers, and one of them only once`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    wire.send(
      subscribePacket(version, 1, [
        ['a/b', 0],
        ['a/#', 0],
      ]),
    );
    await wire.expect(subackPacket(version, 1, 0, 0));
    edge.publish('a.b');
    edge.publish('a');
    const delivery = publishPacket({ version, topic: 'a/b' });
    await wire.expect(delivery, delivery, publishPacket({ version, topic: 'a' }));
    await wire.expectQuiet();
  });

  test(`version ${version}: the same filter again replaces the subscription [MQTT-3.8.4-3]`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    for (let id = 1; id <= 3; id++) {
      wire.send(
        subscribePacket(version, id, [
          ['a/#', 0],
          ['a/#', 1],
        ]),
      );
      await wire.expect(subackPacket(version, id, 0, 1));
    }
    edge.publish('a.b');
    await wire.expect(publishPacket({ version, topic: 'a/b', id: 1 }));
    await wire.expectQuiet();
    assert.equal(edge.status.clients[0]?.subscriptions, 1);
  });

  test(`version ${version}: UNSUBSCRIBE ends the subscription whose filter is the same text [MQTT-3.10.4-1]`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    wire.send(
      subscribePacket(version, 1, [
        ['a/#', 0],
        ['a/b', 0],
      ]),
    );
    await wire.expect(subackPacket(version, 1, 0, 0));
    wire.send(unsubscribePacket(version, 2, 'a/+', 'a/#'));
    // 0x11: no subscription existed.
    await wire.expect(version === 5 ? packet(0xb0, u16(2), properties(), 0x11, 0) : packet(0xb0, u16(2)));
    edge.publish('a.b');
    edge.publish('a.c');
    await wire.expect(publishPacket({ version, topic: 'a/b' }));
    await wire.expectQuiet();
    assert.equal(edge.router.subscriptions, 1);
  });

  test(`version ${version}: a client’s subscriptions end with its connection`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    wire.send(
      subscribePacket(version, 1, [
        ['a/#', 0],
        ['b', 0],
      ]),
    );
    await wire.expect(subackPacket(version, 1, 0, 0));
    wire.reset();
    const next = await edge.connect(version, 'reader');
    await next.expectQuiet();
    assert.equal(edge.router.subscriptions, 0);
  });

  test(`version ${version}: more filters than the bound are refused one by one`, async (t) => {
    const edge = await startEdge(t, { subscriptionsMax: 2, topicLevelsMax: 3 });
    const quota = version === 5 ? 0x97 : 0x80;
    const wire = await edge.connect(version, 'reader');
    wire.send(
      subscribePacket(version, 1, [
        ['a', 0],
        ['b', 0],
        ['c', 0],
      ]),
    );
    await wire.expect(subackPacket(version, 1, 0, 0, quota));
    // Replacing one takes no further place.
    wire.send(
      subscribePacket(version, 2, [
        ['b', 0],
        ['d', 0],
      ]),
    );
    await wire.expect(subackPacket(version, 2, 0, quota));
    wire.send(unsubscribePacket(version, 3, 'a'));
    await wire.next('UNSUBACK');
    wire.send(subscribePacket(version, 4, [['d', 0]]));
    await wire.expect(subackPacket(version, 4, 0));
    edge.publish('c');
    edge.publish('d');
    await wire.expect(publishPacket({ version, topic: 'd' }));
    await wire.expectQuiet();
  });

  test(`version ${version}: a filter that is not one is refused alone, the others are granted`, async (t) => {
    const edge = await startEdge(t, { topicLevelsMax: 3 });
    const invalid = version === 5 ? 0x8f : 0x80;
    const wire = await edge.connect(version, 'reader');
    const bad = ['a/#/b', 'a#', 'a+', 'a/+b', '#/', '', 'a/b/c/d'];
    for (const [i, filter] of bad.entries()) {
      wire.send(
        subscribePacket(version, i + 1, [
          [filter, 0],
          ['good', 0],
        ]),
      );
      const answer = await wire.next('SUBACK');
      assert.equal(hex(answer), hex(subackPacket(version, i + 1, invalid, 0)), filter);
    }
    await edge.expectServing();
  });
}

const none = properties();

/** The 3.1.1 packet, the version 5 packet, and the reason code of its DISCONNECT. */
const broken: Record<string, [three: Buffer | null, five: Buffer, reasonCode: number]> = {
  'no filter at all [MQTT-3.8.3-2]': [packet(0x82, u16(1)), packet(0x82, u16(1), none), 0x82],
  'flags of the fixed header [MQTT-3.8.1-1]': [packet(0x80, u16(1), 'a', 0), packet(0x80, u16(1), none, 'a', 0), 0x81],
  'packet identifier 0 [MQTT-2.2.1-3]': [packet(0x82, u16(0), 'a', 0), packet(0x82, u16(0), none, 'a', 0), 0x82],
  'QoS 3 [MQTT-3.8.3-5]': [packet(0x82, u16(1), 'a', 3), packet(0x82, u16(1), none, 'a', 3), 0x81],
  'reserved option bits [MQTT-3.8.3-5]': [packet(0x82, u16(1), 'a', 4), packet(0x82, u16(1), none, 'a', 0x40), 0x81],
  'filter without options': [packet(0x82, u16(1), 'a'), packet(0x82, u16(1), none, 'a'), 0x81],
  'filter in bad UTF-8': five('a\xff'),
  'filter with U+0000': [packet(0x82, u16(1), 'a\0', 0), packet(0x82, u16(1), none, 'a\0', 0), 0x81],
  'retain handling 3': [null, packet(0x82, u16(1), none, 'a', 0x30), 0x82],
  'no local on a shared subscription [MQTT-3.8.3-4]': [null, packet(0x82, u16(1), none, '$share/g/a', 0x04), 0x82],
  'subscription identifier 0': [null, subscribeWith(property.subscriptionIdentifier, 0), 0x82],
  'subscription identifier twice': [
    null,
    subscribeWith(property.subscriptionIdentifier, 1, property.subscriptionIdentifier, 2),
    0x82,
  ],
  'property of another packet': [null, subscribeWith(property.topicAlias, u16(1)), 0x81],
  'UNSUBSCRIBE without a filter [MQTT-3.10.3-2]': [packet(0xa2, u16(1)), packet(0xa2, u16(1), none), 0x82],
  'UNSUBSCRIBE with other flags [MQTT-3.10.1-1]': [packet(0xa0, u16(1), 'a'), packet(0xa0, u16(1), none, 'a'), 0x81],
  'PINGREQ with a body': [packet(0xc0, 0), packet(0xc0, 0), 0x81],
};

function subscribeWith(...fields: Field[]): Buffer {
  return packet(0x82, u16(1), properties(...fields), 'a', 0);
}

function five(latin1: string): [Buffer, Buffer, number] {
  const filter = binary(Buffer.from(latin1, 'latin1'));
  return [packet(0x82, u16(1), filter, 0), packet(0x82, u16(1), none, filter, 0), 0x81];
}

test('a malformed SUBSCRIBE, UNSUBSCRIBE or PINGREQ ends its connection', async (t) => {
  const edge = await startEdge(t);
  for (const [what, [three, five, reasonCode]] of Object.entries(broken)) {
    await t.test(what, async () => {
      if (three !== null) {
        const old = await edge.connect(4, 'three');
        old.send(three);
        await old.expectClosed();
      }
      const wire = await edge.connect(5, 'five');
      wire.send(five);
      await wire.expectDisconnect(reasonCode);
    });
  }
  assert.equal(edge.router.subscriptions, 0);
  await edge.expectServing();
});
