import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import type { LedgerRow } from '../../src/store/losses.ts';
import { createStream, streamState } from '../support/hub-stream.ts';
import { laneOf, openFile } from '../support/journal.ts';
import { createStreamFor, laneFor, procedures } from '../support/procedures.ts';
import { type RolledBackHub, startRolledBackHub } from '../support/rolled-back-hub.ts';
import { atEnd } from '../support/scope.ts';
import { readNumbers } from '../support/sent-numbers.ts';
import { tempDir } from '../support/temp.ts';
import { startUplink, startUplinkProcess, type Uplink, untilHeld } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Goal: what a hub lost of what it had acknowledged, and the box has no more, is declared: each number once, and no number
 * that the hub has. Method: a real nats-server that is put back to an earlier copy, under a box that kept nothing, that
 * kept it in memory alone, or whose file was damaged meanwhile.
 */

const SHORT = { duplicate_window: 100_000_000 };
const KEEP_MS = 600_000;
const LONG_MS = 60_000;
/** Less than after what a cursor is written to the disk. */
const FEW = 300;

/** Every number of the lane is at the hub once, or named by one row. Gives the rows, and the numbers that each reason names. */
async function accounted({ reader }: RolledBackHub, uplink: Uplink) {
  const { lastSequence } = laneOf(uplink.journal, 0);
  const there = (await readNumbers(reader, 'T')).map(({ sequence }) => sequence);
  assert.equal(new Set(there).size, there.length, 'none twice');
  await waitFor('the ledger to be told', () => uplink.journal.status().store?.undeclared === 0);
  const rows = (uplink.journal.status().store?.ledger ?? []).filter(({ lane }) => lane === 'default').toReversed();
  const had = new Set(there);
  // Unassigned ones may be there all the same.
  const named = rows.flatMap((row) => numbersOf(row).filter((n) => row.reason !== 'unassigned' || !had.has(n)));
  const numbers = [...there, ...named].sort((a, b) => a - b);
  const all = Array.from({ length: lastSequence }, (_, i) => i + 1);
  const missing = all.filter((n) => !numbers.includes(n));
  assert.deepEqual(missing, [], 'none in silence');
  const twice = numbers.filter((n, i) => n === numbers[i - 1]);
  assert.deepEqual(twice, [], 'none told of twice, or told of and there');
  return { rows, there };
}

function numbersOf({ first, last }: LedgerRow): number[] {
  if (first === null || last === null) return [];
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

const spans = (rows: LedgerRow[]) => rows.map(({ reason, first, last }) => [reason, first, last]);

/** All batches of a stopped box are unreadable; with the first page, so that the file is salvaged. */
function damage(folder: string, isSalvaged: boolean): void {
  const db = openFile(folder);
  db.exec('UPDATE batch SET data = zeroblob(length(data))');
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  if (!isSalvaged) return;
  const handle = openSync(join(folder, 'petiole.db'), 'r+');
  writeSync(handle, 'no store', 0);
  closeSync(handle);
}

// Mostly waits, for hubs to start and to stop.
describe('a hub that loses what nobody else has', { concurrency: 3 }, () => {
  for (const procedure of procedures) {
    it(`is told what the saver had in memory alone when the box was stopped, by ${procedure}`, async (scope) => {
      const rig = await startRolledBackHub(scope, procedure);
      await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
      await createStream(rig.reader, 'LEDGER', ['petiole.*.ledger']);
      const lanes = [laneFor(procedure)];
      const options = { leafUrl: rig.hub.leafUrl, lanes, keepMs: KEEP_MS, saverHoldMs: LONG_MS };
      const first = await startUplink(scope, options);
      await untilHeld(first);
      await first.drained();
      await rig.save();
      await untilHeld(first);
      const before = laneOf(first.journal, 0).lastSequence;
      await first.produce(1_000, 't.a');
      await first.stop();
      await rig.rollBack();
      const second = await startUplink(scope, { ...options, folder: first.folder });
      await second.produce(10, 't.a', { first: 1_001 });
      await second.drained();
      const { rows } = await accounted(rig, second);
      const forgotten = rows.filter(({ reason }) => reason === 'forgotten').flatMap(numbersOf);
      assert(forgotten.length >= 1_000 && forgotten.includes(before + 1) && forgotten.includes(before + 1_000));
      // The same again: what was told of is not told of twice.
      await second.stop();
      await rig.rollBack();
      const third = await startUplink(scope, { ...options, folder: first.folder });
      await third.produce(10, 't.a', { first: 1_011 });
      await third.drained();
      await accounted(rig, third);
    });

    it(`is told what the box was made to keep no more, by ${procedure}`, async (scope) => {
      const rig = await startRolledBackHub(scope, procedure);
      await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
      await createStream(rig.reader, 'LEDGER', ['petiole.*.ledger']);
      const uplink = await startUplink(scope, { leafUrl: rig.hub.leafUrl, lanes: [laneFor(procedure)], keepMs: 0 });
      await uplink.produce(2_000, 't.a');
      await uplink.drained();
      await rig.save();
      await uplink.produce(5_000, 't.a', { first: 2_001 });
      await uplink.drained();
      await rig.rollBack();
      await waitFor('the hub', () => streamState(rig.reader, 'T'), { timeoutMs: 20_000 });
      await uplink.produce(FEW, 't.a', { first: 7_001 });
      await uplink.drained();
      const { rows, there } = await accounted(rig, uplink);
      assert.deepEqual(spans(rows), [['forgotten', 2_001, 7_000 + FEW - (there.length - 2_000)]]);
    });

    for (const isSalvaged of [false, true]) {
      const how = isSalvaged ? 'a damaged file' : 'damaged batches';
      it(`is told what ${how} lost before the cursor, in the middle of a batch, by ${procedure}`, async (scope) => {
        const rig = await startRolledBackHub(scope, procedure);
        await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
        await createStream(rig.reader, 'LEDGER', ['petiole.*.ledger']);
        const folder = tempDir(scope, 'box');
        const options = { folder, leafUrl: rig.hub.leafUrl, lanes: [laneFor(procedure)], keepMs: KEEP_MS };
        const slow = { ...options, limit: { messagesPerSecond: 100, bytesPerSecond: 0 } };
        // A batch or two, of which the hub gets a part at a time.
        const offline = await startUplink(scope, { ...options, linked: false });
        await offline.produce(1_000, 't.a');
        await offline.stop();
        const cursors: number[] = [];
        for (const part of [0, 1]) {
          const uplink = await startUplink(scope, slow);
          await waitFor('some records', () => uplink.cursor() > (cursors[0] ?? 0) + 20, { timeoutMs: 20_000 });
          await uplink.stop();
          cursors.push(laneOf(uplink.journal, 0).cursor);
          if (part === 0) await rig.save();
        }
        const [, end = 0] = cursors;
        assert(end < 1_000, `in the middle: ${cursors}`);
        damage(folder, isSalvaged);
        const damaged = await startUplink(scope, options);
        // The cursor passes what is missing with the record behind it.
        await damaged.produce(10, 't.a', { first: 1_001 });
        await damaged.drained();
        await damaged.stop();
        await rig.rollBack();
        await waitFor('the hub', () => streamState(rig.reader, 'T'), { timeoutMs: 20_000 });
        const had = Math.max(...(await readNumbers(rig.reader, 'T')).map(({ sequence }) => sequence));
        const again = await startUplink(scope, options);
        await again.produce(10, 't.a', { first: 1_011 });
        await again.drained();
        const { rows } = await accounted(rig, again);
        assert.deepEqual(spans(rows), [
          ['corrupt', end + 1, 1_000],
          ['forgotten', had + 1, end],
        ]);
      });
    }
  }

  it('is told what a killed box had in memory alone', async (scope) => {
    const rig = await startRolledBackHub(scope);
    await createStreamFor('read-back', rig.reader, 'T', ['t.>'], SHORT);
    await createStream(rig.reader, 'LEDGER', ['petiole.*.ledger']);
    const folder = tempDir(scope, 'killed');
    const options = { folder, leafUrl: rig.hub.leafUrl, lanes: [laneFor('read-back')], keepMs: KEEP_MS };
    const run = { ...options, saverHoldMs: LONG_MS, first: 1, limitPerTurn: 10, behindMax: 500 };
    const child = startUplinkProcess(run);
    atEnd(scope, async () => void (await child.kill()));
    const spared = () => Number(child.lines.findLast((line) => line.startsWith('spared'))?.split(' ')[1] ?? 0);
    await waitFor('receipts of the hub', () => spared() > 500, { timeoutMs: 60_000 });
    await rig.save();
    const before = spared();
    // More than what is reserved at once, so that cursors and reservations went to the disk meanwhile.
    await waitFor('receipts of the hub', () => spared() > before + 10_000, { timeoutMs: 60_000 });
    await child.kill();
    await rig.rollBack();
    const again = await startUplink(scope, { ...options, saverHoldMs: LONG_MS });
    await again.produce(10, 't.a', { first: 1_000_000 });
    await again.drained();
    const { rows } = await accounted(rig, again);
    assert(rows.some(({ reason, count }) => reason === 'forgotten' && count > 5_000));
  });

  it('says how many records an own stream lost whose numbers nobody can tell', async (scope) => {
    const rig = await startRolledBackHub(scope);
    await createStreamFor('own', rig.reader, 'T', ['t.>'], SHORT);
    await createStream(rig.reader, 'LEDGER', ['petiole.*.ledger']);
    const options = { leafUrl: rig.hub.leafUrl, lanes: [laneFor('own')], folder: tempDir(scope, 'box') };
    const first = await startUplink(scope, options);
    await first.produce(100, 't.a');
    await first.drained();
    // As where each record is taken from the stream at once.
    await (await jetstreamManager(rig.reader)).streams.purge('T');
    await rig.save();
    await first.produce(2_000, 't.a', { first: 101 });
    await first.drained();
    await first.stop();
    for (let run = 0; run < 2; run++) {
      await rig.rollBack();
      const again = await startUplink(scope, options);
      await again.produce(10, 't.a', { first: 2_101 + run * 10 });
      await again.drained();
      const rows = (again.journal.status().store?.ledger ?? []).filter(({ lane }) => lane === 'default');
      await again.stop();
      assert(rows.every(({ reason, first }) => reason === 'forgotten' && first === null));
      assert.equal(
        rows.reduce((sum, { count }) => sum + count, 0),
        2_000 + run * 10,
      );
    }
  });
});
