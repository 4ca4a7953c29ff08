import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headers } from '@nats-io/transport-node';
import { auditStream, connectHub, createStream, waitForStream } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { createPayload, readPayload, stampPayload } from '../support/payload.ts';
import { StreamAudit } from '../support/stream-audit.ts';

function payload(client: string, n: number): Buffer {
  const bytes = createPayload(client, 128);
  stampPayload(bytes, 0, client.length, n, 1_234_567_890 + n);
  return bytes;
}

/** [sequence in the lane, number of the message], in stream order. */
function audit(records: [sequence: number, n: number][]) {
  const found = new StreamAudit();
  for (const [sequence, n] of records) found.add(payload('c0', n), `box.e1.bench.${sequence}`);
  return found.report({ c0: [[0, 3]] });
}

test('a payload is read back as it was stamped', () => {
  assert.deepEqual(readPayload(payload('c17', 4_294_967_296)), {
    client: 'c17',
    n: 4_294_967_296,
    sentAtUs: 5_529_535_186,
  });
  assert.equal(readPayload(Buffer.from('{"some":"body","else":true,"padded":"to be long enough"}')), undefined);
});

test('an exact stream has no fault', () => {
  const { lost, duplicated, outOfOrder, repeated, unacked } = audit([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 3],
  ]);
  assert.deepEqual(
    { lost, duplicated, outOfOrder, repeated, unacked },
    { lost: 0, duplicated: 0, outOfOrder: 0, repeated: 0, unacked: 0 },
  );
});

test('a PUBACKed message that is missing is lost, and named', () => {
  const { lost, lostSamples } = audit([
    [1, 0],
    [2, 1],
    [4, 3],
  ]);
  assert.equal(lost, 1);
  assert.deepEqual(lostSamples, ['c0/2']);
});

test('a record stored twice is a duplicate, whatever lies between', () => {
  const { duplicated, duplicatedSamples, outOfOrder } = audit([
    [1, 0],
    [2, 1],
    [3, 2],
    [2, 1],
    [4, 3],
  ]);
  assert.deepEqual({ duplicated, outOfOrder }, { duplicated: 1, outOfOrder: 0 });
  assert.deepEqual(duplicatedSamples, ['box.e1.bench.2']);
});

test('a record that comes after a later one is out of order', () => {
  const { duplicated, outOfOrder, lost } = audit([
    [1, 0],
    [3, 2],
    [2, 1],
    [4, 3],
  ]);
  assert.deepEqual({ duplicated, outOfOrder, lost }, { duplicated: 0, outOfOrder: 1, lost: 0 });
});

test('a message published twice is no fault: the sender repeated it, under a new id', () => {
  const { duplicated, repeated, lost } = audit([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
  ]);
  assert.deepEqual({ duplicated, repeated, lost }, { duplicated: 0, repeated: 1, lost: 0 });
});

test('a new epoch begins its own numbering', () => {
  const found = new StreamAudit();
  found.add(payload('c0', 0), 'box.e1.bench.7');
  found.add(payload('c0', 1), 'box.e2.bench.1');
  const { duplicated, outOfOrder, lanes } = found.report({ c0: [[0, 1]] });
  assert.deepEqual({ duplicated, outOfOrder }, { duplicated: 0, outOfOrder: 0 });
  assert.deepEqual(Object.keys(lanes), ['box.e1.bench', 'box.e2.bench']);
});

test('a whole stream is read from a real hub and judged', async (t) => {
  const server = await startNatsServer(t, { jetstream: true });
  const connection = await connectHub(t, server.clientUrl);
  await createStream(connection, 'BENCH', ['bench.>']);
  // 1,000 exact records, then record 500 again, then one that nobody acknowledged.
  const sequences = [...Array(1000).keys(), 500, 1000];
  for (const sequence of sequences) {
    const block = headers();
    block.set('Petiole-Id', `box.e1.bench.${sequence}`);
    connection.publish('bench.c0', payload('c0', sequence), { headers: block });
  }
  await connection.flush();
  await waitForStream(connection, 'BENCH', sequences.length);
  const report = await auditStream(connection, 'BENCH', { c0: [[0, 999]], c1: [[0, 0]] });
  assert.equal(report.messages, 1002);
  assert.deepEqual(report.lostSamples, ['c1/0']);
  assert.deepEqual(report.duplicatedSamples, ['box.e1.bench.500']);
  assert.equal(report.outOfOrder, 0);
  assert.equal(report.unacked, 1);
  assert.deepEqual(report.lanes, { 'box.e1.bench': { records: 1001, lastSequence: 1000 } });
});
