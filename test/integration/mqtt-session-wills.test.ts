import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBox } from '../support/box.ts';
import { RestartingEdge, type TestEdge } from '../support/mqtt-edge.ts';
import {
  type ConnectFields,
  connectPacket,
  DISCONNECT,
  packet,
  property,
  publishPacket,
  subackPacket,
  subscribePacket,
  u32,
  type Version,
} from '../support/mqtt-packets.ts';
import { openWire, type Wire } from '../support/mqtt-wire.ts';
import type { Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const RETAIN = 0x20;
const expiry = (seconds: number) => [property.sessionExpiry, u32(seconds)];
const delayed = (seconds: number) => ({
  topic: 'wills/c',
  payload: 'gone',
  properties: [property.willDelay, u32(seconds)],
});

async function connect(edge: TestEdge, fields: ConnectFields): Promise<Wire> {
  const wire = await edge.open(fields.clientId);
  wire.send(connectPacket({ version: 5, clientId: 'c', clean: false, ...fields }));
  assert.equal((await wire.connAck()).reasonCode, 0);
  return wire;
}

async function cut(edge: TestEdge, wire: Wire): Promise<void> {
  wire.reset();
  await waitFor('the client to have left', () => edge.status.clients.length === 0);
}

test('a will waits for its delay, and not longer than its session [MQTT-3.1.3-9]', async (t) => {
  const edge = await new RestartingEdge(t).start();
  const wills = edge.listen('wills.>');
  const started = performance.now();
  await cut(edge, await connect(edge, { will: delayed(1), properties: expiry(3600) }));
  assert.equal(wills.length, 0);
  await waitFor('the will', () => wills.length === 1);
  assert.ok(performance.now() - started >= 1000);
  // The session ends before the delay does.
  await cut(edge, await connect(edge, { clientId: 'short', will: delayed(3600), properties: expiry(1) }));
  await waitFor('the second will', () => wills.length === 2);
  assert.equal(edge.counter('sessionsExpired'), 1);
});

test('a client that returns within the delay cancels its will, a clean start publishes it', async (t) => {
  const box = new RestartingEdge(t);
  const edge = await box.start();
  const wills = edge.listen('wills.>');
  await cut(edge, await connect(edge, { will: delayed(60), properties: expiry(3600) }));
  const back = await connect(edge, { properties: expiry(3600) });
  await cut(edge, back);
  assert.equal(wills.length, 0);
  await cut(edge, await connect(edge, { will: delayed(3600), properties: expiry(3600) }));
  const clean = await connect(edge, { clean: true });
  await waitFor('the will', () => wills.length === 1);
  // Taken over before the delay ends: the session goes on, so the will waits.
  clean.send(DISCONNECT);
  await clean.expectClosed();
  const old = await connect(edge, { will: delayed(3600), properties: expiry(3600) });
  const next = await connect(edge, { properties: expiry(3600) });
  await old.expectDisconnect(0x8e);
  await next.expectQuiet();
  assert.equal(wills.length, 1);
});

test('DISCONNECT takes a will away for good, 0x04 leaves it', async (t) => {
  const box = new RestartingEdge(t);
  let edge = await box.start();
  const calm = await connect(edge, { will: delayed(1), properties: expiry(3600) });
  calm.send(DISCONNECT);
  await calm.expectClosed();
  const angry = await connect(edge, { clientId: 'angry', will: delayed(1), properties: expiry(3600) });
  angry.send(packet(0xe0, 0x04));
  await angry.expectClosed();
  edge = await box.restart();
  const wills = edge.listen('wills.>');
  await waitFor('the will of one', () => wills.length === 1);
  await edge.expectServing();
  assert.equal(wills.length, 1);
});

/** A watcher with a session, so that what is published before it returns is kept for it. */
async function watcher(scope: Scope, port: number): Promise<{ wire: Wire; isPresent: boolean }> {
  const wire = await openWire(scope, port, 'watcher');
  wire.send(connectPacket({ version: 5, clientId: 'watcher', clean: false, properties: expiry(3600) }));
  return { wire, isPresent: (await wire.connAck()).sessionPresent };
}

test('a box that is killed with its clients publishes their wills once it is back, unless they return', async (t) => {
  const box = await startBox(t);
  const { wire: first } = await watcher(t, box.mqttPort);
  first.send(subscribePacket(5, 1, [['wills/#', 1]]));
  await first.expect(subackPacket(5, 1, 1));
  const wires: Wire[] = [];
  const open = async (version: Version, clientId: string, fields: ConnectFields): Promise<void> => {
    const wire = await openWire(t, box.mqttPort, clientId);
    wire.send(connectPacket({ version, clientId, ...fields }));
    // A SUBACK of a session, or a PINGRESP, comes behind the commit of the CONNECT.
    wire.send(subscribePacket(version, 1, [['x', 0]]));
    await wire.next('CONNACK');
    await wire.next('SUBACK');
    wires.push(wire);
  };
  const shown = [property.contentType, 'text/plain'];
  await open(4, 'plain', { will: { topic: 'wills/plain', payload: 'gone', flags: RETAIN | 0x08 } });
  await open(5, 'stays', {
    clean: false,
    properties: expiry(3600),
    will: { topic: 'wills/stays', flags: 0x08, properties: [property.willDelay, u32(2), ...shown] },
  });
  await open(5, 'returns', {
    clean: false,
    properties: expiry(3600),
    will: { topic: 'wills/returns', flags: 0x08, properties: [property.willDelay, u32(60)] },
  });
  const calm = await openWire(t, box.mqttPort, 'calm');
  calm.send(connectPacket({ version: 4, clientId: 'calm', will: { topic: 'wills/calm' } }), DISCONNECT);
  await waitFor('the wills on the disk', async () => (await box.status()).mqtt.clients.length === 4);
  await first.expectQuiet();
  await box.kill9();
  await box.start();
  const { wire: second, isPresent } = await watcher(t, box.mqttPort);
  assert.equal(isPresent, true);
  const back = await openWire(t, box.mqttPort, 'returns');
  back.send(connectPacket({ version: 5, clientId: 'returns', clean: false, properties: expiry(3600) }));
  assert.equal((await back.connAck()).sessionPresent, true);
  await second.expect(publishPacket({ version: 5, topic: 'wills/plain', payload: 'gone', id: 1 }));
  await second.expect(publishPacket({ version: 5, topic: 'wills/stays', payload: 'gone', id: 2, properties: shown }));
  await second.expectQuiet();
  const late = await openWire(t, box.mqttPort, 'late');
  late.send(connectPacket({ clientId: 'late' }), subscribePacket(4, 1, [['wills/#', 0]]));
  await late.next('CONNACK');
  await late.expectInAnyOrder(
    subackPacket(4, 1, 0),
    publishPacket({ topic: 'wills/plain', payload: 'gone', flags: 1 }),
  );
});
