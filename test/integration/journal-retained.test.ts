import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { NO_HEADERS } from '../../src/core/message.ts';
import type { Journal } from '../../src/store/journal.ts';
import type { RetainedRow } from '../../src/store/retained-rows.ts';
import { startBox } from '../support/box.ts';
import { changeBuild } from '../support/broken-build.ts';
import { drain, laneOf, message, openJournal, produce } from '../support/journal.ts';
import { mosquittoPub, mosquittoSub } from '../support/mosquitto.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** A store of release 0.1.0: three records of lane `default`. */
const STORE_V1 = join(import.meta.dirname, '../fixtures/release-0.1.0/petiole.db');
const MANY = { countMax: 200_000, bytesMax: 256 * 1024 * 1024 };

function keep(journal: Journal, subject: string, payload: string, expiresMs = 0, headers = NO_HEADERS): void {
  const one = { ...message(subject, payload), headers };
  assert.equal(journal.retained?.keep(one, 1, expiresMs), null);
}

function rows(journal: Journal, filter = '>'): RetainedRow[] {
  const walk = journal.retained?.matching(filter) ?? assert.fail('retained messages are on');
  const found: RetainedRow[] = [];
  for (let step = walk.next(); !step.done; step = walk.next()) if (step.value !== null) found.push(step.value);
  return found;
}

const values = (journal: Journal): Record<string, string> =>
  Object.fromEntries(rows(journal).map(({ subject, payload }) => [subject, String(payload)]));

/** All that was kept is on disk. */
function saved(journal: Journal): Promise<void> {
  return new Promise((resolve, reject) => {
    const receipt = { accepted: () => resolve(), refused: (_token: number, error: Error) => reject(error) };
    journal.retained?.after(receipt).accepted(0, 0);
  });
}

describe('retained messages in the store', () => {
  it('are there after a restart as they were: replaced, cleared, with headers, of any size', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const first = await openJournal(scope, { folder, retained: MANY });
    const headers = Buffer.from('NATS/1.0\r\nA: b\r\n\r\n');
    keep(first, 'größe.x', 'ü', 4_000_000_000_000, headers);
    keep(first, 'a', '1');
    keep(first, 'a', '2');
    keep(first, 'gone', '1');
    await saved(first);
    keep(first, 'gone', '');
    keep(first, 'big', 'x'.repeat(1_000_000));
    keep(first, 'never', '1');
    keep(first, 'never', '');
    const before = rows(first);
    await first.stop();
    const second = await openJournal(scope, { folder, retained: MANY });
    const bySubject = (a: RetainedRow, b: RetainedRow) => (a.subject < b.subject ? -1 : 1);
    assert.deepEqual(rows(second).sort(bySubject), before.sort(bySubject));
    assert.deepEqual(
      rows(second, 'größe.*').map(({ client, qos, expiresMs }) => [client, qos, expiresMs]),
      [['test', 1, 4_000_000_000_000]],
    );
    assert.deepEqual(second.retained?.status(), first.retained?.status());
  });

  it('waits for the disk with the receipt, and tells many values of one subject in one row', async (scope) => {
    const journal = await openJournal(scope, { retained: MANY });
    const commits = journal.status().commits;
    for (let i = 0; i < 1_000; i++) keep(journal, 'a', `${i}`);
    let isSaved = false;
    const done = saved(journal).then(() => {
      isSaved = true;
    });
    assert.equal(isSaved, false, 'not at once');
    await done;
    assert.equal(journal.status().commits, commits + 1);
    // Nothing has changed since: no commit to wait for.
    await saved(journal);
    assert.equal(journal.status().commits, commits + 1);
  });

  it('goes with the commit of the message', async (scope) => {
    const journal = await openJournal(scope, { retained: MANY });
    const commits = journal.status().commits;
    const one = message('a', '1');
    keep(journal, 'a', '1');
    await new Promise<void>((resolve) => {
      const receipt = { accepted: () => resolve(), refused: (_token: number, error: Error) => assert.fail(error) };
      journal.append(0, one, journal.retained?.after(receipt) ?? null, 1, 0);
    });
    assert.equal(journal.status().commits, commits + 1, 'one commit for both');
  });

  it('forgets what has expired, at the start and now and then', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const first = await openJournal(scope, { folder, retained: MANY });
    const soon = Date.now() + 300;
    keep(first, 'soon', '1', soon);
    keep(first, 'later', '1', soon + 3_600_000);
    await first.stop();
    await waitFor('its time', () => Date.now() > soon);
    const second = await openJournal(scope, { folder, retained: MANY });
    assert.deepEqual(values(second), { later: '1' });
    keep(second, 'at once', '1', Date.now());
    await waitFor('the sweep', () => second.retained?.status().count === 1);
    assert.deepEqual(values(second), { later: '1' });
  });

  it('leaves on the disk what lower limits have no room for, and clears it there all the same', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const first = await openJournal(scope, { folder, retained: MANY });
    for (let i = 0; i < 10; i++) keep(first, `s.${i}`, '1');
    await first.stop();
    const second = await openJournal(scope, { folder, retained: { ...MANY, countMax: 4 } });
    const { count, left } = second.retained?.status() ?? assert.fail();
    assert.deepEqual({ count, left }, { count: 4, left: 6 });
    for (let i = 0; i < 8; i++) keep(second, `s.${i}`, '');
    await second.stop();
    const off = await openJournal(scope, { folder });
    assert.equal(off.retained, null);
    await off.stop();
    const third = await openJournal(scope, { folder, retained: MANY });
    assert.deepEqual(values(third), { 's.8': '1', 's.9': '1' });
  });

  it('loads 100,000, and tells how long that takes', async (scope) => {
    const folder = tempDir(scope, 'journal');
    const first = await openJournal(scope, { folder, retained: MANY });
    for (let i = 0; i < 100_000; i++) keep(first, `plant.line${i % 100}.sensor${i}.value`, `{"value": ${i}}`);
    await first.stop();
    const start = performance.now();
    const second = await openJournal(scope, { folder, retained: MANY });
    const tookMs = performance.now() - start;
    assert.equal(second.retained?.status().count, 100_000);
    scope.diagnostic(`100,000 retained messages loaded in ${Math.round(tookMs)} ms`);
  });
});

describe('the schema of retained messages', () => {
  it('comes to a store of release 0.1.0, which keeps its records', async (scope) => {
    const folder = tempDir(scope, 'journal');
    copyFileSync(STORE_V1, join(folder, 'petiole.db'));
    const journal = await openJournal(scope, { folder, retained: MANY });
    assert.equal(laneOf(journal, 0).depth, 3);
    keep(journal, 'a', '1');
    await produce(journal, 0, 1, () => message('line3.temp', '4'));
    assert.deepEqual(
      (await drain(journal, 0)).map(({ payload }) => String(payload)),
      ['1', '2', '3', '4'],
    );
    await journal.stop();
    const db = new Database(join(folder, 'petiole.db'), { readonly: true });
    assert.equal(db.pragma('user_version', { simple: true }), 2);
    db.close();
  });

  it('does not keep the release before from the store: back and forth, nothing is lost', async (scope) => {
    const box = await startBox(scope);
    const pub = (...args: string[]) => mosquittoPub(box.mqttPort, '-q', '1', ...args);
    assert.equal((await pub('-t', 'state', '-m', 'on', '-r')).code, 0);
    await box.stop();
    const before = changeBuild(scope, 'before', {
      file: 'store/migrations.js',
      line: 'export function migrate(db) {',
      instead: 'export function migrate(db) { migrations.length = 1;',
    });
    // That it opens the store is what is tried; of retained messages it knows nothing.
    const config = { mqtt: { listeners: [{ listen: '127.0.0.1:0' }], retained: 'off' } };
    const { dataDir } = box;
    const old = await startBox(scope, { dataDir, dist: before, config });
    const { store, lanes } = await old.status();
    assert.equal(store.state, 'ok');
    assert.equal(lanes[0].depth, 1);
    assert.deepEqual(
      old.log.filter(({ level = 0 }) => level >= 40),
      [],
      'nothing to complain of',
    );
    assert.equal((await mosquittoPub(old.mqttPort, '-q', '1', '-t', 'state', '-m', 'x')).code, 0);
    await old.stop();
    await box.start();
    assert.equal((await box.status()).lanes[0].depth, 2);
    const { lines } = await mosquittoSub(box.mqttPort, '-t', 'state', '-C', '1', '-W', '5');
    assert.deepEqual(lines, ['on']);
  });
});
