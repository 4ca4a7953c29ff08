import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ranges } from '../../src/core/ranges.ts';

test('a set of ranges is a set of numbers', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.nat(8))
    .map(([first, more]) => [first, first + more] as const);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), (added) => {
      const ranges = new Ranges();
      const plain = new Set<number>();
      for (const [first, last] of added) {
        const before = plain.size;
        for (let n = first; n <= last; n++) plain.add(n);
        assert.equal(ranges.add(first, last), plain.size > before);
      }
      const flat = (all: Iterable<readonly [number, number]>) =>
        [...all].flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
      assert.deepEqual(
        flat(ranges),
        [...plain].sort((a, b) => a - b),
      );
      assert.equal(ranges.count, plain.size);
      const missing = Array.from({ length: 70 }, (_, i) => i + 1).filter((n) => !plain.has(n));
      assert.deepEqual(flat(ranges.missing(1, 70)), missing);
      for (let n = 0; n < 75; n++) assert.equal(ranges.has(n), plain.has(n));
      const bounds = [...ranges].flat();
      assert(bounds.every((n, i) => i === 0 || n > (bounds[i - 1] ?? 0) || i % 2 === 1));
    }),
  );
});
