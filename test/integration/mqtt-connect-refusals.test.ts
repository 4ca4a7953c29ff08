import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEdge } from '../support/mqtt-edge.ts';
import { binary, connectPacket, type Field, packet, properties, property, u16, u32 } from '../support/mqtt-packets.ts';

/** A CONNECT from its protocol name on. */
function connectOf(...fields: Field[]): Buffer {
  return packet(0x10, ...fields);
}

const badUtf8 = binary(Buffer.of(0x63, 0xc3, 0x28));
const none = properties();

/** 3.1.1 has a return code for the version alone; all else is a closed connection. [MQTT-3.1.4-1] */
const closed: Record<string, Buffer> = {
  'reserved connect flag [MQTT-3.1.2-3]': connectOf('MQTT', 4, 0x03, u16(0), 'c'),
  'password without user name [MQTT-3.1.2-22]': connectOf('MQTT', 4, 0x42, u16(0), 'c', 'p'),
  'will QoS without will [MQTT-3.1.2-13]': connectOf('MQTT', 4, 0x0a, u16(0), 'c'),
  'will retain without will [MQTT-3.1.2-15]': connectOf('MQTT', 4, 0x22, u16(0), 'c'),
  'will QoS 3 [MQTT-3.1.2-14]': connectOf('MQTT', 4, 0x1e, u16(0), 'c', 'w', 'm'),
  'will topic with a wildcard': connectOf('MQTT', 4, 0x06, u16(0), 'c', 'w/#', 'm'),
  'client identifier in bad UTF-8 [MQTT-1.5.3-1]': connectOf('MQTT', 4, 0x02, u16(0), badUtf8),
  'client identifier with U+0000 [MQTT-1.5.3-2]': connectOf('MQTT', 4, 0x02, u16(0), 'c\0d'),
  'user name in bad UTF-8': connectOf('MQTT', 4, 0x82, u16(0), 'c', badUtf8),
  'payload that ends too soon': connectOf('MQTT', 4, 0xc2, u16(0), 'c', 'u'),
  'string longer than the packet': connectOf('MQTT', 4, 0x02, u16(0), u16(9), 0x63),
  'bytes behind the payload': connectOf('MQTT', 4, 0x02, u16(0), 'c', 0x00),
  'no payload at all': connectOf('MQTT', 4, 0x02, u16(0)),
  'nothing at all': connectOf(),
  'flags in the fixed header [MQTT-2.2.2-2]': packet(0x11, 'MQTT', 4, 0x02, u16(0), 'c'),
};

test('a malformed 3.1.1 CONNECT is closed without an answer', async (t) => {
  const edge = await startEdge(t);
  for (const [what, bytes] of Object.entries(closed)) {
    await t.test(what, async () => {
      const wire = await edge.open(what);
      wire.send(bytes);
      await wire.expectClosed();
    });
  }
  assert.deepEqual(edge.status.clients, []);
  await edge.expectServing();
});

/** Each with the reason code of its CONNACK. [MQTT5 4.13] */
const refused: Record<string, [reasonCode: number, bytes: Buffer]> = {
  'reserved connect flag': [0x81, connectOf('MQTT', 5, 0x03, u16(0), none, 'c')],
  'will QoS 3': [0x81, connectOf('MQTT', 5, 0x1e, u16(0), none, 'c', none, 'w', 'm')],
  'will QoS without will': [0x81, connectOf('MQTT', 5, 0x0a, u16(0), none, 'c')],
  'will retain, not available': [0x9a, connectOf('MQTT', 5, 0x26, u16(0), none, 'c', none, 'w', 'm')],
  'will topic with a wildcard': [0x90, connectOf('MQTT', 5, 0x06, u16(0), none, 'c', none, 'w/+', 'm')],
  'client identifier in bad UTF-8': [0x81, connectOf('MQTT', 5, 0x02, u16(0), none, badUtf8)],
  'property length beyond the packet': [0x81, connectOf('MQTT', 5, 0x02, u16(0), 0x7f, 'c')],
  'unknown property': [0x81, connectOf('MQTT', 5, 0x02, u16(0), properties(0x7e, 1), 'c')],
  'property of another packet': [
    0x81,
    connectOf('MQTT', 5, 0x02, u16(0), properties(property.topicAlias, u16(1)), 'c'),
  ],
  'receive maximum 0': [0x82, connectPacket({ version: 5, properties: [property.receiveMaximum, u16(0)] })],
  'maximum packet size 0': [0x82, connectPacket({ version: 5, properties: [property.maximumPacketSize, u32(0)] })],
  'request problem information 2': [
    0x82,
    connectPacket({ version: 5, properties: [property.requestProblemInformation, 2] }),
  ],
  'a property twice': [
    0x82,
    connectPacket({ version: 5, properties: [property.sessionExpiry, u32(0), property.sessionExpiry, u32(0)] }),
  ],
  'authentication data without a method': [
    0x82,
    connectPacket({ version: 5, properties: [property.authenticationData, 'x'] }),
  ],
  'an authentication method': [
    0x8c,
    connectPacket({ version: 5, properties: [property.authenticationMethod, 'SCRAM-SHA-1'] }),
  ],
};

test('a version 5 CONNECT that cannot be accepted is told why', async (t) => {
  const edge = await startEdge(t);
  for (const [what, [reasonCode, bytes]] of Object.entries(refused)) {
    await t.test(what, async () => {
      const wire = await edge.open(what);
      wire.send(bytes);
      const answer = await wire.connAck();
      assert.equal(answer.reasonCode.toString(16), reasonCode.toString(16));
      assert.equal(answer.sessionPresent, false); // [MQTT-3.2.2-6]
      await wire.expectClosed();
    });
  }
  assert.deepEqual(edge.status.clients, []);
  await edge.expectServing();
});

test('a protocol version that is neither 3.1.1 nor 5.0 is told so [MQTT-3.1.2-2]', async (t) => {
  const edge = await startEdge(t);
  for (const [name, level] of [
    ['MQIsdp', 3],
    ['MQTT', 3],
    ['MQTT', 0],
  ] as const) {
    const wire = await edge.open(`${name} ${level}`);
    wire.send(connectOf(name, level, 0x02, u16(0), 'c'));
    await wire.expect(Buffer.of(0x20, 2, 0, 1));
    await wire.expectClosed();
  }
  await edge.expectServing();
});

test('a protocol that is not MQTT is closed [MQTT-3.1.2-1]', async (t) => {
  const edge = await startEdge(t);
  for (const name of ['HTTP', 'MQTTT', 'mqtt', '']) {
    const wire = await edge.open(name);
    wire.send(connectOf(name, 4, 0x02, u16(0), 'c'));
    await wire.expectClosed();
  }
  await edge.expectServing();
});

test('a client identifier beyond the bound is refused', async (t) => {
  const edge = await startEdge(t);
  const three = await edge.open();
  three.send(connectPacket({ version: 4, clientId: 'c'.repeat(2000) }));
  await three.expect(Buffer.of(0x20, 2, 0, 2));
  await three.expectClosed();
  const five = await edge.open();
  five.send(connectPacket({ version: 5, clientId: 'c'.repeat(2000) }));
  assert.equal((await five.connAck()).reasonCode, 0x85);
  await five.expectClosed();
  // Twenty-three letters and digits must do everywhere. [MQTT-3.1.3-5]
  await edge.connect(4, 'abcdefghijklmnopqrstuvw');
});

test('a client that comes too fast is told so, and the counter tells it', async (t) => {
  const edge = await startEdge(t, { connectsPerS: 0.2 });
  // Ten seconds' worth: two.
  await edge.connect(5, 'one');
  await edge.connect(4, 'two');
  const five = await edge.open('five');
  five.send(connectPacket({ version: 5, clientId: 'five' }));
  assert.equal((await five.connAck()).reasonCode, 0x9f);
  await five.expectClosed();
  const four = await edge.open('four');
  four.send(connectPacket({ version: 4, clientId: 'four' }));
  await four.expect(Buffer.of(0x20, 2, 0, 3));
  await four.expectClosed();
  assert.equal(edge.counter('connectsTooFast'), 2);
});
