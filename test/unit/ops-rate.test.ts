import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { forecast, RATE_WINDOW_S, RateMeter } from '../../src/ops/rate.ts';

test('a meter that has seen nothing reads 0', () => {
  assert.equal(new RateMeter().perSecond(5000), 0);
});

test('a steady flow reads as what it is, soon and for ever', () => {
  const meter = new RateMeter();
  for (let ms = 0; ms < 60_000; ms += 10) {
    meter.add(1, ms);
    // 100/s: a message more or less, while the window is short.
    if (ms >= 1000) assert.ok(Math.abs(meter.perSecond(ms) - 100) <= 1.5, `${meter.perSecond(ms)} at ${ms} ms`);
  }
});

test('the first message is not a thousand a second', () => {
  const meter = new RateMeter();
  meter.add(1, 123_456);
  assert.equal(meter.perSecond(123_457), 1);
});

test('a flow that stops is forgotten after the window', () => {
  const meter = new RateMeter();
  meter.add(500, 1000);
  assert.ok(meter.perSecond(1000 + (RATE_WINDOW_S - 1) * 1000) > 0);
  assert.equal(meter.perSecond(1000 + (RATE_WINDOW_S + 1) * 1000), 0);
  assert.equal(meter.perSecond(10_000_000), 0);
});

test('a clock that steps back neither crashes nor loses events', () => {
  const meter = new RateMeter();
  meter.add(10, 20_000);
  meter.add(10, 5000);
  assert.equal(meter.perSecond(20_000), 20);
  assert.ok(meter.perSecond(5000) >= 0);
});

test('at whole seconds it agrees with counting the events of the window', () => {
  const events = fc.array(
    fc.record({ gapMs: fc.integer({ min: 0, max: 4000 }), count: fc.integer({ min: 0, max: 50 }) }),
  );
  fc.assert(
    fc.property(events, fc.integer({ min: 0, max: 15 }), (list, waitS) => {
      const meter = new RateMeter();
      const seen: { atMs: number; count: number }[] = [];
      let nowMs = 0;
      for (const { gapMs, count } of list) {
        nowMs += gapMs;
        meter.add(count, nowMs);
        seen.push({ atMs: nowMs, count });
      }
      const endMs = (Math.ceil(nowMs / 1000) + waitS) * 1000;
      const fromMs = Math.max(seen[0]?.atMs ?? 0, endMs - RATE_WINDOW_S * 1000);
      const sum = seen
        .filter(({ atMs }) => atMs >= endMs - RATE_WINDOW_S * 1000)
        .reduce((all, { count }) => all + count, 0);
      const expected = (sum * 1000) / Math.max(1000, endMs - fromMs);
      assert.ok(Math.abs(meter.perSecond(endMs) - expected) < 1e-9);
    }),
  );
});

test('a lane is on its way to full, to empty, or to neither', () => {
  const flow = { depth: 100, bytes: 10_000, bytesMax: 20_000, rateInPerS: 0, rateOutPerS: 0 };
  assert.deepEqual(forecast(flow), { timeToFullS: null, timeToEmptyS: null });
  assert.deepEqual(forecast({ ...flow, rateInPerS: 3, rateOutPerS: 1 }), { timeToFullS: 50, timeToEmptyS: null });
  assert.deepEqual(forecast({ ...flow, rateInPerS: 1, rateOutPerS: 5 }), { timeToFullS: null, timeToEmptyS: 25 });
  assert.deepEqual(forecast({ ...flow, bytes: 30_000, rateInPerS: 1 }), { timeToFullS: 0, timeToEmptyS: null });
  assert.deepEqual(forecast({ ...flow, depth: 0, bytes: 0, rateInPerS: 9 }), { timeToFullS: null, timeToEmptyS: null });
});
