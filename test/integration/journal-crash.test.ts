import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../support/child.ts';
import { drain, LEDGER, message, openJournal, produce, storedLedger } from '../support/journal.ts';
import { tempDir } from '../support/temp.ts';
import { startUplinkProcess } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

const KILLS = 10;

/** The last number that the process said was committed. */
function lastAcked(child: Child): number {
  return Number(child.lines.findLast((line) => line.startsWith('acked '))?.slice(6) ?? 0);
}

describe('a journal that is killed at any moment', () => {
  it(`has every record that it acknowledged, in order, over ${KILLS} kills`, async (scope) => {
    const folder = tempDir(scope, 'journal');
    let first = 1;
    const acked: number[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const options = { folder, leafUrl: '', first, limitPerTurn: [1, 7, 300, 2_000][kill % 4] ?? 1 };
      const child = startUplinkProcess(options);
      await child.line('the first receipts', (line) => line.startsWith('acked '), 15_000);
      // Not a wait for anything: the kill must fall anywhere.
      await sleep(kill * 7);
      await child.kill();
      assert.deepEqual(
        child.lines.filter((line) => !line.startsWith('acked ')),
        [],
      );
      for (let n = first; n <= lastAcked(child); n++) acked.push(n);
      // Numbers that were committed and never acknowledged are sent again by no one here: the next run starts above them.
      first = lastAcked(child) + 100_000;
    }
    const journal = await openJournal(scope, { folder });
    const records = await drain(journal, 0);
    assert(
      records.every(({ sequence }, i) => sequence === i + 1),
      'no hole, none twice',
    );
    const numbers = records.map(({ payload }) => Number(payload.toString()));
    assert(numbers.every((n, i) => i === 0 || n > (numbers[i - 1] ?? 0)));
    const kept = new Set(numbers);
    assert.deepEqual(
      acked.filter((n) => !kept.has(n)),
      [],
    );
    assert(acked.length > KILLS);
  });
});

describe('a loss', () => {
  it('becomes one message for the hub, also when the box stops in between', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const lanes = [
      { name: 'a', bytesMax: 64 * 1024, full: 'refuse' as const },
      { name: 'b', bytesMax: 64 * 1024, full: 'drop-oldest' as const },
    ];
    const padded = () => message('t', Buffer.alloc(1_000));
    let journal = await openJournal(scope, { folder, lanes });
    let declared: { lane: string; reason: string; count: number }[] = [];
    let refused = 0;
    for (let round = 0; round < 3; round++) {
      refused += (await produce(journal, 0, 200, padded)).refused.length;
      await produce(journal, 1, 200, padded);
      journal.linked = round < 2;
      if (round < 2) {
        const told = declared.length;
        await waitFor('the rows to be told', () => journal.records.resume(2).lastSequence >= told + 2, {
          timeoutMs: 8_000,
        });
      }
      if (round === 1) {
        // Told and not yet acknowledged: after the restart they are still there, and not told again.
        await journal.stop();
        journal = await openJournal(scope, { folder, lanes });
      }
      if (round < 2) {
        const records = await drain(journal, 2);
        declared = [...declared, ...records.map(({ payload }) => JSON.parse(payload.toString()))];
      }
    }
    assert.equal(journal.laneNames[2], LEDGER);
    await journal.stop();
    const rows = storedLedger(folder);
    assert.equal(declared.length, 4);
    assert.deepEqual(
      declared.map(({ lane, reason, count }) => [lane, reason, count]),
      rows.slice(0, 4).map(({ lane, reason, count }) => [lane, reason, count]),
    );
    const total = rows.filter(({ lane }) => lane === 'a').reduce((sum, { count }) => sum + count, 0);
    assert.equal(total, refused);
    assert.equal(rows.length, 6, 'the last ones wait for a link');
  });

  it('goes to the ledger in the commit in which the cursor passes it, and not before', async (scope) => {
    const folder = tempDir(scope, 'journal');
    let journal = await openJournal(scope, { folder });
    await produce(journal, 0, 10, (n) => message('t', `${n}`));
    const loss = { lane: 0, reason: 'oversize' as const, count: 1, first: 5, last: 5, detail: 'too large' };
    journal.records.lose(loss);
    journal.records.acknowledge(0, 4, 4);
    await journal.stop();
    assert.deepEqual(storedLedger(folder), []);
    journal = await openJournal(scope, { folder });
    journal.records.lose(loss);
    journal.records.acknowledge(0, 7, 3);
    await waitFor('the cursor on disk', () => journal.status().lanes[0]?.persistedCursor === 7);
    await journal.stop();
    assert.deepEqual(
      storedLedger(folder).map(({ reason, first, last }) => [reason, first, last]),
      [['oversize', 5, 5]],
    );
  });
});
