import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectAsync } from 'mqtt';
import { SECRETS_FILE, secretsIn } from '../../src/ops/sign-in-secrets.ts';
import { type Box, DIST, startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { Terminal } from '../support/terminal.ts';
import { waitFor } from '../support/wait-for.ts';

/* `petiole devices`, `config` and `bundle` against a real box, piped and at a terminal. */

const MAIN = join(DIST, 'main.js');

interface Ran {
  code: number | null;
  text: string;
}

async function petiole(scope: Scope, cwd: string, ...args: string[]): Promise<Ran> {
  const child = new Child('node', [MAIN, ...args], { cwd });
  atEnd(scope, () => child.kill().then(() => {}));
  const { code } = await child.exited;
  return { code, text: child.lines.join('\n') };
}

async function sensorOf(scope: Scope, box: Box, clientId: string) {
  const client = await connectAsync(box.mqttUrl, { clientId, reconnectPeriod: 0 });
  client.on('error', () => {});
  atEnd(scope, () => void client.end(true));
  return client;
}

test('devices: listed, searched, sorted, ended', async (t) => {
  const box = await startBox(t);
  const cwd = tempDir(t, 'cli');
  const [one, two] = [await sensorOf(t, box, 'oven-1'), await sensorOf(t, box, 'oven-2 \u001b[31m')];
  await sensorOf(t, box, 'press');
  await two.publishAsync('a', 'b', { qos: 1 });
  const devices = (...args: string[]) => petiole(t, cwd, 'devices', ...args, '--config', box.configFile);

  const all = await devices();
  assert.equal(all.code, 0, all.text);
  assert.match(all.text, /^Name +Kind +State +Address +Last seen +Rate +In +Out +Errors\n/);
  assert.match(all.text, /\noven-1 +mqtt +connected +127\.0\.0\.1:\d+ +/);
  assert.ok(!all.text.includes('\u001b'), 'nothing that a terminal would obey');
  assert.match(all.text, /\n3 devices$/);
  const found = await devices('oven', '--kind', 'mqtt', '--sort', 'messagesIn', '--desc', '--limit', '1');
  assert.match(found.text, /\noven-2 \S+ +mqtt [\s\S]*\n1 device of 2$/);
  const { devices: rows, total } = JSON.parse((await devices('list', 'press', '--json')).text);
  assert.deepEqual([total, rows[0].id], [1, 'mqtt:press']);
  assert.match((await devices('nobody')).text, /^No device fits\.$/);

  const ended = new Promise<void>((resolve) => one.once('close', () => resolve()));
  const kicked = await devices('kick', 'oven-1');
  assert.deepEqual([kicked.code, kicked.text], [0, 'The connection of oven-1 is ended; it may come again.']);
  await ended;
  const gone = await devices('kick', 'oven-1');
  assert.equal(gone.code, 1);
  assert.match(gone.text, /^Nothing is called oven-1\. `petiole devices` lists/);
  for (const wrong of [['kick'], ['a', 'b'], ['--sort', 'size'], ['--limit', '0'], ['--kind', 'tv']]) {
    assert.equal((await devices(...wrong)).code, 64, wrong.join(' '));
  }
});

test('config: shown, checked, compared, and applied at a terminal with a trial that is kept or comes back', async (t) => {
  const upstream = { urls: [`nats://127.0.0.1:${await freePort()}`], user: 'box', password: 'pl4nted-secret' };
  const box = await startBox(t, { config: { upstream } });
  const cwd = tempDir(t, 'cli');
  const config = (...args: string[]) => petiole(t, cwd, 'config', ...args, '--config', box.configFile);

  const shown = await config('show', '--set');
  assert.equal(shown.code, 0, shown.text);
  assert.match(shown.text, /gateway\.name +box +file, line \d+/);
  assert.match(shown.text, /upstream\.password +\[redacted\]/);
  assert.ok(!/journal\.reserve/.test(shown.text), 'what is not set stays out');
  assert.match((await config('show')).text, /journal\.\S+ +\S+ +default/);
  const { text } = await config('show', '--text');
  assert.ok(!text.includes('pl4nted'));

  const copy = join(cwd, 'copy.yaml');
  writeFileSync(copy, `${text}\nlog: { level: loud }\n`);
  const wrong = await config('check', 'copy.yaml');
  assert.equal(wrong.code, 1);
  assert.match(wrong.text, /^copy\.yaml:\d+: log\.level: .*\n[\s\S]*The box would not take it: 1 problem\./);
  writeFileSync(copy, `${text}\nlog: { level: debug }\n`);
  assert.match(
    (await config('check', 'copy.yaml')).text,
    /^log\.level: info → debug\nThe box would take it: 1 change\.$/,
  );
  assert.match((await config('diff', 'copy.yaml')).text, /^@@ line \d+ @@\n[\s\S]*\n\+log: \{ level: debug \}/);

  // Nobody is asked, and nothing is done.
  const unasked = await config('apply', 'copy.yaml');
  assert.equal(unasked.code, 1);
  assert.match(unasked.text, /Say --yes/);
  const typed = (answer: string) => {
    const terminal = new Terminal(t, ['node', MAIN, 'config', 'apply', 'copy.yaml', '--config', box.configFile], cwd);
    return terminal.answer('[y/N] ', `${answer}\n`).then(() => terminal);
  };
  const no = await typed('');
  assert.equal((await no.exited).code, 1);
  assert.match(no.screen, /\[32m\+log: .*Nothing is applied/s);
  const yes = await typed('y');
  assert.equal((await yes.exited).code, 0, yes.screen);
  assert.match(yes.screen, /It is kept, and written to the file\./);
  assert.match(readFileSync(box.configFile, 'utf8'), /pl4nted-secret[\s\S]*level: debug/);

  // A sensor that does not find the listener any more brings the old one back; so does a word of the operator.
  await sensorOf(t, box, 'pump-3');
  const moved = (await config('show', '--text')).text.replace(`:${box.mqttPort}`, `:${await freePort()}`);
  writeFileSync(copy, moved);
  const reverted = await config('apply', 'copy.yaml', '--yes', '--within', '10s');
  assert.equal(reverted.code, 1, reverted.text);
  assert.match(reverted.text, /The old configuration is back: not back in time: .*pump-3\.$/);
  assert.match(readFileSync(box.configFile, 'utf8'), new RegExp(`:${box.mqttPort}`));

  await sensorOf(t, box, 'pump-3');
  const started = await config('apply', 'copy.yaml', '--yes', '--within', '5m', '--no-wait');
  assert.equal(started.code, 0, started.text);
  assert.match(started.text, /On trial until 20.*config confirm/);
  const isWatching = async () => (await config('show', '--json')).text.includes('"state": "watching"');
  await waitFor('the trial', isWatching, { timeoutMs: 60_000, intervalMs: 200 });
  const back = await config('rollback');
  assert.deepEqual([back.code, back.text], [0, 'The old configuration is back: an operator took it back.']);
  const late = await config('confirm');
  assert.deepEqual([late.code, late.text], [1, 'No configuration is on trial.']);
  for (const args of [['show', 'x'], ['apply'], ['nothing'], ['apply', 'copy.yaml', '--within', '1s']]) {
    assert.equal((await config(...args)).code, 64, args.join(' '));
  }
});

test('bundle: one private file, and never over another', async (t) => {
  const box = await startBox(t);
  const cwd = tempDir(t, 'cli');
  const bundle = (...args: string[]) => petiole(t, cwd, 'bundle', ...args, '--config', box.configFile);
  const written = await bundle();
  assert.equal(written.code, 0, written.text);
  const [, name = ''] = /^(petiole-box-[\dTZ-]+\.tar\.gz): [\d.]+ KiB$/.exec(written.text) ?? assert.fail(written.text);
  assert.equal(statSync(join(cwd, name)).mode & 0o777, 0o600);
  const names = execFileSync('tar', ['-tzf', name], { cwd, encoding: 'utf8' }).trim().split('\n');
  assert.ok(names.includes('status.json') && names.includes('hardware.json'), names.join(' '));
  assert.match((await bundle(name)).text, /is there already\. Give another name, or --force\.$/);
  assert.equal((await bundle(name, '--force')).code, 0);

  // From elsewhere, with a secret in a file; a viewer's is not enough.
  const secrets = secretsIn(box.dataDir) ?? assert.fail('no secrets');
  writeFileSync(join(cwd, 'operator'), secrets.operator);
  writeFileSync(join(cwd, 'viewer'), secrets.viewer);
  const remote = (secret: string) =>
    petiole(t, cwd, 'bundle', `${secret}.tar.gz`, '--url', box.statusUrl, '--secret-file', secret);
  assert.equal((await remote('operator')).code, 0);
  const refused = await remote('viewer');
  assert.deepEqual(
    [refused.code, refused.text],
    [1, 'This is for the operator alone. Sign in with the secret of the operator.'],
  );
});

test('status --secret: for who may read the file of the box, and nobody else; on a terminal with its code', async (t) => {
  const box = await startBox(t);
  const cwd = tempDir(t, 'cli');
  const secrets = secretsIn(box.dataDir) ?? assert.fail('no secrets');
  assert.equal(statSync(join(box.dataDir, SECRETS_FILE)).mode & 0o777, 0o600);
  const piped = await petiole(t, cwd, 'status', '--secret', '--config', box.configFile);
  assert.deepEqual(
    [piped.code, piped.text.split('\n')],
    [0, [`operator  ${secrets.operator}`, `viewer    ${secrets.viewer}`]],
  );
  const terminal = new Terminal(t, ['node', MAIN, 'status', '--secret', '--config', box.configFile], cwd);
  assert.equal((await terminal.exited).code, 0);
  assert.match(terminal.screen, /[▀▄█]{5}/);
  const elsewhere = join(cwd, 'other.yaml');
  writeFileSync(elsewhere, `gateway: { data: ${join(cwd, 'nothing')} }\n`);
  const nothing = await petiole(t, cwd, 'status', '--secret', '--config', elsewhere);
  assert.equal(nothing.code, 1);
  assert.match(nothing.text, /No secrets can be read .* Run it as root/);
});
