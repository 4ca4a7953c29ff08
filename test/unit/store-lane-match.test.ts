import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LaneMatch } from '../../src/store/lane-match.ts';
import { LatencyWindow } from '../../src/store/latency-window.ts';
import { message } from '../support/journal.ts';

const to = (subject: string, reply = '') => ({ ...message(subject, ''), reply });

describe('the lane of a message', () => {
  const match = new LaneMatch([
    { subjects: ['*.alarm.>', 'fire'], replies: 'receipt' },
    { subjects: ['line3.>'], replies: 'pass' },
    { subjects: ['$SYS.box.>'], replies: 'receipt' },
    { subjects: ['>'], replies: 'receipt' },
  ]);

  it('is the first whose filters match', () => {
    for (const round of ['asked', 'remembered']) {
      assert.equal(match.laneOf(to('line3.alarm.hot')), 0, round);
      assert.equal(match.laneOf(to('fire')), 0, round);
      assert.equal(match.laneOf(to('line3.temp')), 1, round);
      assert.equal(match.laneOf(to('line4.temp')), 3, round);
      assert.equal(new LaneMatch([{ subjects: ['a'], replies: 'pass' }]).laneOf(to('b')), -1, round);
    }
  });

  it('leaves requests live where the lane passes replies, whatever was remembered', () => {
    assert.equal(match.laneOf(to('line3.ask')), 1);
    assert.equal(match.laneOf(to('line3.ask', '_INBOX.x')), -1);
    assert.equal(match.laneOf(to('line4.ask', '_INBOX.x')), 3);
  });

  it('takes system subjects only where a filter names them', () => {
    assert.equal(match.laneOf(to('$JS.API.INFO')), -1);
    assert.equal(match.laneOf(to('_INBOX.abc')), -1);
    assert.equal(match.laneOf(to('$SYS.box.up')), 2);
  });

  it('takes what boxes say of themselves only where a filter names it', () => {
    assert.equal(match.laneOf(to('petiole.plant1.health')), -1);
    const named = new LaneMatch([{ subjects: ['petiole.*.health'], replies: 'receipt' }]);
    assert.equal(named.laneOf(to('petiole.plant1.health')), 0);
  });

  it('is right for more subjects than it remembers, and for very long ones', () => {
    for (let i = 0; i < 10_000; i++) assert.equal(match.laneOf(to(`line3.s${i}`)), 1);
    const long = `line3.${'x'.repeat(5_000)}`;
    assert.equal(match.laneOf(to(long)), 1);
    assert.equal(match.laneOf(to(long, 'r')), -1);
  });
});

describe('the latency window', () => {
  it('knows median and tail of the newest samples', () => {
    const window = new LatencyWindow();
    assert.equal(window.quantile(0.5), 0);
    window.add(7);
    assert.equal(window.quantile(0.99), 7);
    for (let ms = 1; ms <= 1_000; ms++) window.add(ms);
    // 512 are left: 489 to 1000.
    assert.equal(window.quantile(0), 489);
    assert.equal(window.quantile(0.5), 745);
    assert.equal(window.quantile(0.99), 995);
    assert.equal(window.quantile(1), 1_000);
  });
});
