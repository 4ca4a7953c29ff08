import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drain, laneOf, ledgerOf, message, openFile, openJournal, produce } from '../support/journal.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

const COUNT = 20_000;

const reading = (n: number) =>
  message(
    `line3.temp.${n % 20}`,
    JSON.stringify({
      sensor: n % 20,
      t: 1_767_225_600_000 + n * 97,
      value: 20 + (n % 37) / 10,
      unit: 'C',
      ok: true,
      note: 'x',
    }),
    1_767_225_600_000 + n,
  );

/** A journal with COUNT readings in it, at 100 a commit. */
async function filled(scope: Scope, compress: boolean) {
  const journal = await openJournal(scope, { lanes: [{ compress }] });
  await produce(journal, 0, COUNT, reading, { ahead: 100 });
  return { journal, bytes: laneOf(journal, 0).bytes };
}

test('deflated batches take a quarter of the space, and every record comes back as it was', async (scope) => {
  const [plain, deflated] = [await filled(scope, false), await filled(scope, true)];
  scope.diagnostic(`${plain.bytes} bytes plain, ${deflated.bytes} deflated, for ${COUNT} readings`);
  assert(deflated.bytes * 4 < plain.bytes, `${plain.bytes} to ${deflated.bytes} bytes`);
  const records = await drain(deflated.journal, 0);
  assert.equal(records.length, COUNT);
  for (const [i, { sequence, subject, payload, receivedAtMs }] of records.entries()) {
    const sent = reading(i + 1);
    assert.deepEqual([sequence, subject, receivedAtMs], [i + 1, sent.subject, sent.receivedAtMs]);
    assert(payload.equals(sent.payload));
  }
});

test('a damaged deflated batch is declared, and the rest goes up', async (scope) => {
  const folder = tempDir(scope, 'journal');
  const lanes = [{ compress: true }];
  const first = await openJournal(scope, { folder, lanes });
  await produce(first, 0, 1_000, reading, { ahead: 100 });
  await first.stop();
  const file = openFile(folder);
  const damaged = file.prepare('SELECT id, count FROM batch WHERE codec = 1 ORDER BY id LIMIT 1 OFFSET 2').get() as {
    id: number;
    count: number;
  };
  file.prepare('UPDATE batch SET data = zeroblob(length(data)) WHERE id = ?').run(damaged.id);
  file.close();
  const journal = await openJournal(scope, { folder, lanes });
  assert.equal((await drain(journal, 0)).length, 1_000 - damaged.count);
  const [row] = await ledgerOf(journal, (rows) => rows.length > 0);
  assert.deepEqual([row?.reason, row?.count], ['corrupt', damaged.count]);
});
