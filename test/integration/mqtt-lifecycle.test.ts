import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { GatewayError } from '../../src/core/errors.ts';
import { startEdge, TestEdge } from '../support/mqtt-edge.ts';
import { pubackPacket, publishPacket, subackPacket, subscribePacket } from '../support/mqtt-packets.ts';
import { connectWire, openWire } from '../support/mqtt-wire.ts';

test('stop: receipts that are due go out first, then every client is told', async (t) => {
  const edge = await startEdge(t);
  const five = await edge.connect(5, 'five');
  const three = await edge.connect(4, 'three');
  five.send(publishPacket({ version: 5, id: 1, topic: 'lane/x' }));
  await edge.journal.holds(1);
  three.send(publishPacket({ id: 2, topic: 'lane/x' }));
  await edge.journal.holds(2);
  const { port } = edge;
  const stopping = edge.edge.stop();
  await assert.rejects(openWire(t, port), /ECONNREFUSED/, 'nobody new is let in');
  edge.journal.release();
  await five.expect(pubackPacket(1));
  await five.expectDisconnect(0x8b);
  await three.expect(pubackPacket(2));
  await three.expectClosed();
  await stopping;
});

test('stop: a commit that never comes does not hold it up', async (t) => {
  const edge = await startEdge(t);
  const five = await edge.connect(5, 'five');
  five.send(publishPacket({ version: 5, id: 1, topic: 'lane/x' }));
  await edge.journal.holds(1);
  const startedAtMs = performance.now();
  await edge.edge.stop();
  assert.ok(performance.now() - startedAtMs < 10_000);
  await five.expectDisconnect(0x8b);
  edge.journal.release(); // Too late, and harmless.
});

test('stop: clients that do not read do not hold it up; their interest is gone', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(4, 'stuck');
  wire.send(subscribePacket(4, 1, [['big', 0]]));
  await wire.expect(subackPacket(4, 1, 0));
  const silent = await edge.open('silent');
  wire.pause();
  for (let i = 0; i < 500; i++) edge.publish('big', Buffer.alloc(50_000));
  const startedAtMs = performance.now();
  await edge.edge.stop();
  assert.ok(performance.now() - startedAtMs < 10_000);
  await silent.expectClosed();
  assert.equal(edge.router.subscriptions, 0);
});

test('stop is one: whoever calls it waits for the same end, also without a start', async (t) => {
  const edge = await startEdge(t);
  assert.equal(edge.edge.stop(), edge.edge.stop());
  await edge.edge.stop();
  const never = new TestEdge(t, {});
  await never.edge.stop();
});

test('a port in use: start says which one and what to do', async (t) => {
  const holder = createServer();
  holder.listen(0, '127.0.0.1');
  await once(holder, 'listening');
  t.after(() => holder.close());
  const { port } = holder.address() as AddressInfo;
  const edge = new TestEdge(t, { listeners: [{ host: '127.0.0.1', port, anonymous: true }] });
  await assert.rejects(edge.edge.start(), (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'address_in_use');
    assert.ok(error.message.includes(`127.0.0.1:${port}`), error.message);
    assert.match(error.hint, /mqtt\.listeners/);
    return true;
  });
  await edge.edge.stop();
});

test('one bad listener keeps none open', async (t) => {
  const edge = new TestEdge(t, {
    listeners: [
      { host: '127.0.0.1', port: 0, anonymous: true },
      { host: '203.0.113.7', port: 0, anonymous: true }, // An address that is nobody's.
    ],
  });
  await assert.rejects(edge.edge.start(), (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'address_not_available');
    assert.ok(error.message.includes('203.0.113.7'), error.message);
    assert.notEqual(error.hint, '');
    return true;
  });
  await edge.edge.stop();
  assert.ok(edge.status.listeners.every(({ connections }) => connections === 0));
});

test('two listeners serve the same clients, and status tells them apart', async (t) => {
  const edge = await startEdge(t, {
    listeners: [
      { host: '127.0.0.1', port: 0, anonymous: true },
      { host: '127.0.0.1', port: 0, anonymous: true },
    ],
  });
  const [first, second] = edge.status.listeners;
  assert.ok(first && second);
  assert.notEqual(first.port, second.port);
  const reader = await edge.connect(4, 'reader');
  reader.send(subscribePacket(4, 1, [['a', 0]]));
  await reader.expect(subackPacket(4, 1, 0));
  const sender = await connectWire(t, second.port, { version: 5, clientId: 'sender' });
  sender.send(publishPacket({ version: 5, topic: 'a', id: 1 }));
  await sender.expect(pubackPacket(1));
  await reader.expect(publishPacket({ topic: 'a' }));
  assert.deepEqual(
    edge.status.listeners.map(({ host, connections }) => ({ host, connections })),
    [
      { host: '127.0.0.1', connections: 1 },
      { host: '127.0.0.1', connections: 1 },
    ],
  );
  // The same client identifier on the other listener is the same client.
  const taker = await connectWire(t, second.port, { version: 5, clientId: 'reader' });
  await reader.expectClosed();
  await taker.expectQuiet();
});

test('status is plain, and safe to show', async (t) => {
  const edge = await startEdge(t);
  await edge.connect(4, 'shown', { username: 'somebody', password: 'top-secret' });
  const { status } = edge;
  const text = JSON.stringify(status);
  assert.deepEqual(JSON.parse(text), status);
  assert.ok(!text.includes('top-secret'));
  const [client] = status.clients;
  assert.ok(client);
  assert.deepEqual(Object.keys(client).sort(), [
    'bytesIn',
    'bytesOut',
    'clientId',
    'connectedAtMs',
    'dropped',
    'inflight',
    'lastSeenMs',
    'messagesIn',
    'messagesOut',
    'protocol',
    'remote',
    'subscriptions',
    'user',
  ]);
});
