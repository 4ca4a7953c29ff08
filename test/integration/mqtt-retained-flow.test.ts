import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_HEADERS } from '../../src/core/message.ts';
import type { Journal } from '../../src/store/journal.ts';
import { startRetainingEdge } from '../support/mqtt-edge.ts';
import { PINGREQ, publishPacket, subackPacket, subscribePacket } from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

const COUNT = 20_000;

/** Straight into the store: what matters here is how they go out. */
function fill(store: Journal, count: number, payload: Buffer): void {
  const origin = { kind: 'mqtt', name: 'sender' } as const;
  for (let i = 0; i < count; i++) {
    const message = { subject: `s.${i % 100}.${i}`, reply: '', headers: NO_HEADERS, payload, receivedAtMs: 1, origin };
    assert.equal(store.retained?.keep(message, 0, 0), null);
  }
}

test('a wildcard over 20,000 retained messages holds up nobody', async (t) => {
  const { edge, store } = await startRetainingEdge(t, { options: { outboundBytesMax: 4 * 1024 * 1024 } });
  fill(store, COUNT, Buffer.from('x'));
  const other = await edge.connect(4, 'other');
  const greedy = await edge.connect(4, 'greedy');
  let last = 0;
  let answered = 0;
  greedy.socket.on('data', () => {
    last = performance.now();
  });
  other.socket.once('data', () => {
    answered = performance.now();
  });
  greedy.send(subscribePacket(4, 1, [['#', 0]]));
  await greedy.expect(subackPacket(4, 1, 0));
  other.send(PINGREQ);
  await waitFor('all retained messages', () => greedy.waiting >= COUNT, { timeoutMs: 20_000 });
  assert.ok(answered > 0 && answered < last, 'the PINGRESP came before the last retained message');
  assert.equal(greedy.waiting, COUNT);
  await other.next('PINGRESP');
  await other.expectQuiet();
});

test('a client that does not read keeps few of them in memory, and gets all of them later', async (t) => {
  const { edge, store } = await startRetainingEdge(t, { options: { outboundBytesMax: 65_536 } });
  // More than the kernel takes for a socket that nobody reads.
  const payload = Buffer.alloc(8_000, 'x');
  const count = 3_000;
  fill(store, count, payload);
  const slow = await edge.connect(4, 'slow');
  slow.pause();
  slow.send(subscribePacket(4, 1, [['#', 0]]));
  const sent = () => edge.counter('messagesOut');
  let before = -1;
  await waitFor(
    'the kernel to be full',
    () => {
      const stands = sent() > 0 && sent() === before;
      before = sent();
      return stands;
    },
    { intervalMs: 100 },
  );
  assert.ok(sent() < count, `${sent()} were written to a client that reads nothing`);
  // Others are served meanwhile; their two messages wait for the slow one as well.
  await edge.expectServing();
  slow.resume();
  await slow.expect(subackPacket(4, 1, 0));
  await waitFor('all retained messages', () => slow.waiting >= count + 2, { timeoutMs: 20_000 });
  assert.equal(slow.waiting, count + 2);
  assert.equal(edge.counter('deliveriesDropped'), 0);
});

test('who leaves while they stream ends the stream', async (t) => {
  const { edge, store } = await startRetainingEdge(t);
  fill(store, COUNT, Buffer.alloc(500));
  const wire = await edge.connect(4, 'short');
  wire.send(subscribePacket(4, 1, [['#', 0]]));
  await wire.expect(subackPacket(4, 1, 0));
  await wire.next('the first');
  wire.reset();
  await waitFor('the client to be forgotten', () => edge.status.clients.length === 0);
  await edge.expectServing();
  assert.ok(edge.counter('messagesOut') < COUNT);
});

test('values that come and go under a walk: what stays all the time comes once', async (t) => {
  const { edge, store } = await startRetainingEdge(t, { options: { outboundBytesMax: 4 * 1024 * 1024 } });
  fill(store, COUNT, Buffer.from('x'));
  const wire = await edge.connect(4, 'reader');
  const seen = new Map<string, number>();
  wire.send(subscribePacket(4, 1, [['s/+/+', 0]]));
  await wire.expect(subackPacket(4, 1, 0));
  for (let i = 0; i < COUNT; i += 2) store.retained?.clear(`s.${i % 100}.${i}`);
  const origin = { kind: 'mqtt', name: 'sender' } as const;
  const payload = Buffer.from('y');
  store.retained?.keep({ subject: 'z', reply: '', headers: NO_HEADERS, payload, receivedAtMs: 1, origin }, 0, 0);
  wire.send(subscribePacket(4, 2, [['z', 0]]));
  for (;;) {
    const packet = await wire.next('a packet');
    if (packet.equals(publishPacket({ topic: 'z', payload: 'y', flags: 1 }))) break;
    if (packet[0] !== 0x31) continue;
    const topic = packet.toString('utf8', 4, 4 + packet.readUInt16BE(2));
    seen.set(topic, (seen.get(topic) ?? 0) + 1);
  }
  for (let i = 1; i < COUNT; i += 2) assert.equal(seen.get(`s/${i % 100}/${i}`), 1, `s/${i % 100}/${i}`);
  assert.ok([...seen.values()].every((count) => count === 1));
});
