import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headerStatus, headerValue } from '../../src/core/headers.ts';
import { type Message, NO_HEADERS } from '../../src/core/message.ts';
import { startEdge, startRetainingEdge, type TestEdge } from '../support/mqtt-edge.ts';
import { binary, property, publishPacket, raw, subackPacket, subscribePacket } from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

/** From a NATS program, with a reply subject. */
function ask(edge: TestEdge, subject: string, reply: string, payload = ''): void {
  edge.router.publish({
    subject,
    reply,
    headers: NO_HEADERS,
    payload: raw(payload),
    receivedAtMs: Date.now(),
    origin: { kind: 'nats', name: 'program' },
  });
}

function reply(edge: TestEdge, { reply: subject }: Message, payload: string): void {
  edge.publish(subject, payload);
}

test('requests without an answer are forgotten, the oldest first, and their late answers counted', async (t) => {
  const edge = await startEdge(t);
  const asked = edge.listen('svc');
  const wire = await edge.connect(5, 'asking');
  wire.send(subscribePacket(5, 1, [['resp', 0]]));
  await wire.expect(subackPacket(5, 1, 0));
  const request = publishPacket({ version: 5, topic: 'svc', properties: [property.responseTopic, 'resp'] });
  const count = 5_000;
  for (let i = 0; i < count; i += 100) wire.send(...Array<Buffer>(100).fill(request));
  await waitFor('the requests', () => asked.length === count);
  const [oldest, latest] = [asked[0], asked.at(-1)];
  assert.ok(oldest && latest);
  reply(edge, oldest, 'late');
  reply(edge, latest, 'in time');
  await wire.expect(publishPacket({ version: 5, topic: 'resp', payload: 'in time' }));
  assert.deepEqual([edge.counter('answersLate'), edge.counter('requestsAnswered')], [1, 1]);
});

test('the Correlation Data of open requests is bounded in bytes', async (t) => {
  const edge = await startEdge(t);
  const asked = edge.listen('svc');
  const wire = await edge.connect(5, 'asking');
  const data = binary(Buffer.alloc(60_000, 'd'));
  const big = publishPacket({
    version: 5,
    topic: 'svc',
    properties: [property.responseTopic, 'resp', property.correlationData, data],
  });
  for (let i = 0; i < 100; i++) wire.send(big);
  await waitFor('the requests', () => asked.length === 100);
  const [oldest, latest] = [asked[0], asked.at(-1)];
  assert.ok(oldest && latest);
  reply(edge, oldest, 'late');
  assert.equal(edge.counter('answersLate'), 1, '6 MB are more than 4 MiB');
  wire.send(subscribePacket(5, 1, [['resp', 0]]));
  await wire.expect(subackPacket(5, 1, 0));
  reply(edge, latest, 'in time');
  await wire.expect(
    publishPacket({ version: 5, topic: 'resp', payload: 'in time', properties: [property.correlationData, data] }),
  );
});

test('an answer that says "no responders" is no answer of the device', async (t) => {
  const edge = await startEdge(t);
  const asked = edge.listen('svc');
  const wire = await edge.connect(5, 'asking');
  wire.send(subscribePacket(5, 1, [['resp', 0]]));
  await wire.expect(subackPacket(5, 1, 0));
  wire.send(publishPacket({ version: 5, topic: 'svc', properties: [property.responseTopic, 'resp'] }));
  await waitFor('the request', () => asked.length === 1);
  edge.publish(asked[0]?.reply ?? '', '', Buffer.from('NATS/1.0 503\r\n\r\n'));
  await wire.expectQuiet();
  assert.equal(edge.counter('requestsUnanswered'), 1);
});

test('a wildcard over many retained values is answered in turns, up to its bound, and others are served', async (t) => {
  const { edge, store } = await startRetainingEdge(t, { parts: { gateway: 'box' } });
  const payload = raw('v');
  for (let i = 0; i < 10_500; i++) {
    const origin = { kind: 'box', name: 'test' } as const;
    const message = { subject: `t.${i}`, reply: '', headers: NO_HEADERS, payload, receivedAtMs: Date.now(), origin };
    assert.equal(store.retained?.keep(message, 0, 0) ?? null, null);
  }
  const all = edge.listen('_INBOX.all');
  const some = edge.listen('_INBOX.some');
  ask(edge, 'petiole.box.retained.get.>', '_INBOX.all');
  ask(edge, 'petiole.box.retained.get', '_INBOX.some', 't/+');
  assert.ok(all.length < 1_000, 'not all in one turn');
  await edge.expectServing();
  await waitFor('the end', () => all.some(({ headers }) => headerStatus(headers) > 0));
  assert.equal(all.length, 10_001);
  assert.equal(headerStatus(all.at(-1)?.headers ?? NO_HEADERS), 206);
  assert.equal(new Set(all.map(({ headers }) => headerValue(headers, 'Petiole-Subject'))).size, 10_001);
  await waitFor('the other end', () => some.some(({ headers }) => headerStatus(headers) > 0));

  // One more than may walk at a time.
  const busy = edge.listen('_INBOX.busy.*');
  for (let i = 0; i < 17; i++) ask(edge, 'petiole.box.retained.get.>', `_INBOX.busy.${i}`);
  assert.equal(headerStatus(busy.find(({ subject }) => subject === '_INBOX.busy.16')?.headers ?? NO_HEADERS), 503);
});

test('no Response Topic where the box gives the receipt, nor for what JetStream alone understands', async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(5, 'asked');
  wire.send(subscribePacket(5, 1, [['#', 0]]));
  await wire.expect(subackPacket(5, 1, 0));
  ask(edge, 'lane.x', '_INBOX.1', 'journaled');
  ask(edge, 'x', '$JS.ACK.S.C.1.1.1.1.0', 'of a consumer');
  ask(edge, 'x', '_INBOX.a.b', 'live');
  await wire.expect(
    publishPacket({ version: 5, topic: 'lane/x', payload: 'journaled' }),
    publishPacket({ version: 5, topic: 'x', payload: 'of a consumer' }),
    publishPacket({
      version: 5,
      topic: 'x',
      payload: 'live',
      properties: [property.responseTopic, '_INBOX/a/b', property.correlationData, 'b'],
    }),
  );
});
