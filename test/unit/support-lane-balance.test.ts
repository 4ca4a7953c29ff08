import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BalanceReport, LaneBalance } from '../support/lane-balance.ts';
import { SeededRandom } from '../support/seeded-random.ts';

type Range = [first: number, last: number];

function balance(records: readonly number[], ranges: readonly Range[], lastSequence: number): Partial<BalanceReport> {
  const account = new LaneBalance('bench');
  for (const sequence of records) account.addRecord(`box.e1.bench.${sequence}`);
  for (const [first, last] of ranges) account.addDeclaration(row({ first, last, count: last - first + 1 }));
  const { both, neither, twice } = account.report(lastSequence);
  return { both, neither, twice };
}

function row(fields: object): Buffer {
  return Buffer.from(JSON.stringify({ epoch: 'e1', lane: 'bench', reason: 'evicted', ...fields }));
}

test('records and declared ranges that meet are in balance', () => {
  assert.deepEqual(
    balance(
      [4, 5, 8],
      [
        [1, 3],
        [6, 7],
      ],
      8,
    ),
    { both: 0, neither: 0, twice: 0 },
  );
});

test('a sequence that is neither stored nor declared is seen, also at the end', () => {
  assert.deepEqual(balance([4, 5], [[1, 2]], 6), { both: 0, neither: 2, twice: 0 });
});

test('a record that was declared lost and arrived is seen', () => {
  assert.deepEqual(balance([3, 4], [[1, 3]], 4), { both: 1, neither: 0, twice: 0 });
});

test('a record stored twice, or declared twice, is seen', () => {
  assert.deepEqual(
    balance(
      [3, 3, 4],
      [
        [1, 2],
        [2, 2],
      ],
      4,
    ),
    { both: 0, neither: 0, twice: 2 },
  );
});

test('refused messages are counted apart; a row whose count is not that of its range is seen', () => {
  const account = new LaneBalance('bench');
  account.addDeclaration(row({ reason: 'refused', first: null, last: null, count: 12 }));
  account.addDeclaration(row({ first: 1, last: 3, count: 2 }));
  account.addDeclaration(row({ lane: 'other', first: 1, last: 3, count: 3 }));
  const { refused, declared, uneven, twice } = account.report(3);
  assert.deepEqual({ refused, declared, uneven, twice }, { refused: 12, declared: 3, uneven: 1, twice: 0 });
});

test('a second epoch ends the account: its numbers would say nothing', () => {
  const account = new LaneBalance('bench');
  account.addRecord('box.e1.bench.1');
  assert.throws(() => account.addRecord('box.e2.bench.2'), /epoch/);
});

test('the same seed draws the same moments, another one others, all within bounds', () => {
  const draw = (seed: number) => new SeededRandom(seed).moments(50, 100, 200);
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
  assert.ok(draw(3).every((moment, index, all) => moment >= (all[index - 1] ?? 100) && moment < 200));
});
