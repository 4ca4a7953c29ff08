import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
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
    const { batches } = await journal.read(0, 0);
    const last = batches.at(-1)?.last ?? 0;
    journal.acknowledge(0, last, last);
    await assert.rejects(journal.place(0, { stream: 'S', created: 'monday', sequence: 1 }), { code: 'disk_full' });
    assert.deepEqual(journal.resume(0).positions, []);
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
