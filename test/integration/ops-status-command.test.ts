import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import type { Snapshot } from '../../src/ops/snapshot.ts';
import { StatusServer } from '../../src/ops/status-server.ts';
import { client, noLink, snapshot } from '../unit/ops-snapshot.ts';

const command = new URL('../../src/cli/status.ts', import.meta.url).href;
const runner = `import { status } from '${command}'; process.exitCode = await status.run(process.argv.slice(1));`;

interface Run {
  code: number;
  out: string;
  err: string;
}

/** The command as a process of its own, its output piped. */
async function petioleStatus(args: string[], cwd = tmpdir()): Promise<Run> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', runner, '--', ...args], { cwd });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [code] = await once(child, 'close');
  return { code, out, err };
}

async function serve(t: TestContext, answer: Snapshot): Promise<StatusServer> {
  const server = new StatusServer({ host: '127.0.0.1', port: 0, snapshot: () => answer, log: silentLog });
  await server.start();
  t.after(() => server.stop());
  return server;
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'petiole-status-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

test('prints the screen without colours into a pipe and exits 0, offline too', async (t) => {
  const server = await serve(t, snapshot({ link: noLink }));
  const { code, out, err } = await petioleStatus(['--url', server.url]);
  assert.equal(err, '');
  assert.equal(code, 0);
  assert.match(out, /^plant1 Petiole 0\.1\.0\n▲ Offline for 2 h \(hub\.example\.com:7422 refused the connection\); /);
  assert.ok(!out.includes('\x1b'));
});

test('exits 1 where the box cannot take data', async (t) => {
  const server = await serve(t, snapshot({ store: { state: 'failed' } }));
  const { code, out } = await petioleStatus(['--url', server.url]);
  assert.equal(code, 1);
  assert.match(out, /✖ New messages are not kept: /);
});

test('--json prints the snapshot, with nothing in it that a terminal would obey', async (t) => {
  const answer = snapshot({ mqtt: { clients: [client('a\x1b[2J\u009b31m')] } });
  const server = await serve(t, answer);
  const { code, out } = await petioleStatus(['--url', server.url, '--json']);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(out), answer);
  assert.ok(!out.includes('\x1b') && !out.includes('\u009b'));
});

test('--config gives the address', async (t) => {
  const server = await serve(t, snapshot());
  const path = await folder(t);
  const { port } = server.address;
  await writeFile(join(path, 'box.yaml'), `status:\n  listen: 127.0.0.1:${port}\n`);
  const named = await petioleStatus(['--config', 'box.yaml'], path);
  assert.deepEqual([named.code, named.err], [0, '']);
  await writeFile(join(path, 'petiole.yaml'), `status:\n  listen: 127.0.0.1:${port}\n`);
  const found = await petioleStatus([], path);
  assert.deepEqual([found.code, found.err, found.out], [0, '', named.out]);
  await writeFile(join(path, 'petiole.yaml'), 'status:\n  listne: 127.0.0.1:1\n');
  const mistaken = await petioleStatus([], path);
  assert.equal(mistaken.code, 78);
  assert.match(mistaken.err, /mistakes in .*petiole\.yaml\. `petiole check .*`.* or give --url\.\n$/);
});

test('an unreachable box, something else on the port, and wrong arguments: a sentence and its cure', async (t) => {
  const other = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port: free } = closed.address() as AddressInfo;
  closed.close();
  const cases: [string[], number, RegExp][] = [
    [
      ['--url', `http://127.0.0.1:${free}`],
      1,
      /^No box runs at http:\/\/127\.0\.0\.1:\d+\. Start it with `petiole run`/,
    ],
    [['--url', `http://127.0.0.1:${port}`], 1, /^What answers on .* is not the status page of a box\. Check the port/],
    [['--url', 'ftp://x'], 64, /^--url ftp:\/\/x is not an http address\. Give it as http:/],
    [['--colour'], 64, /^Unknown option '--colour'.*\n\npetiole status \[--url URL\]/],
  ];
  await Promise.all(
    cases.map(async ([args, expected, says]) => {
      const { code, out, err } = await petioleStatus(args);
      assert.match(err, says);
      assert.deepEqual([code, out], [expected, '']);
    }),
  );
});

test('--watch goes on until interrupted, also while the box is away', async (t) => {
  const server = await serve(t, snapshot());
  const child = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    runner,
    '--',
    '--url',
    server.url,
    '--watch',
    '--json',
  ]);
  t.after(() => child.kill('SIGKILL'));
  const lines = child.stdout.setEncoding('utf8');
  const [first] = await once(lines, 'data');
  assert.deepEqual(JSON.parse(first), snapshot());
  await server.stop();
  const [complaint] = await once(child.stderr.setEncoding('utf8'), 'data');
  assert.match(complaint, /^No box runs at /);
  child.kill('SIGINT');
  const [, signal] = await once(child, 'close');
  assert.equal(signal, 'SIGINT');
});
