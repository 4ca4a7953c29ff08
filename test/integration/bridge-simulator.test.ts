import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, waitForStream } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { startBoard } from '../support/simulated-board.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * The C library on a line that loses, repeats and changes bytes, the real box and a real hub: every value that the board
 * made is in the hub's stream once and in order, whatever falls in between.
 */

test('a bad line, and a box that is killed again and again: every value is at the hub once and in order', async (t) => {
  const hub = await startNatsServer(t, { jetstream: true, leafnodes: true });
  const client = await connectHub(t, hub.clientUrl);
  await createStream(client, 'VALUES', ['line3.count']);
  const bad = ['--flip', '0.0001', '--drop', '0.0002', '--duplicate', '0.0002', '--seed', '7'];
  const board = await startBoard(t, { options: ['--rate', '5', '--count', '1500', ...bad] });
  const box = await startBox(t, {
    config: {
      serial: [{ name: 'line3', port: board.path, bridge: true }],
      lanes: [{ name: 'values', subjects: ['line3.count'], stream: { name: 'VALUES' } }],
      upstream: { urls: [hub.leafUrl] },
    },
  });
  for (const share of [0.2, 0.4, 0.6]) {
    await waitFor('some more values', () => board.produced > 1500 * share, { timeoutMs: 60_000 });
    await box.kill9();
    await box.start();
  }
  await waitFor('all values', () => board.produced === 1500, { timeoutMs: 60_000 });
  await waitForStream(client, 'VALUES', 1500, { timeoutMs: 90_000 });
  const values: number[] = [];
  await readStream(client, 'VALUES', ({ payload }) => {
    values.push(JSON.parse(Buffer.from(payload).toString()).value);
  });
  assert.deepEqual(
    values,
    Array.from({ length: 1500 }, (_, index) => index + 1),
  );
  const { counters } = (await box.status()).serial[0].board;
  assert(counters.gaps > 0, 'the line was bad');
  assert.deepEqual(board.told('refused'), []);
});
