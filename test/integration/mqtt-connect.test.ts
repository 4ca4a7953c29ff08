import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startEdge, type TestEdge } from '../support/mqtt-edge.ts';
import {
  connectPacket,
  DISCONNECT,
  packet,
  property,
  pubackPacket,
  publishPacket,
  subackPacket,
  subscribePacket,
  u16,
  u32,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

const ACCEPTED = Buffer.of(0x20, 2, 0, 0);

test('a 3.1.1 CONNECT is accepted, also where every byte comes alone', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.open();
  await wire.sendInPieces(connectPacket({ version: 4, clientId: 'sensor-1', keepAlive: 60 }));
  await wire.expect(ACCEPTED);
  await wire.expectQuiet();
});

test('what follows the CONNECT in the same chunk is served in its turn', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.open();
  wire.send(connectPacket({ version: 4 }), publishPacket({ id: 1 }), subscribePacket(4, 2, [['q', 0]]), DISCONNECT);
  await wire.expect(ACCEPTED);
  await wire.expectInAnyOrder(pubackPacket(1), subackPacket(4, 2, 0));
  await wire.expectClosed();
});

test('3.1.1 without clean session is accepted without a session: there is none yet', async (t) => {
  const edge = await startEdge(t);
  for (let i = 0; i < 2; i++) {
    const wire = await edge.open();
    wire.send(connectPacket({ version: 4, clientId: 'keeper', clean: false }));
    await wire.expect(ACCEPTED);
    wire.send(subscribePacket(4, 1, [['kept', 0]]));
    await wire.expect(subackPacket(4, 1, 0));
    wire.send(DISCONNECT);
    await wire.expectClosed();
    await waitFor('the subscription to go', () => edge.router.subscriptions === 0);
  }
});

test('user name and password are accepted on an anonymous listener', async (t) => {
  const edge = await startEdge(t);
  for (const version of [4, 5] as const) {
    await edge.connect(version, `user-${version}`, { username: 'u', password: 'p' });
    await edge.connect(version, `user-only-${version}`, { username: 'u' });
  }
});

test('the version 5 CONNACK names every limit and nothing that is not so', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.open();
  wire.send(connectPacket({ version: 5, clientId: 'five', keepAlive: 60 }));
  const { sessionPresent, reasonCode, properties } = await wire.connAck();
  assert.deepEqual({ sessionPresent, reasonCode }, { sessionPresent: false, reasonCode: 0 });
  assert.equal(properties.get(property.receiveMaximum), 10);
  assert.ok(!properties.has(property.maximumQos), 'absent: QoS 2 [MQTT5 3.2.2.3.4]');
  assert.equal(properties.get(property.retainAvailable), 0);
  assert.equal(properties.get(property.maximumPacketSize), 65_536);
  assert.ok(!properties.has(property.serverKeepAlive), 'a keep alive within the bound is the client’s');
  assert.ok(!properties.has(property.assignedClientIdentifier), 'the client has a name of its own');
  assert.notEqual(properties.get(property.wildcardAvailable), 0);
});

test('a session expiry that the box cannot keep is answered with 0 [MQTT5 3.2.2.3.2]', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.open();
  wire.send(connectPacket({ version: 5, clean: false, properties: [property.sessionExpiry, u32(3600)] }));
  const { sessionPresent, reasonCode, properties } = await wire.connAck();
  assert.deepEqual({ sessionPresent, reasonCode }, { sessionPresent: false, reasonCode: 0 });
  assert.equal(properties.get(property.sessionExpiry), 0);
});

test('an empty client identifier: 3.1.1 needs a clean session, version 5 is told its name', async (t) => {
  const edge = await startEdge(t);
  const clean = await edge.connect(4, '');
  const unclean = await edge.open();
  unclean.send(connectPacket({ version: 4, clientId: '', clean: false }));
  await unclean.expect(Buffer.of(0x20, 2, 0, 2)); // [MQTT-3.1.3-8]
  await unclean.expectClosed();

  const names = new Set<unknown>();
  for (let i = 0; i < 2; i++) {
    const wire = await edge.open();
    wire.send(connectPacket({ version: 5, clientId: '' }));
    const { reasonCode, properties } = await wire.connAck();
    assert.equal(reasonCode, 0);
    names.add(properties.get(property.assignedClientIdentifier));
  }
  assert.equal(names.size, 2);
  for (const name of names) assert.match(String(name), /^[A-Za-z0-9-]+$/);
  await clean.expectQuiet();
});

test('a second CONNECT ends the connection [MQTT-3.1.0-2]', async (t) => {
  const edge = await startEdge(t);
  const old = await edge.connect(4, 'twice-4');
  old.send(connectPacket({ version: 4, clientId: 'twice-4' }));
  await old.expectClosed();
  const wire = await edge.connect(5, 'twice-5');
  wire.send(connectPacket({ version: 5, clientId: 'twice-5' }));
  await wire.expectDisconnect(0x82);
  await edge.expectServing();
});

test('the same client identifier takes over [MQTT-3.1.4-2]', async (t) => {
  const edge = await startEdge(t);
  const first = await edge.connect(5, 'same');
  first.send(subscribePacket(5, 1, [['only/once', 0]]));
  await first.expect(subackPacket(5, 1, 0));
  const second = await edge.connect(4, 'same');
  await first.expectDisconnect(0x8e);
  assert.equal(edge.publish('only.once'), 0, 'the subscription of the old connection is gone');
  const third = await edge.connect(5, 'same');
  await second.expectClosed();
  await third.expectQuiet();
  assert.deepEqual(clientIds(edge), ['same']);
});

test('many takeovers at once leave one connection', async (t) => {
  const edge = await startEdge(t);
  const wires = await Promise.all(Array.from({ length: 15 }, () => edge.connect(5, 'fought-over')));
  await waitFor('one to be left', () => wires.filter((wire) => !wire.closed).length === 1);
  const [winner] = wires.filter((wire) => !wire.closed);
  await winner?.expectQuiet();
  assert.deepEqual(clientIds(edge), ['fought-over']);
});

test('DISCONNECT ends the connection, and what comes behind it is not served [MQTT-3.14.4-3]', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('late');
  for (const version of [4, 5] as const) {
    const wire = await edge.connect(version, `leaving-${version}`);
    wire.send(DISCONNECT, publishPacket({ version, topic: 'late' }));
    await wire.expectClosed();
  }
  assert.deepEqual(heard, []);
  await waitFor('both to be forgotten', () => edge.status.clients.length === 0);
});

test('a version 5 DISCONNECT may carry a reason and properties, if they are right', async (t) => {
  const edge = await startEdge(t);
  const polite = await edge.connect(5, 'polite');
  polite.send(packet(0xe0, 0x00, 5, property.sessionExpiry, u32(0)));
  await polite.expectClosed();

  // It may not be raised from zero. [MQTT-3.14.2-2]
  const raising = await edge.connect(5, 'raising');
  raising.send(packet(0xe0, 0x00, 5, property.sessionExpiry, u32(60)));
  await raising.expectDisconnect(0x82);

  const flagged = await edge.connect(5, 'flagged');
  flagged.send(packet(0xe1, 0x00));
  await flagged.expectDisconnect(0x81); // [MQTT-3.14.1-1]
});

for (const [what, first] of [
  ['AUTH', packet(0xf0, 0x18, 0)],
  ['CONNACK', packet(0x20, 0, 0, 0)],
  ['SUBACK', packet(0x90, u16(1), 0, 0)],
  ['PINGRESP', packet(0xd0)],
] as const) {
  test(`${what} from a client is a protocol error`, async (t) => {
    await refusedPacket(t, first, 0x82);
  });
}

async function refusedPacket(t: TestContext, bytes: Buffer, reasonCode: number): Promise<void> {
  const edge = await startEdge(t);
  const five = await edge.connect(5, 'five');
  five.send(bytes);
  await five.expectDisconnect(reasonCode);
  const three = await edge.connect(4, 'three');
  three.send(bytes);
  await three.expectClosed();
  await edge.expectServing();
}

function clientIds(edge: TestEdge): string[] {
  return edge.status.clients.map(({ clientId }) => clientId);
}
