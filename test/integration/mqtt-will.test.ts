import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../../src/core/message.ts';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  connectPacket,
  DISCONNECT,
  packet,
  property,
  publishPacket,
  subackPacket,
  subscribePacket,
  u32,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

const will = { topic: 'wills/c1', payload: 'gone' };

async function heard(messages: readonly Message[]): Promise<string[]> {
  await waitFor('the will', () => messages.length > 0);
  return messages.map(({ subject, payload }) => `${subject} ${payload}`);
}

for (const version of [4, 5] as const) {
  test(`version ${version}: the will is published when the connection breaks, however it breaks`, async (t) => {
    const edge = await startEdge(t);
    const wills = edge.listen('wills.>');

    const reset = await edge.connect(version, 'c1', { will });
    reset.reset();
    assert.deepEqual(await heard(wills), ['wills.c1 gone']);

    wills.length = 0;
    const ended = await edge.connect(version, 'c1', { will });
    ended.end();
    assert.deepEqual(await heard(wills), ['wills.c1 gone']);

    wills.length = 0;
    const wrong = await edge.connect(version, 'c1', { will });
    wrong.send(packet(0x36, 'a')); // QoS 3
    assert.deepEqual(await heard(wills), ['wills.c1 gone']);

    wills.length = 0;
    await edge.connect(version, 'c1', { will });
    const next = await edge.connect(version, 'c1');
    assert.deepEqual(await heard(wills), ['wills.c1 gone']);
    await next.expectQuiet();
    assert.equal(wills.length, 1);
  });

  test(`version ${version}: DISCONNECT discards the will [MQTT-3.1.2-10]`, async (t) => {
    const edge = await startEdge(t);
    const wills = edge.listen('wills.>');
    const wire = await edge.connect(version, 'c1', { will });
    wire.send(DISCONNECT);
    await wire.expectClosed();
    await waitFor('the client to be forgotten', () => edge.status.clients.length === 0);
    await edge.expectServing();
    assert.deepEqual(wills, []);
  });
}

test('version 5: DISCONNECT 0x04 asks for the will [MQTT5 3.14.2.1]', async (t) => {
  const edge = await startEdge(t);
  const wills = edge.listen('wills.>');
  const wire = await edge.connect(5, 'c1', { will });
  wire.send(packet(0xe0, 0x04));
  await wire.expectClosed();
  assert.deepEqual(await heard(wills), ['wills.c1 gone']);
});

test('the properties of a will travel with it', async (t) => {
  const edge = await startEdge(t);
  const watcher = await edge.connect(5, 'watcher');
  watcher.send(subscribePacket(5, 1, [['wills/#', 0]]));
  await watcher.expect(subackPacket(5, 1, 0));
  const shown = [property.contentType, 'text/plain', property.userProperty, 'why', 'power'];
  const wire = await edge.connect(5, 'c1', { will: { ...will, properties: shown } });
  wire.reset();
  const seen = await watcher.next('the will');
  const expected = publishPacket({ version: 5, topic: 'wills/c1', payload: 'gone', properties: shown });
  assert.equal(seen.toString('latin1'), expected.toString('latin1'));
});

test('a will of QoS 1 goes to the journal; nobody waits for its receipt', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(4, 'c1', { will: { topic: 'lane/will', flags: 0x08 } });
  wire.reset();
  await edge.journal.holds(1);
  edge.journal.release();
  await edge.expectServing();
});

test('a will that is a system topic is refused before anybody counts on it', async (t) => {
  const edge = await startEdge(t);
  const three = await edge.open();
  three.send(connectPacket({ version: 4, will: { topic: '$JS/API/STREAM/DELETE/x' } }));
  const answer = await three.next('CONNACK');
  assert.deepEqual([...answer.subarray(0, 3)], [0x20, 2, 0]);
  assert.equal(answer[3], 5);
  await three.expectClosed();
  const five = await edge.open();
  five.send(connectPacket({ version: 5, will: { topic: '$JS/API/STREAM/DELETE/x' } }));
  assert.equal((await five.connAck()).reasonCode, 0x87);
  await five.expectClosed();
});

test('version 5: a will delay without a session ends with the session: at once [MQTT5 3.1.3.2.2]', async (t) => {
  const edge = await startEdge(t);
  const wills = edge.listen('wills.>');
  const wire = await edge.connect(5, 'c1', { will: { ...will, properties: [property.willDelay, u32(3600)] } });
  wire.reset();
  assert.deepEqual(await heard(wills), ['wills.c1 gone']);
});
