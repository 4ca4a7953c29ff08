import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Headroom } from '../../src/core/headroom.ts';
import { UNREAD } from '../../src/nats/output.ts';

/**
 * Goal: a backlog fills the line and no more, whatever the line, so that a live message waits little behind it. Method: a
 * line of a rate and a length, played in time of its own: no clock, no socket.
 */

const RECORD_BYTES = 300;
const STEP_MS = 0.5;

interface Line {
  bytesPerMs: number;
  rttMs: number;
}

/** Sends records as fast as the headroom lets them for `ms`; the line may become another one half way. */
function drain(lines: readonly Line[], ms: number) {
  const headroom = new Headroom(UNREAD);
  let written = 0;
  let passed = 0;
  const pings: number[] = [];
  const pongs: number[] = [];
  const waits: number[] = [];
  for (let now = 0; now < ms; now += STEP_MS) {
    const line = lines[Math.floor((now / ms) * lines.length)] as Line;
    while (pongs[0] !== undefined && pongs[0] <= now) {
      pongs.shift();
      headroom.answered(now, true);
    }
    const probe = () => {
      if (!headroom.isProbeDue(written)) return;
      headroom.probed(written, now);
      pings.push(written);
    };
    probe();
    while (headroom.has(written)) {
      written += RECORD_BYTES;
      probe();
    }
    passed = Math.min(written, passed + line.bytesPerMs * STEP_MS);
    for (; pings[0] !== undefined && pings[0] <= passed; pings.shift()) pongs.push(now + line.rttMs);
    if (now > ms * 0.75) waits.push((written - passed) / line.bytesPerMs);
  }
  const queue = waits.sort((a, b) => a - b);
  return { bytes: passed, queueMs: queue[Math.floor(queue.length * 0.99)] ?? 0 };
}

describe('the headroom of a link', () => {
  const lines: Record<string, Line> = {
    'of a local network': { bytesPerMs: 12_500, rttMs: 0.5 },
    'over LTE': { bytesPerMs: 1_250, rttMs: 50 },
    'over the sea': { bytesPerMs: 6_250, rttMs: 200 },
    'that is thin': { bytesPerMs: 25, rttMs: 100 },
  };
  for (const [what, line] of Object.entries(lines)) {
    it(`${what} is filled, and no queue grows before it`, () => {
      const ms = 40_000;
      const { bytes, queueMs } = drain([line], ms);
      const used = bytes / (line.bytesPerMs * ms);
      assert(used > 0.7, `${used} of the line`);
      // A thin line takes that long for the few records that are always let go.
      const least = (16 * 1024) / line.bytesPerMs;
      assert(queueMs < line.rttMs + Math.max(10, least), `${queueMs} ms`);
    });
  }

  it('follows a line that becomes another one', () => {
    const [fast, slow] = [lines['of a local network'] as Line, lines['over LTE'] as Line];
    const ms = 60_000;
    assert(drain([fast, slow], ms).queueMs < slow.rttMs + 10);
    const { bytes } = drain([slow, fast], ms);
    assert(bytes > fast.bytesPerMs * (ms / 2) * 0.6, `${bytes}`);
  });

  it('does not hold up what never filled it to measure the line again', () => {
    const headroom = new Headroom({ ...UNREAD, apart: 1 });
    let written = 0;
    for (let now = 0; now < 60_000; now += 10) {
      assert(headroom.has(written), `${now} ms`);
      written += RECORD_BYTES;
      headroom.probed(written, now);
      headroom.answered(now + 1, true);
    }
  });

  it('begins to count anew where no answer comes any more', () => {
    const headroom = new Headroom(UNREAD);
    headroom.probed(1_000, 0);
    assert.equal(headroom.awaited, 1_000);
    assert.equal(headroom.has(UNREAD.first), false);
    headroom.restart();
    assert.equal(headroom.awaited, Infinity);
    assert.equal(headroom.has(UNREAD.first - 1), true);
    assert.equal(headroom.has(UNREAD.first), false);
  });

  it('of a busy hub goes back only where somebody waits behind it', () => {
    const left = (isShared: boolean) => {
      const headroom = new Headroom(UNREAD);
      // An answer of a fast line, then those of a machine that has no time.
      for (let n = 0; n < 1_000; n++) {
        headroom.probed(n * UNREAD.apart, n * 100);
        headroom.answered(n * 100 + (n === 0 ? 1 : 30), isShared);
      }
      return [UNREAD.min, UNREAD.first, UNREAD.max - 1].map((bytes) => headroom.has(999 * UNREAD.apart + bytes));
    };
    assert.deepEqual(left(true), [false, false, false]);
    assert.deepEqual(left(false), [true, true, true]);
  });

  it('never waits without a PING on its way', () => {
    const headroom = new Headroom(UNREAD);
    let written = 0;
    for (let n = 0; n < 10_000; n++) {
      let probes = 0;
      while (headroom.has(written)) {
        written += RECORD_BYTES;
        if (!headroom.isProbeDue(written)) continue;
        headroom.probed(written, n);
        probes++;
      }
      assert(probes > 0 || !headroom.isProbeDue(written));
      // Answers of all lengths make budgets of all sizes.
      headroom.answered(n + (n % 7) * 10, true);
    }
    assert(written > 10_000 * RECORD_BYTES);
  });
});
