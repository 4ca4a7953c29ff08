import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import mqtt from 'mqtt';
import { type Box, startBox } from '../support/box.ts';
import { connectHub, createStream, readStream } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { type DiskRule, EIO, ENOSPC, RuledDisk } from '../support/ruled-disk.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Goal: whatever the disk answers, the box serves, says what is the matter, acknowledges nothing that it does not have,
 * and goes on without a restart when the disk does. Method: the real box on a disk that fails on demand.
 */

const LANES = [{ name: 'd', subjects: ['d.>'] }];
/** The disks of these tests are smaller than the reserve of a real one. */
const CONFIG = { lanes: LANES, journal: { reserve: '1MiB' } };

function ruledDisk(scope: Scope): { disk: RuledDisk; dataDir: string } {
  const dir = tempDir(scope, 'disk');
  const root = join(dir, 'root');
  mkdirSync(root);
  return { disk: new RuledDisk(scope, root, dir), dataDir: join(root, 'data') };
}

/** True where it was acknowledged, false where it was refused: MQTT 5 clients are told. */
async function publish(scope: Scope, box: Box, texts: readonly string[], topic = 'd/x'): Promise<boolean[]> {
  const client = await mqtt.connectAsync(box.mqttUrl, { protocolVersion: 5, reconnectPeriod: 0 });
  atEnd(scope, () => void client.end(true));
  const outcomes = texts.map((text) =>
    client.publishAsync(topic, text, { qos: 1 }).then(
      () => true,
      () => false,
    ),
  );
  return Promise.all(outcomes);
}

const texts = (name: string, count = 20) => Array.from({ length: count }, (_, i) => `${name}${i}`);
const all = (outcomes: readonly boolean[], value: boolean) => outcomes.every((outcome) => outcome === value);
const healthy = (scope: Scope, box: Box) =>
  waitFor('the store to write again', async () => all(await publish(scope, box, ['again']), true), {
    timeoutMs: 30_000,
    intervalMs: 200,
  });

/** A live message gets through, whatever the store does. */
async function servesLive(scope: Scope, box: Box): Promise<void> {
  const client = await mqtt.connectAsync(box.mqttUrl, { reconnectPeriod: 0 });
  atEnd(scope, () => void client.end(true));
  const got = new Promise<string>((resolve) => client.on('message', (_, payload) => resolve(payload.toString())));
  await client.subscribeAsync('live/#');
  await client.publishAsync('live/a', 'hello');
  assert.equal(await got, 'hello');
}

describe('a disk that fails while the box runs', () => {
  const faults: [string, DiskRule, number][] = [
    ['fsync says EIO', 'syncErrno', EIO],
    ['writes say EIO', 'writeErrno', EIO],
    ['writes say ENOSPC', 'writeErrno', ENOSPC],
  ];
  for (const [what, rule, value] of faults) {
    it(`${what}: nothing is acknowledged, and it goes on by itself with all that was`, async (scope) => {
      const { disk, dataDir } = ruledDisk(scope);
      const box = await startBox(scope, { dataDir, env: disk.env, config: CONFIG });
      assert(all(await publish(scope, box, texts('before')), true));
      const { epoch } = (await box.status()).store;
      disk.rule(rule, value);
      assert(all(await publish(scope, box, texts('during')), false), 'acknowledged what it could not write');
      await waitFor('the status to say so', async () => (await box.status()).store.state === 'failed');
      await servesLive(scope, box);
      disk.rule(rule, 0);
      await healthy(scope, box);
      await waitFor('what it had', async () => (await box.status()).lanes[0].depth >= 21);
      assert.equal((await box.status()).store.epoch, epoch, 'the same store, opened anew');
      await box.restart();
      assert((await box.status()).lanes[0].depth >= 21);
    });
  }

  for (const [what, , value] of faults.slice(1)) {
    it(`${what} with the flash saver: a number that is refused is in the ledger`, async (scope) => {
      const hub = await startNatsServer(scope, { jetstream: true, leafnodes: BEHIND_PROXY });
      const proxy = await startTcpProxy(scope, hub.leafPort);
      const reader = await connectHub(scope, hub.clientUrl);
      await createStream(reader, 'D', ['d.>']);
      const { disk, dataDir } = ruledDisk(scope);
      const config = {
        lanes: LANES,
        journal: { reserve: '1MiB', flush: { saver: true, hold: '10s' } },
        upstream: { urls: [`nats://127.0.0.1:${proxy.port}`], connect_timeout: '2s' },
      };
      const box = await startBox(scope, { dataDir, env: disk.env, config });
      const saver = async () => (await box.status()).store.saver;
      await waitFor('receipts of the hub', async () => {
        return all(await publish(scope, box, ['a']), true) && (await saver()).spared > 0;
      });
      proxy.swallow('up');
      const outcome = publish(scope, box, texts('held'));
      await waitFor('all of them to be held', async () => (await saver()).held === 20);
      disk.rule('writeErrno', value);
      await proxy.refuse();
      proxy.cut();
      assert(all(await outcome, false), 'acknowledged what is nowhere');
      disk.rule('writeErrno', 0);
      await healthy(scope, box);
      await proxy.restore();
      await publish(scope, box, ['b']);
      const there = new Set<number>();
      const missing = async () => {
        await readStream(reader, 'D', ({ id }) => there.add(Number(id.slice(id.lastIndexOf('.') + 1))));
        const { lanes, ledger } = await box.status();
        for (const { lane, firstSequence: first, lastSequence: last } of ledger) {
          if (lane === 'd' && first !== null) for (let n = first; n <= last; n++) there.add(n);
        }
        const numbers = Array.from({ length: lanes[0].lastSequence }, (_, i) => i + 1);
        return numbers.filter((n) => !there.has(n));
      };
      await waitFor('each number at the hub or in the ledger', async () => (await missing()).length === 0);
    });
  }

  it('and the file with it: a lane whose pages are gone does not stand still', async (scope) => {
    const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
    const reader = await connectHub(scope, hub.clientUrl);
    const box = await startBox(scope, {
      config: {
        lanes: LANES,
        upstream: { urls: [`nats://127.0.0.1:${hub.leafPort}`], connect_timeout: '2s', ack_timeout: '1s' },
      },
    });
    // No stream takes them yet: they wait on the disk, and a restart moves them from the log into the main file.
    const long = (name: string) => texts(name, 300).map((text) => text.padEnd(3_000, '.'));
    assert(all(await publish(scope, box, long('a')), true));
    await box.restart();
    const fd = openSync(join(box.dataDir, 'petiole.db'), 'r+');
    const pages = Math.floor(fstatSync(fd).size / 4096);
    for (let page = 8; page < pages; page += 3) writeSync(fd, Buffer.alloc(4096), 0, 4096, page * 4096);
    closeSync(fd);
    assert(all(await publish(scope, box, texts('b')), true));
    await createStream(reader, 'D', ['d.>']);
    const names = new Set<string>();
    await waitFor(
      'what came after the damage to reach the hub',
      async () => {
        await readStream(reader, 'D', ({ payload }) => names.add(Buffer.from(payload).toString().replaceAll('.', '')));
        return texts('b').every((name) => names.has(name));
      },
      { timeoutMs: 40_000, intervalMs: 500 },
    );
    const { ledger, lanes } = await box.status();
    const lost = ledger.filter(({ reason }: { reason: string }) => reason === 'corrupt');
    assert(lost.length > 0, 'what is missing is in the ledger');
    const told = lost.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
    const arrived = [...names].filter((name) => name.startsWith('a')).length;
    assert(told + arrived >= 300, `${told} told, ${arrived} arrived`);
    assert(lanes[0].depth < 300, 'it drains');
  });
});

describe('a disk that gives no store at the start', () => {
  const faults: [string, DiskRule, number, boolean][] = [
    ['reads say EIO', 'readErrno', EIO, true],
    ['fsync says EIO', 'syncErrno', EIO, false],
    ['there is no space for a file', 'writeErrno', ENOSPC, false],
  ];
  for (const [what, rule, value, isFilled] of faults) {
    it(`${what}: the box is up, refuses what it can't keep, and keeps it once it can`, async (scope) => {
      const { disk, dataDir } = ruledDisk(scope);
      if (isFilled) {
        const first = await startBox(scope, { dataDir, config: CONFIG });
        assert(all(await publish(scope, first, texts('before')), true));
        await first.stop();
      }
      disk.rule(rule, value);
      const box = await startBox(scope, { dataDir, env: disk.env, config: CONFIG });
      await servesLive(scope, box);
      if (!isFilled) {
        assert(all(await publish(scope, box, texts('during', 3)), false), 'acknowledged what it could not write');
        await waitFor('the status to say so', async () => (await box.status()).store.state === 'failed');
      }
      disk.rule(rule, 0);
      await healthy(scope, box);
      if (isFilled) await waitFor('what it had', async () => (await box.status()).lanes[0].depth >= 20);
    });
  }

  it('because it is mounted read-only: the same, until it may be written', async (scope) => {
    const folder = tempDir(scope, 'read-only');
    const mount = (...options: string[]) => execFileSync('mount', options, { stdio: 'ignore' });
    try {
      mount('-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder);
    } catch {
      return scope.skip('needs to mount a tmpfs');
    }
    atEnd(scope, () => void execFileSync('umount', ['-l', folder]));
    const dataDir = join(folder, 'data');
    const first = await startBox(scope, { dataDir, config: CONFIG });
    assert(all(await publish(scope, first, texts('before')), true));
    await first.kill9();
    mount('-o', 'remount,ro', folder);
    const box = await startBox(scope, { dataDir, config: CONFIG });
    await servesLive(scope, box);
    assert(all(await publish(scope, box, texts('during', 3)), false));
    mount('-o', 'remount,rw', folder);
    await healthy(scope, box);
    await waitFor('what it had', async () => (await box.status()).lanes[0].depth >= 21);
    assert(!readdirSync(dataDir).some((name) => name.includes('damaged')));
  });

  it('because it has no inode left: the same', async (scope) => {
    const folder = tempDir(scope, 'no-inode');
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,nr_inodes=2', 'tmpfs', folder], { stdio: 'ignore' });
    } catch {
      return scope.skip('needs to mount a tmpfs');
    }
    atEnd(scope, () => void execFileSync('umount', ['-l', folder]));
    mkdirSync(join(folder, 'data'));
    const box = await startBox(scope, { dataDir: join(folder, 'data'), config: CONFIG });
    await servesLive(scope, box);
    assert(all(await publish(scope, box, texts('during', 3)), false));
    execFileSync('mount', ['-o', 'remount,size=16m,nr_inodes=100', folder]);
    await healthy(scope, box);
  });
});
