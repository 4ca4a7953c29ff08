import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/core/errors.ts';
import { drain, laneOf, message, openJournal, produce } from '../support/journal.ts';
import { tempDir } from '../support/temp.ts';
import { startUplinkProcess } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

const text = (n: number) => message(`t.${n % 7}`, `${n}`);
const numbers = (count: number, first = 1) => Array.from({ length: count }, (_, i) => first + i);

describe('the journal', () => {
  it('gives receipts in the order of the appends, over all lanes, and only when the records are on disk', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const journal = await openJournal(scope, { folder, lanes: [{ name: 'a', subjects: ['a'] }, { name: 'b' }] });
    const order: number[] = [];
    const commits = journal.status().commits;
    await new Promise<void>((resolve) => {
      const receipt = {
        accepted(n: number) {
          assert(journal.status().commits > commits, 'after a commit');
          order.push(n);
          if (order.length === 5_000) resolve();
        },
        refused: (_n: number, error: Error) => assert.fail(error),
      };
      for (const n of numbers(5_000)) {
        const one = message(n % 3 === 0 ? 'a' : 'b', `${n}`);
        journal.append(journal.laneOf(one), one, receipt, n, 0);
      }
      assert.equal(order.length, 0, 'never at once');
    });
    assert.deepEqual(order, numbers(5_000));
    await journal.stop();
    const again = await openJournal(scope, { folder, lanes: [{ name: 'a', subjects: ['a'] }, { name: 'b' }] });
    assert.equal((await drain(again, 0)).length, 1_666);
    assert.equal((await drain(again, 1)).length, 3_334);
  });

  it('has over a restart what it had, in order, byte by byte', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const first = await openJournal(scope, { folder });
    const headers = Buffer.from('NATS/1.0\r\nA: b\r\n\r\n');
    const given = numbers(500).map((n) => ({ ...message(`größe.${n}`, Buffer.alloc(n, n), 1_000_000 - n), headers }));
    await produce(first, 0, 500, (n) => given[n - 1] ?? assert.fail());
    await first.stop();
    const second = await openJournal(scope, { folder });
    assert.equal(laneOf(second, 0).depth, 500);
    const records = await drain(second, 0);
    assert.deepEqual(
      records.map(({ sequence: _, ...record }) => record),
      given.map(({ subject, receivedAtMs, payload }) => ({ subject, receivedAtMs, headers, payload })),
    );
    assert.deepEqual(
      records.map(({ sequence }) => sequence),
      numbers(500),
    );
  });

  it('goes on counting after everything was trimmed, in the same epoch', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const first = await openJournal(scope, { folder });
    await produce(first, 0, 100, text);
    assert.equal((await drain(first, 0)).length, 100);
    await first.stop();
    const second = await openJournal(scope, { folder });
    assert.equal(second.epoch, first.epoch);
    const { depth, bytes, lastSequence, cursor } = laneOf(second, 0);
    assert.deepEqual([depth, bytes, lastSequence, cursor], [0, 0, 100, 100]);
    await produce(second, 0, 1, text);
    assert.equal((await drain(second, 0))[0]?.sequence, 101);
  });

  it('keeps messages larger than a batch among small ones', async (scope) => {
    const journal = await openJournal(scope);
    const sizes = [10, 900_000, 10, 10, 256 * 1024, 2_000_000, 10];
    await produce(journal, 0, sizes.length, (n) => message('big', Buffer.alloc(sizes[n - 1] ?? 0, n)));
    const records = await drain(journal, 0);
    assert.deepEqual(
      records.map(({ payload }) => payload.length),
      sizes,
    );
    assert(records.every(({ payload }, i) => payload.every((byte) => byte === i + 1)));
  });

  it('refuses what would wait for the disk beyond its bound, and takes more afterwards', async (scope) => {
    const journal = await openJournal(scope);
    const payload = Buffer.alloc(1024 * 1024);
    const { accepted, refused } = await produce(journal, 0, 40, () => message('m', payload), { ahead: 40 });
    assert.deepEqual(accepted, numbers(accepted.length), 'the first ones');
    assert(accepted.length >= 16 && accepted.length <= 18, `${accepted.length} accepted`);
    assert(refused.every(({ error }) => error instanceof GatewayError && error.code === 'queue_full'));
    assert.equal(accepted.length + refused.length, 40);
    assert.equal((await produce(journal, 0, 1, text)).accepted.length, 1);
    assert.equal(laneOf(journal, 0).lastSequence, accepted.length + 1);
  });

  it('commits what it has when it stops, and refuses what comes later', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const journal = await openJournal(scope, { folder });
    const before = produce(journal, 0, 1000, text);
    const stopped = Promise.all([journal.stop(), journal.stop()]);
    const after = produce(journal, 0, 1, text);
    assert.equal((await before).accepted.length, 1000);
    assert.equal((await after).refused.length, 1);
    await stopped;
    assert.equal((await drain(await openJournal(scope, { folder }), 0)).length, 1000);
  });

  it('is one for each folder: a second process is told so, and the first goes on', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const first = await openJournal(scope, { folder });
    await produce(first, 0, 10, text);
    const second = startUplinkProcess({ folder, leafUrl: '', first: 1, limitPerTurn: 1 });
    assert.equal((await second.exited).code, 1);
    assert(
      second.lines.some((line) => line.includes("code: 'store_locked'")),
      second.lines.join('\n'),
    );
    await produce(first, 0, 10, text);
    assert.equal((await drain(first, 0)).length, 20);
  });

  it('counts what is left over holes and before the cursor is on disk', async (scope) => {
    const lanes = [{ bytesMax: 64 * 1024, full: 'drop-oldest' as const }];
    const journal = await openJournal(scope, { lanes });
    await produce(journal, 0, 3_000, (n) => message('t', Buffer.alloc(100, n)));
    await waitFor('the figures', () => laneOf(journal, 0).lastSequence === 3_000);
    const { depth, evicted } = laneOf(journal, 0);
    assert.equal(depth + evicted, 3_000);
    const { batches } = await journal.records.read(0, 0);
    const last = batches[0]?.last ?? 0;
    const count = last - (batches[0]?.first ?? 0) + 1;
    assert(last > count, 'there is a hole before it');
    journal.records.acknowledge(0, last, count);
    assert.equal(laneOf(journal, 0).persistedCursor, 0);
    assert.equal(laneOf(journal, 0).depth, depth - count);
  });

  it('rejects a folder that it can not use, and stops at once afterwards', async (scope) => {
    const journal = openJournal(scope, { folder: '/dev/null/petiole' });
    await assert.rejects(journal, (error: unknown) => error instanceof GatewayError && error.code === 'store_failed');
  });
});
