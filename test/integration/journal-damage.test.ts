import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { RecordSource } from '../../src/upstream/record-source.ts';
import { drain, laneOf, ledgerOf, message, openFile, openJournal, produce } from '../support/journal.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const text = (n: number) => message('t', String(n).padEnd(500, '.'));

/** A stopped journal with 2,000 records in some 40 batches. */
async function filled(scope: Scope): Promise<{ folder: string; epoch: string; file: string }> {
  const folder = tempDir(scope, 'journal');
  const journal = await openJournal(scope, { folder });
  await produce(journal, 0, 2_000, text, { ahead: 100 });
  await journal.stop();
  return { folder, epoch: journal.epoch, file: join(folder, 'petiole.db') };
}

const number = (payload: Buffer | undefined) => Number.parseInt(String(payload), 10);
const asides = (folder: string) => readdirSync(folder).filter((name) => name.includes('damaged'));

describe('a store file', () => {
  const damages: [string, (file: string) => void][] = [
    ['is random bytes', (file) => writeFileSync(file, Buffer.alloc(100_000, 'garbage'))],
    ['is zeroed', (file) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
    ['was cut in the middle', (file) => truncateSync(file, Math.floor(statSync(file).size / 8192) * 4096)],
    ['was cut within a page', (file) => truncateSync(file, 5_000)],
    [
      'lost the page that all batches hang on',
      (file) => {
        const db = openFile(dirname(file));
        const page = Number(db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'batch'").pluck().get());
        db.close();
        const bytes = readFileSync(file);
        writeFileSync(file, bytes.fill(0, (page - 1) * 4096, page * 4096));
      },
    ],
    [
      'is empty and has a log beside it',
      (file) => {
        truncateSync(file, 0);
        writeFileSync(`${file}-wal`, Buffer.alloc(4096, 7));
      },
    ],
  ];
  for (const [what, damage] of damages) {
    it(`that ${what} is kept aside, and the box starts with a new epoch and says so`, async (scope) => {
      const { folder, epoch, file } = await filled(scope);
      damage(file);
      const found = readFileSync(file);
      const journal = await openJournal(scope, { folder });
      assert.notEqual(journal.epoch, epoch);
      const kept = asides(folder);
      assert(kept.length > 0);
      assert.deepEqual(readFileSync(join(folder, kept.toSorted()[0] ?? '')), found, 'as it was');
      const row = (await ledgerOf(journal, (rows) => rows.length > 0)).find(({ lane }) => lane === '*');
      assert.equal(row?.reason, 'corrupt');
      assert(row?.detail.includes(kept.toSorted()[0] ?? '?'));
      assert.equal((await produce(journal, 0, 10, text)).accepted.length, 10);
      await journal.stop();
      const again = await openJournal(scope, { folder });
      assert.equal(again.epoch, journal.epoch);
      const salvaged = (await drain(again, 0)).slice(0, -10);
      assert(salvaged.every(({ payload }, i) => i === 0 || number(payload) > number(salvaged[i - 1]?.payload)));
    });
  }

  it('that is empty and nothing else is taken for new', async (scope) => {
    const folder = tempDir(scope, 'journal');
    writeFileSync(join(folder, 'petiole.db'), '');
    const journal = await openJournal(scope, { folder });
    assert.equal((await produce(journal, 0, 10, text)).accepted.length, 10);
    assert.deepEqual(asides(folder), []);
  });

  it('that lost its log opens as of the last checkpoint', async (scope) => {
    const { folder, epoch, file } = await filled(scope);
    rmSync(`${file}-wal`, { force: true });
    assert.equal((await openJournal(scope, { folder })).epoch, epoch);
  });
});

describe('a stored batch that is damaged', () => {
  it('is declared, and all others are delivered', async (scope) => {
    const { folder } = await filled(scope);
    const db = openFile(folder);
    const rows = db.prepare<[], { id: number; count: number; data: Buffer }>('SELECT id, count, data FROM batch').all();
    const victim = rows[Math.floor(rows.length / 2)];
    assert(victim);
    victim.data.writeUInt8(victim.data.readUInt8(30) ^ 1, 30);
    db.prepare('UPDATE batch SET data = ? WHERE id = ?').run(victim.data, victim.id);
    db.close();

    const journal = await openJournal(scope, { folder });
    const records = await drain(journal, 0);
    assert.equal(records.length, 2_000 - victim.count);
    const rows2 = await ledgerOf(journal, (found) => found.length > 0);
    assert.deepEqual([rows2[0]?.reason, rows2[0]?.count], ['corrupt', victim.count]);
    const lost = new Set(Array.from({ length: victim.count }, (_, i) => (rows2[0]?.first ?? 0) + i));
    assert(records.every(({ sequence }) => !lost.has(sequence)));
    await journal.stop();
    const again = await openJournal(scope, { folder });
    assert.deepEqual([again.status().store?.ledger.length, laneOf(again, 0).depth], [1, 0], 'once');
  });

  it('at the end of the lane leaves the reader at the end', async (scope) => {
    const { folder } = await filled(scope);
    const db = openFile(folder);
    db.prepare('UPDATE batch SET crc = crc + 1 WHERE id = (SELECT max(id) FROM batch)').run();
    db.close();
    const journal = await openJournal(scope, { folder });
    const source = new RecordSource(journal.records, 0, { arrived: () => {}, undecodable: () => assert.fail() });
    source.begin(0);
    let last = 0;
    let unsaved = 0;
    await waitFor('the end', () => {
      for (let record = source.peek(); record; record = source.peek()) {
        last = record.sequence;
        unsaved++;
        source.take();
      }
      if (unsaved > 0) journal.records.acknowledge(0, last, unsaved);
      unsaved = 0;
      source.retry();
      return source.exhausted;
    });
    assert(last < 2_000);
    await produce(journal, 0, 1, text);
    await waitFor('the next record', () => source.peek()?.sequence === 2_001);
  });
});

describe('a lane that is configured no more', () => {
  it('still drains, and is gone when it is empty', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const both = { folder, lanes: [{ name: 'a', subjects: ['a'] }, { name: 'b' }] };
    const first = await openJournal(scope, both);
    await produce(first, 0, 300, () => message('a', Buffer.alloc(2_000)), { ahead: 10 });
    await produce(first, 1, 5, text);
    await first.stop();
    const one = { folder, lanes: [{ name: 'b' }] };
    const second = await openJournal(scope, one);
    assert.deepEqual(second.laneNames, ['b', 'ledger', 'a']);
    assert.equal((await drain(second, 2)).length, 300);
    await second.stop();
    const third = await openJournal(scope, one);
    assert.deepEqual(third.laneNames, ['b', 'ledger']);
    await third.stop();
    const back = await openJournal(scope, both);
    await produce(back, 0, 1, () => message('a', ''));
    assert.equal((await drain(back, 0))[0]?.sequence, 301, 'no number is used twice');
  });
});
