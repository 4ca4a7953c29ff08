import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DOUBT_RECORDS_MAX, DOUBT_SHARE, DoubtWindow, type Span } from '../../src/store/doubt-window.ts';

/** Spans one behind the other, from 1. */
function spans(...sizes: [count: number, bytes: number][]): Span[] {
  let first = 1;
  return sizes.map(([count, bytes]) => {
    const span = { first, count, bytes };
    first += count;
    return span;
  });
}

const [a, b, c] = spans([10, 100], [10, 100], [10, 100]) as [Span, Span, Span];

describe('the doubt window', () => {
  it('lets batches in up to a share of the lane, and again once the cursor has moved', () => {
    const window = new DoubtWindow(0, 200 * DOUBT_SHARE);
    assert(window.admit(a));
    assert(window.admit(b));
    assert.equal(window.admit(c), false);
    assert.equal(window.end, 20);
    assert(window.admit(a), 'what is inside stays inside');
    window.advance(9);
    assert.equal(window.admit(c), false, 'a batch leaves as a whole');
    window.advance(10);
    assert(window.admit(c));
    assert.equal(window.end, 30);
  });

  it('is bounded in records too, and takes any batch while it is empty', () => {
    const [huge, next] = spans([DOUBT_RECORDS_MAX + 5, 1], [1, 1]) as [Span, Span];
    const window = new DoubtWindow(0, Infinity);
    assert(window.admit(huge));
    assert.equal(window.admit(next), false);
    window.advance(huge.count);
    assert(window.admit(next));
  });

  it('gives back what was not sent, by whole batches', () => {
    const window = new DoubtWindow(0, Infinity);
    for (const span of [a, b, c]) window.admit(span);
    window.release(0, 11);
    assert.equal(window.end, 20);
    window.release(0, 0);
    assert.equal(window.end, 0);
    window.release(7, 7);
    assert.equal(window.end, 7);
  });

  it('keeps a cursor that has overtaken it', () => {
    const window = new DoubtWindow(0, Infinity);
    window.admit(a);
    window.advance(500);
    assert.equal(window.end, 500);
    assert(window.admit(a), 'behind the cursor nothing is refused');
  });

  it('counts back to nothing whatever comes in whatever order', () => {
    const sizes = fc.array(fc.tuple(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 1, max: 900 })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(sizes, fc.array(fc.nat({ max: 20_000 }), { maxLength: 20 }), (given, moves) => {
        const bound = 2_000;
        const window = new DoubtWindow(0, bound * DOUBT_SHARE);
        let cursor = 0;
        const all = spans(...given);
        const last = all.at(-1);
        const total = last ? last.first + last.count - 1 : 0;
        for (const move of moves) {
          for (const span of all) if (span.first > window.end && !window.admit(span)) break;
          const held = all.filter(({ first, count }) => first + count - 1 > cursor && first <= window.end);
          const bytes = held.reduce((sum, span) => sum + span.bytes, 0);
          assert(held.length <= 1 || bytes <= bound, `${bytes} bytes in doubt`);
          cursor = Math.min(Math.max(cursor, move), window.end);
          if (move % 2 === 0) window.advance(cursor);
          else window.release(cursor, cursor);
        }
        window.advance(total);
        assert(
          window.admit({ first: total + 1, count: DOUBT_RECORDS_MAX, bytes: bound }),
          'an empty window has all its room',
        );
      }),
    );
  });
});
