import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '../../src/core/errors.ts';
import { drain, laneOf, message, openJournal, produce } from '../support/journal.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;
const padded = (n: number) => message('t', String(n).padEnd(1000, '.'));

/** A disk of so many MiB; null where this user may not mount one. */
function smallDisk(scope: Scope, mib: number): string | null {
  const folder = tempDir(scope, 'disk');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return null;
  }
  atEnd(scope, () => {
    execFileSync('umount', ['-l', folder]);
  });
  return folder;
}

describe('a disk that others fill', () => {
  it('makes the journal refuse, lose nothing that it acknowledged, and go on when there is space', async (scope) => {
    const folder = smallDisk(scope, 8);
    if (folder === null) return scope.skip('needs to mount a tmpfs');
    const filler = join(folder, 'filler');
    const journal = await openJournal(scope, { folder });
    const first = await produce(journal, 0, 1_000, padded);
    assert.equal(first.accepted.length, 1_000);
    assert.throws(() => writeFileSync(filler, Buffer.alloc(8 * MIB)), { code: 'ENOSPC' });

    const full = await produce(journal, 0, 8_000, padded, { first: 1_001, ahead: 100 });
    const code = full.refused[0]?.error instanceof GatewayError ? full.refused[0].error.code : '';
    assert.equal(code, 'disk_full');
    assert.equal(journal.status().failure?.code, 'disk_full');
    // The hub goes on to acknowledge; where that can't be written, it must not be tried in a loop.
    const { batches } = await journal.records.read(0, 0);
    const last = batches.at(-1)?.last ?? 0;
    journal.records.acknowledge(0, last, last);
    // Small as it is, it may find room in the log; if not, it is as if it had not been said.
    const placed = await journal.records.place(0, { stream: 'S', created: 'monday', sequence: 1 }).then(
      () => 1,
      (error: GatewayError) => {
        assert.equal(error.code, 'disk_full');
        return 0;
      },
    );
    assert.equal(journal.records.resume(0).positions.length, placed);
    const { commits } = journal.status();
    await sleep(500);
    assert(journal.status().commits - commits <= 2, 'one for each turn, no storm');

    rmSync(filler);
    await waitFor('the cursor on disk', () => laneOf(journal, 0).persistedCursor === last);
    const again = await produce(journal, 0, 500, padded, { first: 9_001 });
    assert.equal(again.accepted.length, 500);
    assert.equal(journal.status().failure, null);
    await journal.stop();

    const second = await openJournal(scope, { folder });
    const kept = (await drain(second, 0)).map(({ payload }) => Number.parseInt(payload.toString(), 10));
    const acknowledged = [...first.accepted, ...full.accepted, ...again.accepted].slice(last);
    assert.deepEqual(kept, acknowledged);
  });

  for (const reserveMib of [2, 6]) {
    it(`keeps a reserve of ${reserveMib} MiB free of its own log too`, async (scope) => {
      const folder = smallDisk(scope, 40);
      if (folder === null) return scope.skip('needs to mount a tmpfs');
      const journal = await openJournal(scope, { folder, reserveBytes: reserveMib * MIB });
      const { refused } = await produce(journal, 0, 60_000, padded, { ahead: 300 });
      assert(refused.length > 0);
      const { bavail, bsize } = statfsSync(folder);
      assert(bavail * bsize > (reserveMib - 1) * MIB, `${bavail * bsize} bytes are free`);
      // Full of it and no way out? What goes up makes room.
      assert((await drain(journal, 0)).length > 10_000);
      await waitFor('room', async () => (await produce(journal, 0, 1, padded)).accepted.length === 1);
    });
  }

  it('makes the less important lanes give way, the least important one first', async (scope) => {
    const folder = smallDisk(scope, 24);
    if (folder === null) return scope.skip('needs to mount a tmpfs');
    const lanes = [
      { name: 'high', priority: 1, full: 'refuse' as const },
      { name: 'middle', priority: 5, full: 'drop-oldest' as const },
      { name: 'low', priority: 9, full: 'drop-oldest' as const },
    ];
    const journal = await openJournal(scope, { folder, lanes, reserveBytes: 4 * MIB });
    await produce(journal, 1, 4_000, padded);
    await produce(journal, 2, 4_000, padded);
    const { bavail, bsize } = statfsSync(folder);
    writeFileSync(join(folder, 'filler'), Buffer.alloc(bavail * bsize - 3 * MIB));
    await waitFor('the reserve', () => journal.status().store?.reserveReached);
    const lost = () => [0, 1, 2].map((lane) => laneOf(journal, lane).evicted + laneOf(journal, lane).refused);
    const first = await produce(journal, 0, 2_000, padded, { ahead: 100 });
    assert.equal(first.accepted.length, 2_000, String(first.refused[0]?.error));
    await waitFor('the figures', () => (lost()[2] ?? 0) > 1_000);
    assert.deepEqual(lost().slice(0, 2), [0, 0], 'only the low one');
    const second = await produce(journal, 0, 4_000, padded, { first: 2_001, ahead: 100 });
    assert.equal(second.accepted.length, 4_000, String(second.refused[0]?.error));
    await waitFor('the figures', () => (lost()[1] ?? 0) > 0);
    assert.equal(lost()[0], 0);
    await waitFor('the low lane to be empty', () => laneOf(journal, 2).depth === 0);
    assert.equal((await drain(journal, 0)).length, 6_000);
  });

  it('and free, a hundred times, is no trap: it takes and gives what it acknowledged each time', async (scope) => {
    const folder = smallDisk(scope, 16);
    if (folder === null) return scope.skip('needs to mount a tmpfs');
    const filler = join(folder, 'filler');
    const journal = await openJournal(scope, { folder, reserveBytes: MIB });
    let next = 1;
    let given = 0;
    for (let cycle = 0; cycle < 100; cycle++) {
      assert.throws(() => writeFileSync(filler, Buffer.alloc(16 * MIB)), { code: 'ENOSPC' });
      const full = await produce(journal, 0, 60, () => message('t', Buffer.alloc(50_000, 1)), {
        first: next,
        ahead: 60,
      });
      next += 60;
      assert(full.refused.length > 0, `cycle ${cycle} was not full`);
      rmSync(filler);
      let accepted = full.accepted.length;
      await waitFor('the store to take one', async () => {
        const one = await produce(journal, 0, 1, padded, { first: next++ });
        accepted += one.accepted.length;
        return one.accepted.length === 1;
      });
      const records = await drain(journal, 0);
      assert.equal(records.length, accepted, `cycle ${cycle}`);
      given += records.length;
    }
    assert(given >= 100);
    assert.equal(journal.status().failure, null);
  });

  it('leaves the reserve alone, and drops the oldest within it', async (scope) => {
    const folder = smallDisk(scope, 24);
    if (folder === null) return scope.skip('needs to mount a tmpfs');
    const lanes = [{ full: 'drop-oldest' as const }];
    const journal = await openJournal(scope, { folder, lanes, reserveBytes: 13 * MIB });
    writeFileSync(join(folder, 'filler'), Buffer.alloc(10 * MIB));
    await produce(journal, 0, 1_500, padded);
    await waitFor('the reserve', () => journal.status().store?.reserveReached);
    const { accepted, refused } = await produce(journal, 0, 4_000, padded, { first: 1_501, ahead: 50 });
    assert.equal(accepted.length, 4_000, String(refused[0]?.error));
    assert((journal.status().store?.freeBytes ?? 0) > 0);
    await waitFor('the figures', () => laneOf(journal, 0).depth + laneOf(journal, 0).evicted === 5_500);
  });
});
