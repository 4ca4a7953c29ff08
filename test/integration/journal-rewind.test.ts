import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { it } from 'node:test';
import type { Journal } from '../../src/store/journal.ts';
import { ledgerOf, message, openFile, openJournal, produce } from '../support/journal.ts';
import { tempDir } from '../support/temp.ts';

/**
 * Goal: numbers that a lane went back over and has no record of are remembered until it is known which of them the hub has,
 * and the others are declared, once. Method: a journal whose file lost some batches, copied as a crash leaves it.
 */

const KEEP = { ms: 600_000, bytesMax: 64 * 1024 * 1024 };
const ROLLED_BACK = { stream: 'S', created: 'monday', has: 20, lastSequence: 20, isOwn: false };
const NEWEST = { record: 20, before: 20 };

const unkept = (journal: Journal) => journal.records.resume(0).unkept;
const named = async (journal: Journal, count: number) => {
  const rows = await ledgerOf(journal, (all) => all.length >= count);
  return rows.map(({ reason, first, last }) => [reason, first, last]);
};

it('declares what neither the store nor the hub has, whatever happens between', async (scope) => {
  const folder = tempDir(scope, 'journal');
  const first = await openJournal(scope, { folder, keep: KEEP });
  await first.records.place(0, { stream: 'S', created: 'monday', sequence: 0 });
  // Each in a batch of its own.
  for (let n = 1; n <= 100; n++) await produce(first, 0, 1, () => message('s', String(n)));
  first.records.acknowledge(0, 90, 90);
  await first.records.place(0, { stream: 'S', created: 'monday', sequence: 90 });
  await first.stop();
  const file = openFile(folder);
  file.exec('DELETE FROM batch WHERE id & 0xfff BETWEEN 41 AND 60');
  file.close();

  const second = await openJournal(scope, { folder, keep: KEEP });
  assert.deepEqual(await second.records.rewind(0, { ...ROLLED_BACK, newest: NEWEST }), {
    isBack: true,
    isShort: false,
  });
  assert.deepEqual([second.records.resume(0).cursor, unkept(second)], [0, [[41, 60]]]);
  const crashed = tempDir(scope, 'crashed');
  cpSync(folder, crashed, { recursive: true });

  const third = await openJournal(scope, { folder: crashed, keep: KEEP });
  assert.deepEqual(unkept(third), [[41, 60]]);
  assert(third.records.resume(0).isSparse);
  // Of one stream nobody knows.
  await third.records.settle(0, new Set([50]), 42, false);
  assert.deepEqual(unkept(third), [
    [43, 49],
    [51, 60],
  ]);
  assert.deepEqual(third.status().store?.ledger, []);
  await third.records.settle(0, new Set([55]), 0, true);
  assert.deepEqual(unkept(third), []);
  const told = [
    ['forgotten', 43, 49],
    ['forgotten', 51, 54],
    ['forgotten', 56, 60],
  ];
  assert.deepEqual(await named(third, 3), told);

  // Once more, and this time the hub has nothing at all.
  third.records.acknowledge(0, 90, 70);
  await third.records.place(0, { stream: 'S', created: 'monday', sequence: 90 });
  const nothing = { ...ROLLED_BACK, has: 0, lastSequence: 0, newest: { record: 0, before: 0 } };
  await third.records.rewind(0, nothing);
  await third.records.settle(0, new Set(), 0, true);
  assert.deepEqual(await named(third, 6), [
    ...told,
    ['forgotten', 41, 42],
    ['forgotten', 50, 50],
    ['forgotten', 55, 55],
  ]);
});

it('goes back to the newest record that the stream has, where its watermarks do not reach so far', async (scope) => {
  const folder = tempDir(scope, 'journal');
  const journal = await openJournal(scope, { folder, keep: { ms: 0, bytesMax: 0 } });
  await journal.records.place(0, { stream: 'S', created: 'monday', sequence: 0 });
  for (let n = 1; n <= 30; n++) await produce(journal, 0, 1, () => message('s', String(n)));
  journal.records.acknowledge(0, 30, 30);
  await journal.stop();
  const again = await openJournal(scope, { folder, keep: { ms: 0, bytesMax: 0 } });
  await again.records.place(0, { stream: 'S', created: 'monday', sequence: 30 });
  await again.stop();

  const third = await openJournal(scope, { folder, keep: { ms: 0, bytesMax: 0 } });
  assert.deepEqual(await third.records.rewind(0, { ...ROLLED_BACK, newest: null }), { isBack: false, isShort: true });
  assert.deepEqual([third.records.resume(0).cursor, unkept(third)], [30, []], 'nobody can name them');
  const further = { ...ROLLED_BACK, has: 10, lastSequence: 10, newest: { record: 10, before: 9 } };
  assert.deepEqual(await third.records.rewind(0, further), { isBack: true, isShort: false });
  const { cursor, positions } = third.records.resume(0);
  assert.deepEqual([cursor, unkept(third)], [10, [[11, 30]]]);
  assert.deepEqual(positions, [{ stream: 'S', created: 'monday', sequence: 9 }]);
});

it('knows after a restart how far beyond its position in a stream a lane had come', async (scope) => {
  const folder = tempDir(scope, 'journal');
  const half = { stream: 'S', created: 'monday', sequence: 20, reach: 40 };
  const journal = await openJournal(scope, { folder, keep: KEEP });
  await produce(journal, 0, 50, () => message('s', '1'));
  await journal.records.place(0, { stream: 'S', created: 'monday', sequence: 0 });
  journal.records.acknowledge(0, 30, 30);
  await journal.records.place(0, half);
  await journal.stop();
  const again = await openJournal(scope, { folder, keep: KEEP });
  assert.deepEqual(again.records.resume(0).positions, [half]);
  // The stream lost the last that was passed: it is not enough that it has the position.
  const rollback = { ...ROLLED_BACK, has: 35, lastSequence: 35, newest: null };
  assert.deepEqual(await again.records.rewind(0, rollback), { isBack: true, isShort: false });
  const back = { stream: 'S', created: 'monday', sequence: 0 };
  assert.deepEqual(again.records.resume(0).positions, [back]);
  again.records.acknowledge(0, 30, 30);
  await again.records.place(0, half);
  await again.records.place(0, { stream: 'S', created: 'monday', sequence: 45 });
  await again.stop();
  const file = openFile(folder);
  assert.deepEqual(file.prepare('SELECT * FROM reach').all(), [], 'the whole of it is passed');
  // As a release leaves it that has no such table.
  file.exec("INSERT INTO reach SELECT lane, stream, 20, 40 FROM position WHERE stream = 'S'");
  file.close();
  const third = await openJournal(scope, { folder, keep: KEEP });
  assert.deepEqual(third.records.resume(0).positions, [{ ...back, sequence: 45 }]);
});
