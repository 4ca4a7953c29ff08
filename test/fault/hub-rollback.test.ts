import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { describe, it } from 'node:test';
import { jetstream } from '@nats-io/jetstream';
import { createStream, streamState, waitForStream } from '../support/hub-stream.ts';
import { laneOf } from '../support/journal.ts';
import { createStreamFor, laneFor, procedures, statusNames } from '../support/procedures.ts';
import { type RolledBackHub, startRolledBackHub } from '../support/rolled-back-hub.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { startUplink, untilHeld } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Goal: a hub that comes back from a power cut with less than it had acknowledged gets the rest again, once and in order.
 * Method: a real nats-server is killed and its store folder put back to an earlier copy, as lazily synced files are.
 */

const COUNT = 5_000;
/** Less than after what a cursor is written to the disk. */
const FEW = 300;
const KEEP_MS = 600_000;
const SHORT = { duplicate_window: 100_000_000 };

async function everythingOnce({ reader }: RolledBackHub, count: number): Promise<void> {
  await waitForStream(reader, 'T', count, { timeoutMs: 40_000 });
  const found = (await readNumbers(reader, 'T')).filter(({ n }) => n > 0);
  const numbers = found.map(({ n }) => n);
  assert.equal(new Set(numbers).size, numbers.length, 'none twice');
  assert.equal(numbers.length, count, 'none missing');
  assert(
    found.every(({ sequence, n }) => sequence === n),
    'under the same ids',
  );
}

const inOrder = async ({ reader }: RolledBackHub) => {
  const sequences = (await readNumbers(reader, 'T')).filter(({ n }) => n > 0).map(({ sequence }) => sequence);
  assert(sequences.every((sequence, i) => i === 0 || sequence > (sequences[i - 1] ?? 0)));
};

// Mostly waits, for hubs to start and to stop.
describe('a hub that has less than it had acknowledged', { concurrency: 3 }, () => {
  for (const procedure of procedures) {
    const lanes = [laneFor(procedure)];

    it(`gets the rest again, by ${procedure}`, async (scope) => {
      const rig = await startRolledBackHub(scope, procedure);
      await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
      const uplink = await startUplink(scope, { leafUrl: rig.hub.leafUrl, lanes, keepMs: KEEP_MS });
      await uplink.produce(COUNT, 't.a');
      await uplink.drained();
      await rig.save();
      await uplink.produce(COUNT, 't.a', { first: COUNT + 1 });
      await uplink.drained();
      await rig.rollBack();
      await everythingOnce(rig, 2 * COUNT);
      await inOrder(rig);
      await uplink.drained();
      assert.equal(uplink.status().procedure, statusNames[procedure]);
      assert.deepEqual(laneOf(uplink.journal, 0).depth, 0);
    });

    it(`gets all that came since the newest cursor on the disk, by ${procedure}`, async (scope) => {
      const rig = await startRolledBackHub(scope, procedure);
      await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
      const uplink = await startUplink(scope, { leafUrl: rig.hub.leafUrl, lanes, keepMs: KEEP_MS });
      let last = 0;
      // Before the first cursor is written at all, and then well behind the last that was.
      for (const before of [10, 1_600]) {
        await uplink.produce(before, 't.a', { first: last + 1 });
        await uplink.drained();
        await rig.save();
        await uplink.produce(FEW, 't.a', { first: last + before + 1 });
        await uplink.drained();
        await rig.rollBack();
        last += before + FEW;
        await everythingOnce(rig, last);
        await inOrder(rig);
        await uplink.drained();
      }
    });

    it(`has it in order whatever the box forgets after that, by ${procedure}`, async (scope) => {
      const rig = await startRolledBackHub(scope, procedure);
      await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
      const options = { leafUrl: rig.hub.leafUrl, lanes, keepMs: KEEP_MS };
      const uplink = await startUplink(scope, options);
      await uplink.produce(10, 't.a');
      await uplink.drained();
      await rig.save();
      await uplink.produce(FEW, 't.a', { first: 11 });
      await uplink.drained();
      await rig.rollBack();
      await waitFor('the hub', () => streamState(rig.reader, 'T'), { timeoutMs: 20_000 });
      await uplink.produce(FEW, 't.a', { first: 11 + FEW });
      await uplink.drained();
      // As a killed box leaves it: the cursor on the disk is far behind.
      const folder = tempDir(scope, 'left');
      cpSync(uplink.folder, folder, { recursive: true });
      await uplink.stop();
      const again = await startUplink(scope, { ...options, folder });
      await again.produce(10, 't.a', { first: 11 + 2 * FEW });
      await again.drained();
      await inOrder(rig);
      await everythingOnce(rig, 20 + 2 * FEW);
    });

    it(`gets what the saver never wrote, by ${procedure}`, async (scope) => {
      const rig = await startRolledBackHub(scope, procedure);
      await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
      const options = { leafUrl: rig.hub.leafUrl, lanes, keepMs: KEEP_MS, saverHoldMs: 60_000 };
      const uplink = await startUplink(scope, options);
      await untilHeld(uplink);
      await rig.save();
      await untilHeld(uplink);
      const { saver, lanes: before } = uplink.journal.status();
      await uplink.produce(2_000, 't.a');
      const after = uplink.journal.status();
      assert.equal(after.saver?.spared, (saver?.spared ?? 0) + 2_000, 'nothing of it is on the disk');
      await rig.rollBack();
      // More comes meanwhile, and goes to disk.
      await uplink.produce(100, 't.a', { first: 2_001 });
      await waitForStream(rig.reader, 'T', (before[0]?.lastSequence ?? 0) + 2_100, { timeoutMs: 40_000 });
      await uplink.drained();
      await inOrder(rig);
      assertExactly(
        (await readNumbers(rig.reader, 'T')).filter(({ n }) => n > 0 && n < 1_000_000),
        2_100,
      );
      assert.equal(laneOf(uplink.journal, 0).depth, 0);
      await uplink.stop();
      const again = await startUplink(scope, { ...options, folder: uplink.folder, linked: false });
      assert.equal(laneOf(again.journal, 0).depth, 0, 'what was written late is counted');
    });

    it(`gets it from a box that was killed meanwhile, by ${procedure}`, async (scope) => {
      const rig = await startRolledBackHub(scope, procedure);
      await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
      const first = await startUplink(scope, { leafUrl: rig.hub.leafUrl, lanes, keepMs: KEEP_MS });
      await first.produce(COUNT, 't.a');
      await first.drained();
      await rig.save();
      await first.produce(COUNT, 't.a', { first: COUNT + 1 });
      await first.drained();
      await first.stop();
      await rig.rollBack();
      const options = { leafUrl: rig.hub.leafUrl, lanes, keepMs: KEEP_MS, folder: first.folder };
      const second = await startUplink(scope, options);
      await second.produce(10, 't.a', { first: 2 * COUNT + 1 });
      await everythingOnce(rig, 2 * COUNT + 10);
      await inOrder(rig);
    });
  }

  for (const procedure of ['read-back', 'atomic'] as const) {
    for (const isKilled of procedure === 'atomic' ? [false, true] : [false]) {
      const box = isKilled ? 'a new run of the box' : 'the box';
      it(`gets it although others have written to the stream before ${box} is back, by ${procedure}`, async (scope) => {
        const rig = await startRolledBackHub(scope, procedure);
        await createStreamFor(procedure, rig.reader, 'T', ['t.>'], SHORT);
        const link = await startTcpProxy(scope, rig.hub.leafPort);
        const leafUrl = `nats://127.0.0.1:${link.port}`;
        const options = { leafUrl, lanes: [laneFor(procedure)], keepMs: KEEP_MS };
        const uplink = await startUplink(scope, options);
        await uplink.produce(COUNT, 't.a');
        await uplink.drained();
        await rig.save();
        await uplink.produce(COUNT, 't.a', { first: COUNT + 1 });
        await uplink.drained();
        await link.refuse();
        if (isKilled) await uplink.stop();
        await rig.rollBack();
        const js = jetstream(rig.reader, { checkAPI: false });
        await waitFor('the stream', () => js.publish('t.foreign', '0'), { timeoutMs: 20_000 });
        for (let i = 0; i < COUNT + 100; i += 100) {
          await Promise.all(Array.from({ length: 100 }, () => js.publish('t.foreign', '0')));
        }
        assert((await streamState(rig.reader, 'T')).lastSequence > 2 * COUNT, 'more than the box knew');
        await link.restore();
        if (isKilled) await startUplink(scope, { ...options, folder: uplink.folder });
        const all = async () => (await readNumbers(rig.reader, 'T')).filter(({ n }) => n > 0).length >= 2 * COUNT;
        await waitFor('the missing records', all, { timeoutMs: 40_000, intervalMs: 300 });
        const numbers = (await readNumbers(rig.reader, 'T')).map(({ n }) => n).filter((n) => n > 0);
        assert.equal(new Set(numbers).size, 2 * COUNT);
        assert.equal(numbers.length, 2 * COUNT, 'none twice');
      });
    }
  }

  it('gets nothing where nothing is kept: what the test sees', async (scope) => {
    const rig = await startRolledBackHub(scope);
    await createStream(rig.reader, 'T', ['t.>']);
    const uplink = await startUplink(scope, { leafUrl: rig.hub.leafUrl, keepMs: 0 });
    await uplink.produce(COUNT, 't.a');
    await uplink.drained();
    await rig.save();
    await uplink.produce(COUNT, 't.a', { first: COUNT + 1 });
    await uplink.drained();
    await rig.rollBack();
    await waitFor('the hub', () => streamState(rig.reader, 'T'), { timeoutMs: 20_000 });
    await uplink.produce(1, 't.a', { first: 2 * COUNT + 1 });
    await uplink.drained();
    const { messages } = await streamState(rig.reader, 'T');
    assert(messages < 2 * COUNT, `${messages}`);
  });
});
