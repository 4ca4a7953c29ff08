import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { silentLog } from '../../src/core/log.ts';
import { Drain, type Sender } from '../../src/upstream/drain.ts';
import { DrainHold } from '../../src/upstream/drain-hold.ts';
import { Pace } from '../../src/upstream/pace.ts';
import { waitFor } from '../support/wait-for.ts';

const LIMIT = { messagesPerSecond: 0, bytesPerSecond: 0 };

/** Lanes by rank with endless or counted work; `log` has who sent, record by record. */
function setting(options: { share?: number; total: number; pace?: Pace; isShared?: boolean }) {
  const log: string[] = [];
  const drain: Drain = new Drain({
    pace: options.pace ?? new Pace(LIMIT),
    share: options.share ?? 0.1,
    writable: () => log.length < options.total,
    isShared: () => options.isShared ?? false,
  });
  const lane = (name: string, rank: number, records = Infinity): Sender & { open: boolean } => {
    let left = records;
    const sender = {
      rank,
      open: true,
      send(count: number): number {
        let sent = 0;
        while (sent < count && left > 0 && log.length < options.total && drain.paced(1)) {
          log.push(name);
          left--;
          sent++;
        }
        return sent;
      },
    };
    drain.join(sender);
    return sender;
  };
  const count = (name: string) => log.filter((one) => one === name).length;
  const settled = async () => {
    for (let turns = 0; turns < 200; turns++) await turn();
  };
  return { drain, lane, log, count, settled };
}

describe('whose turn it is', () => {
  it('the important lane goes first, and the others get their share of what it sends', async () => {
    const { drain, lane, count, settled } = setting({ total: 10_000 });
    for (const sender of [lane('low', 9), lane('high', 1), lane('middle', 5)]) drain.schedule(sender);
    await settled();
    assert.equal(count('high') + count('middle') + count('low'), 10_000);
    assert(count('high') >= 8_800 && count('high') <= 9_100, `${count('high')} of the important lane`);
    assert(count('middle') >= 350 && count('low') >= 350, `${count('middle')} and ${count('low')} of the others`);
  });

  it('beside live messages it rests after each burst, and not without them', async () => {
    for (const isShared of [true, false]) {
      const { drain, lane, count, settled } = setting({ total: 10_000, isShared });
      drain.schedule(lane('one', 1));
      const startedMs = performance.now();
      await settled();
      // A rest is a millisecond at the least.
      const most = isShared ? 32 * (2 + performance.now() - startedMs) : 10_000;
      assert(count('one') <= most && (isShared || count('one') === most), `${count('one')} of ${most}`);
      await waitFor('the rest', () => count('one') === 10_000);
    }
  });

  it('with no share nothing overtakes it, and the next lane begins when it has nothing', async () => {
    const { drain, lane, log, settled } = setting({ total: 3_000, share: 0 });
    for (const sender of [lane('low', 9), lane('high', 1, 2_000)]) drain.schedule(sender);
    await settled();
    assert.deepEqual([log.indexOf('low'), log.lastIndexOf('high')], [2_000, 1_999]);
  });

  it('lanes of one rank take turns', async () => {
    const { drain, lane, count, settled } = setting({ total: 1_000 });
    for (const sender of [lane('a', 5), lane('b', 5)]) drain.schedule(sender);
    await settled();
    assert(Math.abs(count('a') - count('b')) <= 32, `${count('a')} and ${count('b')}`);
  });

  it('the limit is handed out by rank, too', async () => {
    const pace = new Pace({ messagesPerSecond: 2_000, bytesPerSecond: 0 });
    const { drain, lane, log, count } = setting({ total: 600, pace });
    for (const sender of [lane('low', 9), lane('high', 1)]) drain.schedule(sender);
    await waitFor('all', () => log.length === 600);
    assert(count('high') >= 500, `${count('high')} of 600`);
    assert(count('low') >= 30, `${count('low')} of 600`);
  });

  it('a lane that is held loses its turn and has it again when it is open', async () => {
    const { drain, lane, log, settled } = setting({ total: 200 });
    const high = lane('high', 1, 100);
    high.open = false;
    for (const sender of [high, lane('low', 9, 100)]) drain.schedule(sender);
    await settled();
    assert.deepEqual([...new Set(log)], ['low']);
    high.open = true;
    drain.resume();
    await settled();
    assert.equal(log.lastIndexOf('high'), 199);
  });
});

describe('what holds a lane', () => {
  const at = (time: string) => new Date(`2026-03-04T${time}`);
  const hours = { windows: ['* 1-4 * * *', '30 12 * * *'], overridePriority: 2 };

  it('the hours: a minute counts as a whole, and important lanes go at any time', async () => {
    let opened = 0;
    const hold = new DrainHold(hours, silentLog, () => opened++);
    await hold.start();
    const open = (time: string, priority = 5) => {
      hold.tick(at(time), 0);
      return hold.isOpen('lane', priority);
    };
    assert.deepEqual(
      [open('00:59:59'), open('01:00:00'), open('04:59:59.999'), open('05:00:00')],
      [false, true, true, false],
    );
    assert.deepEqual([open('12:30:30'), open('12:31:00')], [true, false]);
    assert.equal(opened, 2);
    assert.deepEqual([open('09:00:00', 2), open('09:00:00', 3)], [true, false]);
    assert.match(hold.reason('lane', 3)?.message ?? '', /outside the drain windows \(\* 1-4/);
    assert.equal(hold.reason('lane', 1), null);
  });

  it('a pause: of one lane or all, for a time or until it is resumed; no priority overrides it', () => {
    let resumed = 0;
    const hold = new DrainHold({ windows: [], overridePriority: 9 }, silentLog, () => resumed++);
    hold.pause('a', 'me', 0, 0);
    assert.deepEqual([hold.isOpen('a', 1), hold.isOpen('b', 9)], [false, true]);
    hold.pause('*', 'me', 5_000, 1_000);
    assert.equal(hold.isOpen('b', 1), false);
    assert.equal(hold.status(2_000).paused.find(({ lane }) => lane === '*')?.leftMs, 4_000);
    hold.tick(at('09:00:00'), 5_999);
    assert.equal(hold.isOpen('b', 1), false);
    hold.tick(at('09:00:00'), 6_000);
    assert.deepEqual([hold.isOpen('b', 1), hold.isOpen('a', 1), resumed], [true, false, 1]);
    assert.match(hold.reason('a', 1)?.message ?? '', /paused by me/);
    hold.resume('*', 'me');
    assert.equal(hold.isOpen('a', 1), true);
  });
});
