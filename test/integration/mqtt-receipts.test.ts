import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../src/core/errors.ts';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  hex,
  property,
  pubackPacket,
  publishPacket,
  readProperties,
  subackPacket,
  subscribePacket,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

const laneFull = new GatewayError('lane_full', 'lane "line3" is full', { hint: 'raise max_bytes of the lane' });

for (const version of [4, 5] as const) {
  const publish = (id: number, topic = 'lane/x') => publishPacket({ version, id, topic });

  test(`version ${version}: no PUBACK leaves before the commit`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'sender');
    wire.send(publish(1));
    await edge.journal.holds(1);
    await wire.expectQuiet();
    edge.journal.release();
    await wire.expect(pubackPacket(1));
  });

  test(`version ${version}: local subscribers get it before the commit`, async (t) => {
    const edge = await startEdge(t);
    const reader = await edge.connect(version, 'reader');
    reader.send(subscribePacket(version, 1, [['lane/#', 0]]));
    await reader.expect(subackPacket(version, 1, 0));
    const wire = await edge.connect(version, 'sender');
    wire.send(publish(1));
    await reader.expect(publishPacket({ version, topic: 'lane/x' }));
    await wire.expectQuiet();
    edge.journal.release();
    await wire.expect(pubackPacket(1));
  });

  test(`version ${version}: PUBACKs leave in the order of the PUBLISHes [MQTT-4.6.0-2]`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'sender');
    // Live ones are accepted at once, journaled ones later.
    wire.send(publish(5, 'live'), publish(3), publish(9, 'live'), publish(1), publish(2, 'live'));
    await edge.journal.holds(2);
    await wire.expect(pubackPacket(5));
    await wire.expectQuiet();
    edge.journal.release(1);
    await wire.expect(pubackPacket(3), pubackPacket(9));
    await wire.expectQuiet();
    edge.journal.release(1);
    await wire.expect(pubackPacket(1), pubackPacket(2));
  });

  test(`version ${version}: receipts that come after the end of the connection harm nobody`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'sender');
    wire.send(publish(1), publish(2));
    await edge.journal.holds(2);
    wire.reset();
    await waitFor('the client to be forgotten', () => edge.status.clients.length === 0);
    const next = await edge.connect(version, 'sender');
    edge.journal.release(1);
    edge.journal.refuse(laneFull);
    // The receipts of the old connection are not the new one's.
    await next.expectQuiet();
    await edge.expectServing();
  });
}

test('version 5: a refused publish is answered with quota exceeded and the reason', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'sender');
  wire.send(
    publishPacket({ version: 5, id: 1, topic: 'lane/a' }),
    publishPacket({ version: 5, id: 2, topic: 'lane/b' }),
    publishPacket({ version: 5, id: 3, topic: 'live' }),
  );
  await edge.journal.holds(2);
  edge.journal.refuse(laneFull, 1);
  const answer = await wire.next('the refusal');
  assert.equal(hex(answer.subarray(2, 5)), '00 01 97');
  assert.match(String(new Map(readProperties(answer, 5).entries).get(property.reasonString)), /lane "line3" is full/);
  await wire.expectQuiet();
  edge.journal.release();
  await wire.expect(pubackPacket(2), pubackPacket(3));
});

for (const [code, reasonCode] of [
  ['queue_full', 0x97],
  ['disk_full', 0x97],
  ['store_failed', 0x80],
] as const) {
  test(`version 5: ${code} has reason code 0x${reasonCode.toString(16)}`, async (t) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(5, 'sender', { properties: [property.requestProblemInformation, 0] });
    wire.send(publishPacket({ version: 5, id: 1, topic: 'lane/a' }));
    await edge.journal.holds(1);
    edge.journal.refuse(new GatewayError(code, 'no'));
    const answer = await wire.next('the refusal');
    // A client that asked for no problem information gets the bare code. [MQTT-3.1.2-29]
    assert.ok(['40 03 00 01', '40 04 00 01'].includes(hex(answer.subarray(0, 4))), hex(answer));
    assert.equal(answer[4], reasonCode);
    assert.ok(answer.length === 5 || answer[5] === 0, hex(answer));
  });
}

test('3.1.1: a refused publish is never acknowledged: the connection ends so that it is sent again', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(4, 'sender');
  wire.send(publishPacket({ id: 1, topic: 'lane/a' }));
  await edge.journal.holds(1);
  edge.journal.refuse(laneFull);
  await wire.expectClosed(15_000);
  await edge.expectServing();
});

test('QoS 0 that is refused ends nothing', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(4, 'sender');
  wire.send(publishPacket({ topic: 'lane/a' }));
  await edge.journal.holds(1);
  edge.journal.refuse(laneFull);
  await wire.expectQuiet();
});

test('version 5: more than the receive maximum unacknowledged is an error of the client [MQTT5 3.3.4]', async (t) => {
  const edge = await startEdge(t, { inflightMax: 3 });
  const wire = await edge.connect(5, 'sender');
  for (let id = 1; id <= 3; id++) wire.send(publishPacket({ version: 5, id, topic: 'lane/x' }));
  await edge.journal.holds(3);
  await wire.expectQuiet();
  wire.send(publishPacket({ version: 5, id: 4, topic: 'lane/x' }));
  await wire.expectDisconnect(0x93);
  assert.equal(edge.journal.held.length, 3);
  edge.journal.release();
  await edge.expectServing();
});

test('version 5: a client that stays within the receive maximum may send for ever', async (t) => {
  const edge = await startEdge(t, { inflightMax: 2 });
  const wire = await edge.connect(5, 'sender');
  for (let id = 1; id <= 20; id += 2) {
    wire.send(
      publishPacket({ version: 5, id, topic: 'lane/x' }),
      publishPacket({ version: 5, id: id + 1, topic: 'lane/x' }),
    );
    await edge.journal.holds(2);
    edge.journal.release();
    await wire.expect(pubackPacket(id), pubackPacket(id + 1));
  }
});

test('3.1.1: at the bound of unacknowledged publishes the box stops reading, and goes on with the receipts', async (t) => {
  const edge = await startEdge(t, { inflightMax: 4 });
  const wire = await edge.connect(4, 'sender');
  const other = await edge.connect(4, 'other');
  wire.send(
    ...Array.from({ length: 50 }, (_, i) => publishPacket({ id: i + 1, topic: 'lane/x', payload: `${i + 1}` })),
  );
  await edge.journal.holds(4);
  for (let i = 0; i < 5; i++) await other.expectQuiet();
  assert.equal(edge.journal.appended, 4);
  for (let id = 1; id <= 50; id++) {
    await waitFor(`message ${id}`, () => edge.journal.held.length > 0);
    assert.ok(edge.journal.held.length <= 4, `${edge.journal.held.length} unacknowledged`);
    assert.equal(edge.journal.held[0]?.message.payload.toString(), `${id}`);
    edge.journal.release(1);
    await wire.expect(pubackPacket(id));
  }
  assert.equal(edge.journal.appended, 50);
});

test('QoS 0 that waits for its commit is bounded too: the box stops reading', async (t) => {
  const edge = await startEdge(t, { inflightMax: 200 });
  const wire = await edge.connect(4, 'flood');
  const packet = publishPacket({ topic: 'lane/x', payload: Buffer.alloc(100) });
  const flood = 20_000;
  for (let i = 0; i < flood; i += 100) wire.send(...Array<Buffer>(100).fill(packet));
  // Reading has stopped once nothing more comes in while others are served.
  let seen = -1;
  while (seen < edge.journal.appended) {
    seen = edge.journal.appended;
    await edge.expectServing();
  }
  assert.ok(seen > 0 && seen < flood / 2, `${seen} of ${flood} held`);
  await waitFor(
    'the whole flood',
    () => {
      edge.journal.release();
      return edge.journal.appended === flood;
    },
    { intervalMs: 1 },
  );
  edge.journal.release();
  await wire.expectQuiet();
});

for (const [version, qos] of [
  [4, 0],
  [4, 1],
  [5, 0],
  [5, 1],
] as const) {
  test(`version ${version}, QoS ${qos}: while the disk is behind a client is read a message at a time`, async (t) => {
    const edge = await startEdge(t);
    edge.journal.isBehind = true;
    const wire = await edge.connect(version, 'flood');
    const other = await edge.connect(version, 'other');
    const publish = (i: number) =>
      publishPacket({ version, topic: 'lane/x', payload: `${i}`, ...(qos === 1 && { id: i }) });
    wire.send(...[1, 2, 3, 4].map(publish));
    await edge.journal.holds(1);
    other.send(publish(9));
    await edge.journal.holds(2);
    for (const held of [2, 1, 1]) {
      edge.journal.release();
      await waitFor('the next one', () => edge.journal.held.length > 0);
      assert.ok(edge.journal.held.length <= held);
    }
    edge.journal.isBehind = false;
    edge.journal.release();
    if (qos === 1) await wire.expect(...[1, 2, 3, 4].map(pubackPacket));
    await wire.expectQuiet();
    assert.equal(edge.journal.appended, 5);
  });
}

test('QoS 0 is shed with a counter of its own where the queue to the disk is full, and its client stays', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'flood');
  wire.send(publishPacket({ version: 5, topic: 'lane/x' }));
  await edge.journal.holds(1);
  edge.journal.refuse(new GatewayError('queue_full', 'too fast'));
  await wire.expectQuiet();
  assert.deepEqual([edge.counter('messagesShed'), edge.counter('messagesRefused')], [1, 0]);
});
