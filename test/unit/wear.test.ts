import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Wear } from '../../src/ops/wear.ts';

const HOUR_MS = 3_600_000;
const GiB = 2 ** 30;

/** A box that writes 1 MB and commits 10 times a minute. */
function box(enduranceBytes: number) {
  let atMs = 0;
  const wear = new Wear(
    enduranceBytes,
    () => (atMs / 60_000) * 10,
    () => (atMs / 60_000) * 1e6,
  );
  const pass = (ms: number) => {
    for (const end = atMs + ms; atMs < end; atMs += 1_000) wear.sample(atMs);
  };
  return { pass, status: () => wear.status(atMs) };
}

test('bytes and commits per hour and day, scaled while less has been seen', () => {
  const { pass, status } = box(0);
  const unknown = { bytesPerHour: null, bytesPerDay: null, commitsPerHour: null, commitsPerDay: null };
  assert.deepEqual(status(), { bytesWritten: 0, commits: 0, ...unknown, cardLifeDays: null });
  pass(7_000);
  assert.equal(status().bytesPerDay, null, 'what a start takes is not what a day takes');
  pass(10 * 60_000 - 7_000);
  const early = status();
  assert.deepEqual([early.bytesWritten, early.commits], [10e6, 100]);
  assert.deepEqual([early.bytesPerHour, early.bytesPerDay, early.commitsPerHour], [60e6, null, 600]);
  pass(20 * 60_000);
  assert.deepEqual([status().bytesPerDay, status().commitsPerDay], [1440e6, 14_400]);
  pass(50 * HOUR_MS);
  const late = status();
  assert.deepEqual([late.bytesPerHour, late.bytesPerDay, late.commitsPerDay], [60e6, 1440e6, 14_400]);
  assert.equal(late.cardLifeDays, null, 'no endurance is configured');
});

test('the life of the card is what it endures by what a day takes', () => {
  const { pass, status } = box(1024 * GiB);
  pass(30_000);
  assert.equal(status().cardLifeDays, null, 'half a minute tells nothing');
  pass(10 * 60_000);
  assert.equal(status().cardLifeDays, null, 'nor do ten');
  pass(HOUR_MS);
  assert.equal(status().cardLifeDays, Math.round((1024 * GiB) / 1440e6));
});

test('the last hour forgets what was before it', () => {
  let bytes = 0;
  const wear = new Wear(
    0,
    () => 0,
    () => bytes,
  );
  for (let ms = 0; ms <= 6 * HOUR_MS; ms += 1_000) {
    // A backlog that drained long ago.
    if (ms < HOUR_MS) bytes += 1_000_000;
    wear.sample(ms);
  }
  const { bytesPerHour, bytesPerDay } = wear.status(6 * HOUR_MS);
  assert.equal(bytesPerHour, 0);
  assert(bytesPerDay !== null && bytesPerDay > 0);
});
