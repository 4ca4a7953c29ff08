import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { startBox } from '../support/box.ts';
import { credentialIn } from '../support/credential-scan.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const CLONE = join(import.meta.dirname, '../..');
const POLICY = readFileSync(join(CLONE, '.github/SECURITY.md'), 'utf8');

test('no credential in what is shipped, and none in what it is built from', () => {
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: CLONE, encoding: 'utf8' }).split('\0').filter(Boolean);
  // Of tests, seeds that open nothing are material.
  const isFile = (path: string) => statSync(join(CLONE, path), { throwIfNoEntry: false })?.isFile() === true;
  const sources = tracked.filter((path) => !path.startsWith('test/') && isFile(path));
  const built = readdirSync(join(CLONE, 'dist'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.js'))
    .map((path) => join('dist', path))
    .filter(isFile);
  assert.ok(sources.length > 100 && built.length > 100);
  for (const path of [...sources, ...built]) {
    assert.equal(credentialIn(readFileSync(join(CLONE, path), 'utf8')), undefined, path);
  }
  // The scan sees what it is there for.
  assert.ok(credentialIn(`seed: SU${'A'.repeat(56)}`));
  assert.ok(credentialIn(`-----BEGIN PRIVATE KEY-----\n${'a'.repeat(64)}`));
  assert.ok(credentialIn('  password: correcthorsebattery'));
});

interface Socket {
  address: string;
  port: number;
}

/** Sockets of a process, as the kernel has them. */
function socketsOf(pid: number, ...options: string[]): Socket[] {
  const lines = execFileSync('ss', ['-Hnp', ...options], { encoding: 'utf8' }).split('\n');
  return lines
    .filter((line) => line.includes(`pid=${pid},`))
    .map((line) => {
      const [, , , local = ''] = line.trim().split(/\s+/);
      const colon = local.lastIndexOf(':');
      return { address: local.slice(0, colon), port: Number(local.slice(colon + 1)) };
    });
}

test('the ports are those that are documented: by default, on loopback, and no other of any kind', async (t) => {
  const documented = [...POLICY.matchAll(/^\| (\d+) \| ([\d.]+) \|/gm)].map(([, port, host]) => `${host}:${port}`);
  const folder = tempDir(t, 'defaults');
  const { config } = loadConfig({ file: null, env: {}, cwd: folder });
  assert.ok(config?.nats && config.status);
  const defaults = [...config.mqtt.listeners, ...config.nats.listeners, config.status];
  assert.deepEqual(defaults.map(({ host, port }) => `${host}:${port}`).sort(), documented.sort());

  const box = await startBox(t, { readyTimeoutMs: 60_000 });
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'line1/temp', '-m', '21');
  const listening = socketsOf(box.pid, '-lt');
  const expected = [box.mqttPort, box.natsPort, Number(new URL(box.statusUrl).port)];
  assert.deepEqual(listening.map(({ port }) => port).sort(), expected.sort());
  for (const { address } of listening) assert.equal(address, '127.0.0.1');
  assert.deepEqual(socketsOf(box.pid, '-lu'), []);
  // Without an upstream it speaks to nobody: every connection is one that came to a port of its own.
  await waitFor('no connection of its own', () =>
    socketsOf(box.pid, '-t', 'state', 'established').every(({ port }) => expected.includes(port)),
  );
});

test('two first starts have nothing secret in common, and nothing that others may read', async (t) => {
  const boxes = [
    await startBox(t, { name: 'one', readyTimeoutMs: 60_000 }),
    await startBox(t, { name: 'one', readyTimeoutMs: 60_000 }),
  ];
  const epochs = await Promise.all(boxes.map(async (box) => String((await box.status()).store.epoch)));
  assert.match(epochs[0] ?? '', /\w{4}/);
  assert.notEqual(epochs[0], epochs[1]);
  const digests = boxes.map(
    ({ dataDir }) =>
      new Map(
        readdirSync(dataDir, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => [
            entry.name,
            createHash('sha256')
              .update(readFileSync(join(entry.parentPath, entry.name)))
              .digest('hex'),
          ]),
      ),
  );
  const [first = new Map<string, string>(), second] = digests;
  for (const [name, digest] of first) {
    if (/secret|key|token|password/.test(name)) assert.notEqual(digest, second?.get(name), name);
  }
});

const MARK = 'mark-of-the-owner';

/** A machine's folders as far as they are the box's. */
function machineIn(root: string): string[] {
  const files = [
    'var/lib/petiole/journal.db',
    'var/lib/petiole/hub.creds',
    'var/lib/petiole/.cache/compile/x',
    'etc/petiole/petiole.yaml',
    'etc/petiole/credentials/hub',
    'etc/default/petiole',
    'data/machine-id',
    'data/ssh/authorized_keys',
    'data/ssh/ssh_host_ed25519_key',
  ];
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), MARK);
  }
  return files;
}

function marked(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path, 'latin1').includes(MARK));
}

test('a factory reset leaves nothing of the owner, and happens only when it is meant', (t) => {
  const root = tempDir(t, 'reset');
  const files = machineIn(root);
  mkdirSync(join(root, 'usr/lib/petiole'), { recursive: true });
  writeFileSync(join(root, 'usr/lib/petiole/petiole.yaml'), '# as packaged\n');
  const reset = join(CLONE, 'deploy/debian/factory-reset.sh');
  assert.equal(spawnSync('sh', [reset]).status, 64);
  const backup = spawnSync('sh', [join(CLONE, 'deploy/debian/backup.sh'), root], { encoding: 'utf8' });
  assert.equal(backup.status, 0, backup.stderr);
  assert.equal(marked(root).length, files.length);
  const done = spawnSync('sh', [reset, '--yes', root], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  assert.deepEqual(marked(root), []);
  assert.deepEqual(readdirSync(join(root, 'var/lib/petiole')), []);
  assert.deepEqual(readdirSync(join(root, 'var/lib/petiole-backup')), []);
  assert.equal(readFileSync(join(root, 'etc/petiole/petiole.yaml'), 'utf8'), '# as packaged\n');
});

test('a backup has the configuration and the credentials, not the journal; the last four are kept', (t) => {
  const root = tempDir(t, 'backup');
  machineIn(root);
  const folder = join(root, 'var/lib/petiole-backup');
  mkdirSync(folder, { recursive: true });
  for (const year of [2020, 2021, 2022, 2023, 2024])
    writeFileSync(join(folder, `petiole-${year}0101T000000Z.tar.gz`), '');
  const { status, stderr } = spawnSync('sh', [join(CLONE, 'deploy/debian/backup.sh'), root], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const kept = readdirSync(folder).sort();
  assert.equal(kept.length, 4);
  assert.deepEqual(
    kept.slice(0, 3),
    [2022, 2023, 2024].map((year) => `petiole-${year}0101T000000Z.tar.gz`),
  );
  const list = execFileSync('tar', ['-tzf', join(folder, kept[3] ?? '')], { encoding: 'utf8' });
  assert.match(list, /^etc\/petiole\/petiole\.yaml$/m);
  assert.match(list, /^var\/lib\/petiole\/hub\.creds$/m);
  assert.doesNotMatch(list, /journal/);
});

test('every provision of EN 303 645 has its row, and every test that a row names is there', () => {
  const rows = [...POLICY.matchAll(/^\| 5\.(\d+) [^|]+\|[^|]+\|([^|]+)\|$/gm)];
  assert.deepEqual(
    rows.map(([, number]) => Number(number)),
    Array.from({ length: 13 }, (_, index) => index + 1),
  );
  for (const [row, , proof = ''] of rows) {
    const named = [...proof.matchAll(/`(test\/[^`]+)`/g)].map(([, path = '']) => path);
    assert.ok(named.length > 0, row);
    for (const path of named) assert.ok(existsSync(join(CLONE, path)), path);
  }
});
