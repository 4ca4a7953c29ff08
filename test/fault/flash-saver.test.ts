import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { breakBuild } from '../support/broken-build.ts';
import { connectHub } from '../support/hub-stream.ts';
import { message, openJournal, produce, storedLedger } from '../support/journal.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { binaryFor, createStreamFor, laneFor, type Procedure, procedures } from '../support/procedures.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { startUplink, startUplinkProcess, type UplinkOptions, untilHeld } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Goal: with the flash saver nothing is acknowledged before it is at the hub or on the disk, what is at the hub is not
 * written, and no number is given twice, whatever dies. Method: a real hub behind a proxy that loses its PubAcks, is cut
 * and is silent; and a box that is killed while what it sent is nowhere on its disk.
 */

/** So long that nothing goes to disk for want of time, on however busy a machine. */
const LONG_MS = 60_000;
/** PubAcks of some records. */
const LOST_BYTES = 1_000;

async function rig(scope: Scope, procedure: Procedure) {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: BEHIND_PROXY, ...binaryFor(procedure) });
  const client = await connectHub(scope, hub.clientUrl);
  await createStreamFor(procedure, client, 'T', ['t.>'], { duplicate_window: 100_000_000 });
  const proxy = await startTcpProxy(scope, hub.leafPort);
  const folder = tempDir(scope, 'saver');
  const options = { folder, leafUrl: `nats://127.0.0.1:${proxy.port}`, lanes: [laneFor(procedure)] };
  const open = (saverHoldMs: number) => startUplink(scope, { ...options, saverHoldMs });
  return { hub, client, proxy, options, open };
}

/** A box that dies twice with what it sent nowhere on its disk, and what is at the hub once another has ended its work. */
async function killTwice(scope: Scope, procedure: Procedure, dist?: string) {
  const { hub, client, proxy, options, open } = await rig(scope, procedure);
  const acked: number[] = [];
  let first = 1;
  for (let kill = 0; kill < 2; kill++) {
    const run: UplinkOptions = { ...options, saverHoldMs: LONG_MS, window: 500 };
    const child = startUplinkProcess({ ...run, first, limitPerTurn: 10, behindMax: 500 }, dist);
    atEnd(scope, async () => void (await child.kill()));
    const toldOf = (what: string) => Number(child.lines.findLast((line) => line.startsWith(what))?.split(' ')[1] ?? 0);
    // So many are at the hub alone: what was written before the lane kept up does not count.
    await waitFor('receipts of the hub', () => toldOf('spared') > 2_000, { timeoutMs: 60_000 });
    const lost = proxy.lost.down;
    proxy.swallow('down');
    await waitFor('lost acknowledgements', () => proxy.lost.down > lost + LOST_BYTES);
    await child.kill();
    assert.deepEqual(
      child.lines.filter((line) => line.startsWith('disorder') || line.startsWith('refused')),
      [],
    );
    if (kill === 1) await hub.restart();
    proxy.cut();
    await proxy.restore();
    for (let n = first; n <= toldOf('acked'); n++) acked.push(n);
    first = (acked.at(-1) ?? 0) + 100_000;
  }
  const uplink = await open(LONG_MS);
  const waiting = () => uplink.journal.status().lanes[0]?.depth;
  await waitFor('nothing to wait, before anything new comes', () => waiting() === 0, { timeoutMs: 30_000 });
  await uplink.produce(10, 't.a', { first });
  await uplink.drained();
  const found = await readNumbers(client, 'T');
  await uplink.stop();
  const ledger = storedLedger(options.folder);
  const unassigned = ledger.filter(({ reason }) => reason === 'unassigned');
  const wrong: string[] = [];
  if (ledger.some(({ reason }) => reason === 'forgotten')) wrong.push(`forgotten: ${JSON.stringify(ledger)}`);
  const epochs = new Set(found.map(({ lane }) => lane)).size;
  if (epochs !== 1) wrong.push(`${epochs} epochs`);
  const at = found.findIndex(({ sequence }, i) => i > 0 && sequence <= (found[i - 1]?.sequence ?? 0));
  if (at >= 0) wrong.push(`out of order at ${at}: ${JSON.stringify([found[at - 1], found[at]])}`);
  const there = new Set(found.map(({ n }) => n));
  if (there.size < found.length) wrong.push(`${found.length - there.size} numbers twice`);
  const missing = acked.filter((n) => !there.has(n));
  if (missing.length > 0) wrong.push(`${missing.length} acknowledged numbers are missing: ${missing.slice(0, 3)}`);
  return { found, acked: acked.length, wrong, unassigned };
}

for (const procedure of procedures) {
  describe(`the flash saver, ${procedure}`, () => {
    it('gives the hub the receipts, writes nothing, and goes on in the numbering after a stop', async (scope) => {
      const { client, open } = await rig(scope, procedure);
      const uplink = await open(LONG_MS);
      await untilHeld(uplink);
      await uplink.drained();
      const before = uplink.journal.status();
      await uplink.produce(2_000, 't.a');
      const after = uplink.journal.status();
      assert.equal(after.lanes[0]?.bytes, before.lanes[0]?.bytes, 'nothing of them is on the disk');
      assert((after.saver?.spared ?? 0) - (before.saver?.spared ?? 0) === 2_000, JSON.stringify(after.saver));
      assert.equal(after.saver?.held, 0);
      await uplink.stop();
      const again = await open(LONG_MS);
      await again.produce(100, 't.a', { first: 2_001 });
      await again.drained();
      const found = await readNumbers(client, 'T');
      assertExactly(
        found.filter(({ n }) => n < 1_000_000),
        2_100,
      );
      found.forEach(({ sequence }, i) => {
        assert.equal(sequence, i + 1, 'a stop in order leaves no gap');
      });
      assert.deepEqual(again.journal.status().store?.ledger, []);
    });

    it('writes what the hub does not acknowledge in time, and at once when the link falls', async (scope) => {
      const { client, proxy, open } = await rig(scope, procedure);
      const uplink = await open(200);
      await untilHeld(uplink);
      proxy.swallow('down');
      await uplink.produce(500, 't.a');
      assert(uplink.cursor() < uplink.journal.records.resume(0).lastSequence, 'the receipts are not of the hub');
      assert((uplink.journal.status().saver?.written ?? 0) > 0);
      proxy.cut();
      await uplink.produce(500, 't.a', { first: 501 });
      await proxy.restore();
      await uplink.drained();
      const found = await readNumbers(client, 'T');
      assertExactly(
        found.filter(({ n }) => n < 1_000_000),
        1_000,
      );
    });

    it('keeps in order what is held and what goes to disk at once', async (scope) => {
      const { client, proxy, open } = await rig(scope, procedure);
      const uplink = await open(LONG_MS);
      await untilHeld(uplink);
      // A link longer than a commit, and a turn of the loop for each: a part is held, a part is on its way to the disk, and
      // the rest arrives meanwhile.
      proxy.delay(4);
      for (let first = 1; first < 1_000; first += 5) {
        const group = [];
        for (let n = first; n < first + 5; n++) {
          const one = () => ({ ...message('t.a', String(n)), retain: n % 5 === 3 || n % 5 === 4 });
          group.push(produce(uplink.journal, 0, 1, one));
          await new Promise((resolve) => setImmediate(resolve));
        }
        for (const { refused } of await Promise.all(group)) assert.deepEqual(refused, []);
      }
      await uplink.drained();
      const found = await readNumbers(client, 'T');
      assertExactly(
        found.filter(({ n }) => n < 1_000_000),
        1_000,
      );
    });

    it('never gives a number again, though the box dies with what it sent nowhere on its disk', async (scope) => {
      const { found, acked, wrong, unassigned } = await killTwice(scope, procedure);
      assert.deepEqual(wrong, []);
      assert(acked > 4_000);
      // What was set aside and is not at the hub is declared.
      const sequences = new Set(found.map(({ sequence }) => sequence));
      const isDeclared = (n: number) => unassigned.some((row) => (row.first ?? 0) <= n && n <= (row.last ?? 0));
      const last = found.at(-1)?.sequence ?? 0;
      for (let n = 1; n < last; n++) assert(sequences.has(n) || isDeclared(n), `${n} is neither there nor declared`);
    });
  });
}

it('a build that gives numbers again after such a death is caught', async (scope) => {
  const { wrong } = await killTwice(scope, 'read-back', breakBuild(scope, 'reused-numbers'));
  assert.notDeepEqual(wrong, []);
  scope.diagnostic(wrong.join());
});

it('holds nothing without a link, nor what a session on the disk or QoS 2 takes', async (scope) => {
  const journal = await openJournal(scope, { saver: { holdMs: LONG_MS } });
  const outcome = await new Promise((resolve, reject) => {
    journal.append(
      0,
      {
        subject: 'a',
        reply: '',
        headers: Buffer.alloc(0),
        payload: Buffer.from('1'),
        receivedAtMs: Date.now(),
        origin: { kind: 'box', name: 't' },
        qos: 2,
      },
      { accepted: (_token, _reached, sequence) => resolve(sequence), refused: (_token, error) => reject(error) },
      0,
      0,
    );
  });
  assert.equal(outcome, 1);
  assert.equal(journal.status().lanes[0]?.depth, 1);
});
