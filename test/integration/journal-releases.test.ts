import assert from 'node:assert/strict';
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import type { Journal } from '../../src/store/journal.ts';
import { drain, journalOptions, laneOf, message, openJournal, produce } from '../support/journal.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/**
 * Goal: an update finds the queue of the release before, and taking it back does not lose the queue. Method: of each
 * release a store file is kept, and its own store code, which opens what this one has written (keep-release.ts).
 */

const FIXTURES = join(import.meta.dirname, '../fixtures');
const releases = readdirSync(FIXTURES).filter((name) => name.startsWith('release-'));
const KEEP = { ms: 3_600_000, bytesMax: 16 * 1024 * 1024 };
const RETAINED = { countMax: 100, bytesMax: 1024 * 1024 };

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
const text = (n: number) => message('line3.temp', String(n));

async function openOld(scope: Scope, release: string, folder: string): Promise<Journal> {
  const module = (await import(join(FIXTURES, release, 'journal.js'))) as { Journal: typeof Journal };
  const journal = new module.Journal(journalOptions({ folder, retained: RETAINED }), silentLog);
  atEnd(scope, () => journal.stop());
  await journal.start();
  // Release 0.1.0 was its own reader.
  return (journal.records as unknown) === undefined ? Object.assign(journal, { records: journal }) : journal;
}

const payloads = async (journal: Journal) => (await drain(journal, 0)).map(({ payload }) => String(payload));

for (const release of releases) {
  describe(release, () => {
    it('left a store that this one opens, with all its records', async (scope) => {
      const folder = tempDir(scope, 'release');
      copyFileSync(join(FIXTURES, release, 'petiole.db'), join(folder, 'petiole.db'));
      const journal = await openJournal(scope, { folder });
      assert.equal(laneOf(journal, 0).depth, 3);
      await produce(journal, 0, 2, text, { first: 4 });
      assert.deepEqual(await payloads(journal), numbers(1, 5));
      assert.deepEqual(journal.status().store?.ledger, []);
    });

    it('opens what this one has written, and this one what that left', async (scope) => {
      const folder = tempDir(scope, 'release');
      const first = await openJournal(scope, { folder, keep: KEEP, retained: RETAINED, saver: { holdMs: 10 } });
      const { epoch } = first;
      await produce(first, 0, 100, text);
      // Half of it is at the hub and kept for a while: what a release without that takes for trimmed.
      first.records.acknowledge(0, 50, 50);
      await first.records.place(0, { stream: 'T', created: '2026-01-01T00:00:00Z', sequence: 50 });
      first.taken.note({ source: 'board', number: 1, lane: 'default', batch: 0 });
      await first.setMark('run', '{}');
      assert.equal(first.retained?.keep(text(7), 1, 0), null);
      await first.stop();

      const old = await openOld(scope, release, folder);
      assert.equal(old.epoch, epoch);
      assert.equal(laneOf(old, 0).cursor, 50);
      await produce(old, 0, 20, text, { first: 101 });
      assert.equal(laneOf(old, 0).lastSequence, 120);
      await old.stop();

      const again = await openJournal(scope, { folder, keep: KEEP, retained: RETAINED });
      assert.equal(again.epoch, epoch);
      assert.equal(laneOf(again, 0).depth, 70);
      assert.equal(again.retained?.status().count, 1);
      assert.deepEqual(await payloads(again), numbers(51, 120));
      assert.deepEqual(again.status().store?.ledger, []);
      await again.stop();

      // And what is left of the queue after the update was taken back for good.
      const last = await openOld(scope, release, folder);
      assert.deepEqual(await payloads(last), []);
      await produce(last, 0, 3, text, { first: 121 });
      assert.deepEqual(await payloads(last), numbers(121, 123));
    });
  });
}
