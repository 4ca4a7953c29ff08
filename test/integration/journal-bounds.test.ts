import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/core/errors.ts';
import type { LedgerRow } from '../../src/store/losses.ts';
import { RecordSource } from '../../src/upstream/record-source.ts';
import { drain, laneOf, ledgerOf, message, openJournal, produce, storedLedger } from '../support/journal.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const padded = (n: number) => message('t', String(n).padEnd(1000, '.'));
const codeOf = (error: Error | undefined) => (error instanceof GatewayError ? error.code : String(error));
const sum = (rows: readonly Pick<LedgerRow, 'reason' | 'count'>[], reason: string) =>
  rows.filter((row) => row.reason === reason).reduce((total, { count }) => total + count, 0);

/** Every sequence of the rows that name some. */
function* sequencesOf(rows: ReturnType<typeof storedLedger>): Generator<number> {
  for (const { first, last } of rows) for (let n = first ?? 1; n <= (last ?? 0); n++) yield n;
}

describe('a full lane', () => {
  it('drops its oldest records and declares each one', async (scope) => {
    const journal = await openJournal(scope, { lanes: [{ bytesMax: MIB, full: 'drop-oldest' }] });
    const { accepted } = await produce(journal, 0, 5_000, padded);
    assert.equal(accepted.length, 5_000);
    const rows = await ledgerOf(journal, (found) => sum(found, 'evicted') + laneOf(journal, 0).depth === 5_000);
    assert.equal(rows.length, 1, 'a flood is one row');
    const kept = await drain(journal, 0);
    assert(kept.length > 700 && kept.length < 1_050, `${kept.length} kept`);
    assert.deepEqual([rows[0]?.first, rows[0]?.last, rows[0]?.count], [1, 5_000 - kept.length, 5_000 - kept.length]);
    assert.equal(kept[0]?.sequence, 5_000 - kept.length + 1);
    assert.equal(laneOf(journal, 0).evicted, 5_000 - kept.length);
  });

  it('refuses the newest where it is told to, and takes them again after a trim', async (scope) => {
    const journal = await openJournal(scope, { lanes: [{ bytesMax: MIB, full: 'refuse' }] });
    const { accepted, refused } = await produce(journal, 0, 3_000, padded);
    assert.equal(accepted.length + refused.length, 3_000);
    assert.equal(codeOf(refused[0]?.error), 'lane_full');
    assert(laneOf(journal, 0).bytes <= MIB);
    await ledgerOf(journal, (rows) => sum(rows, 'refused') === refused.length);
    const kept = await drain(journal, 0);
    assert.deepEqual(
      kept.map(({ payload }) => Number.parseInt(payload.toString(), 10)),
      accepted,
    );
    await waitFor('the space', async () => (await produce(journal, 0, 1, padded)).accepted.length === 1, {
      timeoutMs: 5_000,
    });
  });

  it('can be small, and drops its oldest under any load', async (scope) => {
    const journal = await openJournal(scope, { lanes: [{ bytesMax: 64 * KIB, full: 'drop-oldest' }] });
    const { accepted } = await produce(journal, 0, 20_000, (n) => message('t', `${n}`), { ahead: 20_000 });
    assert.equal(accepted.length, 20_000);
    assert.equal((await drain(journal, 0)).at(-1)?.sequence, 20_000);
  });

  it('refuses what is larger than the lane', async (scope) => {
    const journal = await openJournal(scope, { lanes: [{ bytesMax: 64 * KIB, full: 'drop-oldest' }] });
    await produce(journal, 0, 3, padded);
    const { refused } = await produce(journal, 0, 1, () => message('t', Buffer.alloc(65 * KIB)));
    assert.equal(codeOf(refused[0]?.error), 'lane_full');
    assert.equal((await drain(journal, 0)).length, 3, 'and evicts nothing for it');
  });

  it('never declares a record lost that its reader got, from memory or from disk', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const journal = await openJournal(scope, { folder, lanes: [{ bytesMax: 256 * KIB, full: 'drop-oldest' }] });
    const got = new Set<number>();
    const source = new RecordSource(journal.records, 0, { arrived: () => {}, undecodable: () => assert.fail() });
    source.begin(0);
    // Now at the end of the lane, now far behind; acknowledged now at once, now later.
    let unacknowledged = 0;
    let calls = 0;
    let last = 0;
    const read = (count: number) => {
      for (let i = 0; i < count; i++) {
        const record = source.peek();
        if (!record) break;
        last = record.sequence;
        assert.equal(Number.parseInt(record.payload.toString(), 10), last);
        got.add(last);
        source.take();
        unacknowledged++;
      }
      if (calls++ % 3 > 0 || unacknowledged === 0) return;
      journal.records.acknowledge(0, last, unacknowledged);
      unacknowledged = 0;
      source.retry();
    };
    const speeds = [1, 5_000, 30, 300];
    const slow = setInterval(() => read(speeds[got.size % speeds.length] ?? 1), 1);
    for (let round = 0; round < 20; round++) {
      await produce(journal, 0, 1_500, padded, { first: round * 1_500 + 1, ahead: round % 2 === 0 ? 20 : 1_000 });
    }
    clearInterval(slow);
    await waitFor('the rest', () => {
      read(5_000);
      return source.exhausted;
    });
    await journal.stop();
    const rows = storedLedger(folder);
    const evicted = [...sequencesOf(rows)];
    assert(evicted.length > 0);
    assert.deepEqual(
      evicted.filter((n) => got.has(n)),
      [],
    );
    assert.equal(evicted.length + got.size, 30_000);
    assert.equal(sum(rows, 'evicted'), evicted.length);
  });
});

describe('the age limit', () => {
  it('expires old records with a ledger row, neither those of a clock that was wrong nor those in doubt', async (scope) => {
    const lanes = [
      { name: 'old', ageMaxMs: 60_000 },
      { name: 'unset', ageMaxMs: 60_000 },
      { name: 'sent', ageMaxMs: 60_000 },
    ];
    const journal = await openJournal(scope, { lanes });
    const longAgo = Date.now() - 120_000;
    await produce(journal, 1, 5, () => message('t', '', 86_400_000));
    await produce(journal, 2, 5, () => message('t', '', longAgo));
    await journal.records.read(2, 0);
    await produce(journal, 0, 5, () => message('t', '', longAgo));
    await produce(journal, 0, 3, () => message('t', ''), { first: 6 });
    const rows = await ledgerOf(journal, (found) => found.length > 0);
    assert.deepEqual(
      rows.map(({ lane, reason, count, first, last }) => [lane, reason, count, first, last]),
      [['old', 'expired', 5, 1, 5]],
    );
    await waitFor('the figures', () => laneOf(journal, 0).expired === 5);
    assert.deepEqual([laneOf(journal, 0).depth, laneOf(journal, 1).depth, laneOf(journal, 2).depth], [3, 5, 5]);
    journal.records.release(2, 0);
    await ledgerOf(journal, (found) => found.some(({ lane }) => lane === 'sent'));
    assert.deepEqual(await journal.records.read(2, 0), { batches: [], end: 5 }, 'a hole up to the end');
    assert.equal((await drain(journal, 0))[0]?.sequence, 6);
  });
});

describe('where a folder lies on a disk with a reserve', () => {
  it('lanes do not grow beyond it, reuse what they have, and are told how to mend it', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const lanes = [
      { name: 'keep', full: 'refuse' as const },
      { name: 'turn', full: 'drop-oldest' as const },
    ];
    const before = await openJournal(scope, { folder, lanes });
    await produce(before, 0, 400, padded);
    await produce(before, 1, 400, padded);
    await before.stop();

    const journal = await openJournal(scope, { folder, lanes, reserveBytes: Number.MAX_SAFE_INTEGER });
    assert(journal.status().store?.reserveReached);
    const kept = await produce(journal, 0, 100, padded);
    assert.equal(codeOf(kept.refused[0]?.error), 'disk_full');
    assert.match(kept.refused[0]?.error instanceof GatewayError ? kept.refused[0].error.hint : '', /journal.reserve/);
    assert.equal(kept.accepted.length, 0);
    const turned = await produce(journal, 1, 300, padded, { ahead: 20 });
    assert.equal(turned.accepted.length, 300, 'in place of the oldest');
    assert(laneOf(journal, 1).evicted > 0);
    // What the hub has acknowledged makes room inside the file, for any lane.
    await drain(journal, 0);
    await journal.stop();
    const after = await openJournal(scope, { folder, lanes, reserveBytes: Number.MAX_SAFE_INTEGER });
    assert.equal((await produce(after, 0, 100, padded)).accepted.length, 100);
    await after.stop();

    const free = await openJournal(scope, { folder, lanes });
    assert.equal((await produce(free, 0, 100, padded)).accepted.length, 100);
    assert.equal((await drain(free, 0)).length, 200);
  });
});

type Fate = { accepted: number; refused: number };

describe('a flood', () => {
  it('is bounded in memory: publishers are asked to wait, QoS 0 is shed first, and what is to be acknowledged last', async (scope) => {
    const journal = await openJournal(scope);
    const fate: [Fate, Fate] = [
      { accepted: 0, refused: 0 },
      { accepted: 0, refused: 0 },
    ];
    let wasBehindAt = 0;
    let shedAt = 0;
    const receipts = ([0, 1] as const).map((qos) => ({
      accepted: () => void fate[qos].accepted++,
      refused: (_token: number, error: Error) => {
        assert.equal(codeOf(error), 'queue_full');
        fate[qos].refused++;
      },
    }));
    // In one turn, so that the disk takes nothing meanwhile.
    for (let n = 0; n < 24_000; n++) {
      const qos = (n % 2) as 0 | 1;
      if (wasBehindAt === 0 && journal.isBehind) wasBehindAt = n;
      journal.append(0, { ...padded(n), qos }, receipts[qos] ?? null, 0, 0);
      if (shedAt === 0 && fate[0].refused > 0) shedAt = n;
      if (fate[1].refused > 0) break;
    }
    assert.ok(wasBehindAt > 7_000 && wasBehindAt < 9_000, `behind after ${wasBehindAt}`);
    assert.ok(shedAt > 11_000 && shedAt < 13_500, `QoS 0 shed after ${shedAt}`);
    assert.equal(fate[1].refused, 1, 'QoS 1 is refused only where there is no room at all, and is told so');
    await waitFor('the receipts', () => !journal.isBehind && fate[1].accepted > 7_000);
    assert.ok(fate[0].refused > 3_000 && fate[0].accepted > 5_000);
  });
});
