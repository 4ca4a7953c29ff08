import assert from 'node:assert/strict';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  binary,
  connectPacket,
  type Field,
  PINGREQ,
  PINGRESP,
  packet,
  properties,
  property,
  pubackPacket,
  publishPacket,
  subackPacket,
  subscribePacket,
  u16,
  unsubscribePacket,
  type Version,
} from '../support/mqtt-packets.ts';
import { conform, expectEnds, expectRefused, subscribe } from './conform.ts';

/* Data representation, fixed header, packet identifiers, and what holds for every packet (chapters 1, 2 and 4). */

/** The property block where the version has one. */
function none(version: Version): Field[] {
  return version === 5 ? [properties()] : [];
}

function connectOf(version: Version, flags: number, ...payload: Field[]): Buffer {
  return packet(0x10, 'MQTT', version, flags, u16(0), ...none(version), ...payload);
}

/** Packets of a connected client with this text in each place that takes text. */
function packetsWith(text: Field, version: Version): Record<string, Buffer> {
  const common = {
    'topic name': packet(0x30, text, ...none(version)),
    'topic filter of a SUBSCRIBE': packet(0x82, u16(1), ...none(version), text, 0),
    'second topic filter': packet(0x82, u16(1), ...none(version), 'good', 0, text, 0),
    'topic filter of an UNSUBSCRIBE': packet(0xa2, u16(1), ...none(version), text),
  };
  if (version === 4) return common;
  const publish = (...fields: Field[]) => packet(0x30, 'a', properties(...fields));
  return {
    ...common,
    'name of a user property': publish(property.userProperty, text, 'value'),
    'value of a user property': publish(property.userProperty, 'name', text),
    'response topic': publish(property.responseTopic, text),
    'content type': publish(property.contentType, text),
    'reason string of a DISCONNECT': packet(0xe0, 0x04, properties(property.reasonString, text)),
  };
}

function connectsWith(text: Field, version: Version): Record<string, Buffer> {
  const will = version === 5 ? [properties()] : [];
  return {
    'client identifier': connectOf(version, 0x02, text),
    'will topic': connectOf(version, 0x06, 'c', ...will, text, 'gone'),
    'user name': connectOf(version, 0x82, 'c', text),
  };
}

const badTexts: Readonly<Record<string, Buffer>> = {
  'a lead byte without its rest': Buffer.of(0x61, 0xc3, 0x28),
  'a surrogate': Buffer.of(0xed, 0xa0, 0x80),
  'an overlong form': Buffer.of(0xc0, 0xaf),
  'beyond U+10FFFF': Buffer.of(0xf4, 0x90, 0x80, 0x80),
};

conform(
  'text that is not UTF-8',
  {
    4: ['1.5.3-1', '3.1.3-4', '3.1.3-10', '3.1.3-11', '3.3.2-1', '3.8.3-1', '3.10.3-1'],
    5: [
      ...['1.5.4-1', '1.5.7-1', '3.1.3-4', '3.1.3-11', '3.1.3-12', '3.3.2-1', '3.3.2-13', '3.3.2-19'],
      ...['3.8.3-1', '3.10.3-1'],
    ],
  },
  async (t, version) => {
    const edge = await startEdge(t);
    const heard = edge.listen('>');
    for (const text of Object.values(badTexts)) {
      await expectEnds(edge, version, 0x81, packetsWith(binary(text), version));
      await expectRefused(edge, version, { 5: 0x81 }, connectsWith(binary(text), version));
    }
    assert.deepEqual([...new Set(heard.map(({ subject }) => subject))], ['good']);
  },
);

conform('U+0000 in text', { 4: ['1.5.3-2', '4.7.3-2'], 5: ['1.5.4-2', '4.7.3-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectEnds(edge, version, 0x81, packetsWith('a\0b', version));
  await expectRefused(edge, version, { 5: 0x81 }, connectsWith('a\0b', version));
});

conform('U+FEFF stays where it is', { 4: ['1.5.3-3'], 5: ['1.5.4-3'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c1');
  const topic = '\uFEFFroom/\uFEFF/temp\uFEFF';
  await subscribe(wire, version, [['#', 0]]);
  const sent = publishPacket({ version, topic, payload: '\uFEFF' });
  wire.send(sent);
  await wire.expect(sent);
});

conform('a number in more bytes than it needs', { 5: ['1.5.5-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectEnds(edge, version, 0x81, {
    'property length': packet(0x30, 'a', Buffer.of(0x80, 0x00)),
    'subscription identifier': packet(0x82, u16(1), properties(0x0b, Buffer.of(0x81, 0x00)), 'a', 0),
    'remaining length': Buffer.of(0xc0, 0x80, 0x00),
    'longer remaining length': Buffer.of(0x82, 0x86, 0x80, 0x00, 0, 1, 0, 0, 1, 0x61, 0),
  });
});

conform(
  'flags of the fixed header',
  {
    4: ['2.2.2-1', '2.2.2-2', '3.6.1-1', '3.8.1-1', '3.10.1-1', '3.14.1-1'],
    5: ['2.1.3-1', '3.6.1-1', '3.8.1-1', '3.10.1-1', '3.14.1-1', '3.15.1-1'],
  },
  async (t, version) => {
    const edge = await startEdge(t);
    const required: Readonly<Record<number, number>> = { 4: 0, 5: 0, 6: 2, 7: 0, 8: 2, 10: 2, 12: 0, 14: 0, 15: 0 };
    const packets: Record<string, Buffer> = {};
    for (const [type, flags] of Object.entries(required)) {
      for (let wrong = 0; wrong < 16; wrong++) {
        if (wrong === flags) continue;
        packets[`type ${type} flags ${wrong}`] = packet((Number(type) << 4) | wrong, u16(1), ...none(version), 'a', 0);
      }
    }
    await expectEnds(edge, version, 0x81, packets);
    const connects = Array.from({ length: 15 }, (_, i) => [
      `CONNECT flags ${i + 1}`,
      connectPacket({ version }),
      i + 1,
    ]);
    for (const [what, bytes, flags] of connects as [string, Buffer, number][]) {
      bytes[0] = 0x10 | flags;
      const wire = await edge.open(what);
      wire.send(bytes);
      await wire.expectClosed();
    }
  },
);

conform('packet identifier 0', { 4: ['2.3.1-1'], 5: ['2.2.1-3'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('zero');
  await expectEnds(edge, version, [0x81, 0x82], {
    PUBLISH: publishPacket({ version, topic: 'zero', id: 0 }),
    SUBSCRIBE: subscribePacket(version, 0, [['a', 0]]),
    UNSUBSCRIBE: unsubscribePacket(version, 0, 'a'),
  });
  assert.deepEqual(heard, []);
});

conform('QoS 0 has no packet identifier', { 4: ['2.3.1-5'], 5: ['2.2.1-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c1');
  await subscribe(wire, version, [['t', 0]]);
  wire.send(publishPacket({ version, topic: 't', id: 300, payload: 'p' }));
  // Byte for byte: behind the topic name comes the payload, in 5.0 after the property length.
  await wire.expectInAnyOrder(publishPacket({ version, topic: 't', payload: 'p' }), pubackPacket(300));
});

conform(
  'an answer carries the identifier of its packet',
  {
    4: ['2.3.1-6', '2.3.1-7', '3.3.4-1', '3.8.4-1', '3.8.4-2', '3.10.4-4', '4.3.2-2'],
    5: ['2.2.1-5', '2.2.1-6', '3.3.4-1', '3.8.4-1', '3.8.4-2', '3.10.4-4', '3.10.4-5', '4.3.2-4'],
  },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'c1');
    for (const id of [1, 255, 256, 32_768, 65_535]) {
      wire.send(publishPacket({ version, topic: 'nobody', id }));
      await wire.expect(pubackPacket(id));
      wire.send(subscribePacket(version, id, [['a/b', 0]]));
      await wire.expect(subackPacket(version, id, 0));
      wire.send(unsubscribePacket(version, id, 'a/b'));
      await wire.expect(packet(0xb0, u16(id), ...(version === 5 ? [0, 0] : [])));
    }
    wire.send(publishPacket({ version, topic: 'nobody' }));
    await wire.expectQuiet();
  },
);

conform('no properties are a length of zero', { 5: ['2.2.2-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c1');
  wire.send(subscribePacket(version, 7, [['a', 0]]), publishPacket({ version, topic: 'a', payload: 'p' }));
  await wire.expect(packet(0x90, u16(7), 0, 0), packet(0x30, 'a', 0, Buffer.from('p')));
  wire.send(unsubscribePacket(version, 8, 'a'));
  await wire.expect(packet(0xb0, u16(8), 0, 0));
  await expectEnds(edge, version, [0x81, 0x82], {
    'a SUBSCRIBE that ends without one': packet(0x82, u16(1)),
    'a PUBLISH that ends without one': packet(0x30, 'a'),
    'an UNSUBSCRIBE that ends without one': packet(0xa2, u16(1)),
  });
});

conform('the first packet is a CONNECT', { 4: ['3.1.0-1'], 5: ['3.1.0-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('early');
  const early = [
    publishPacket({ version, topic: 'early' }),
    pubackPacket(1),
    subscribePacket(version, 1, [['a', 0]]),
    unsubscribePacket(version, 1, 'a'),
    PINGREQ,
    packet(0xe0),
    packet(0xf0),
    packet(0x20, 0, 0),
    packet(0x62, u16(1)),
  ];
  for (const bytes of early) {
    const wire = await edge.open();
    // A CONNECT behind it does not mend it.
    wire.send(bytes, connectPacket({ version }));
    await wire.expectClosed();
  }
  assert.deepEqual(heard, []);
  await edge.expectServing();
});

conform('a second CONNECT', { 4: ['3.1.0-2'], 5: ['3.1.0-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectEnds(edge, version, 0x82, {
    same: connectPacket({ version, clientId: 'same' }),
    other: connectPacket({ version, clientId: 'another' }),
  });
});

conform('PINGREQ is answered', { 4: ['3.12.4-1'], 5: ['3.12.4-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c1');
  wire.send(PINGREQ, PINGREQ, PINGREQ);
  await wire.expect(PINGRESP, PINGRESP, PINGRESP);
});

conform('a violation ends its connection', { 4: ['4.8.0-1'], 5: ['4.13.1-1', '4.13.2-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const bystander = await edge.connect(version, 'bystander');
  const packets = {
    'packet type 0': packet(0x00),
    'a CONNACK': packet(0x20, 0, 0),
    'a SUBACK': subackPacket(version, 1, 0),
    'an UNSUBACK': packet(0xb0, u16(1), ...none(version), 0),
    'a PINGRESP': PINGRESP,
    'a PINGREQ with a body': packet(0xc0, 0),
    'a PUBACK that is too short': packet(0x40, 0),
    'a PUBLISH cut short': packet(0x30, u16(9), 'a'),
    'a SUBSCRIBE cut short': packet(0x82, u16(1), ...none(version), u16(9), 0x61),
  };
  await expectEnds(edge, version, [0x81, 0x82], packets);
  await bystander.expectQuiet();
});
