import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { jetstream } from '@nats-io/jetstream';
import { Objm } from '@nats-io/obj';
import { makeKeys, sealImage } from '../../src/serial/bridge/firmware/image.ts';
import { type Box, DIST, startBox } from '../support/box.ts';
import { connectHub } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { startBoard } from '../support/simulated-board.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** Images on their way to the C library: signed by the command, relayed by the real box, tried by the board. */

/** Of an image; its last block of SHA-256 has no room for the length, which was a fault once. */
const BYTES = 20_024;

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function petiole(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(DIST, 'main.js'), ...args],
      { env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, stdout, stderr });
      },
    );
  });
}

/** A folder with a key, and what signs images with it. */
async function signer(t: Scope) {
  const dir = tempDir(t, 'images');
  const made = await petiole(['firmware', 'key', join(dir, 'fleet.pem')]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(statSync(join(dir, 'fleet.pem')).mode & 0o777, 0o600);
  const [, publicKey = ''] = /keys: \[(.*)\]/.exec(made.stdout) ?? [];
  const image = (version: string, kind: 'good' | 'hangs', bytes: number): string => {
    const file = join(dir, `${version}.bin`);
    const head = `petiole-board ${version} ${kind}\n`;
    writeFileSync(
      file,
      head +
        randomBytes(bytes)
          .toString('base64')
          .slice(0, bytes - head.length),
    );
    return file;
  };
  const sign = async (file: string, version: string, target = 'petiole-sim'): Promise<string> => {
    const out = `${file}.${target}.pfw`;
    const key = join(dir, 'fleet.pem');
    const args = ['firmware', 'sign', file, '--target', target, '--version', version, '--key', key, '--out', out];
    const { code, stderr } = await petiole(args);
    assert.equal(code, 0, stderr);
    return out;
  };
  return { dir, publicKey, image, sign };
}

async function transferOf(box: Box) {
  const { firmware } = await box.status();
  return firmware.transfers[0] ?? null;
}

const reached = (box: Box, ...states: string[]) =>
  waitFor(
    `the state ${states.join(' or ')}`,
    async () => {
      const transfer = await transferOf(box);
      if (!states.includes(transfer?.state)) throw new Error(JSON.stringify(transfer));
      return transfer;
    },
    { timeoutMs: 120_000 },
  );

test('an image goes to the board amid its readings, outlives a kill of either end, is tried and confirmed', async (t) => {
  const { publicKey, image, sign } = await signer(t);
  // 20 KB at 57,600 baud take four seconds and more.
  const options = ['--rate', '20', '--baud', '57600', '--brown-out', '60'];
  const board = await startBoard(t, { options });
  const lock = join(tempDir(t, 'balena'), 'updates.lock');
  const box = await startBox(t, {
    env: { BALENA_APP_LOCK_PATH: lock },
    config: {
      serial: [{ name: 'line3', port: board.path, bridge: true }],
      firmware: { keys: [publicKey] },
    },
  });
  await waitFor('the board', async () => (await box.status()).serial[0].board?.isThere);
  const file = image('1.1.0', 'good', BYTES);
  const signed = await sign(file, '1.1.0');
  const cli = ['--config', box.configFile];
  const offered = await petiole(['firmware', 'offer', signed, '--json', ...cli]);
  assert.equal(offered.code, 0, offered.stderr);
  assert.equal(JSON.parse(offered.stdout).transfers[0].state, 'offered');
  const approved = await petiole(['firmware', 'approve', 'line3', ...cli]);
  assert.match(approved.stdout, /line3 \(petiole-sim\): 1\.0\.0 to 1\.1\.0/, approved.stderr);
  // The box falls in the first part of the transfer, the board browns out in the second.
  await waitFor('a part of the image', async () => (await transferOf(box))?.offset > 2_000, { timeoutMs: 60_000 });
  const producedBefore = board.produced;
  assert(existsSync(lock), 'no update comes amid a transfer');
  await box.kill9();
  await box.start();
  const { versionBefore, size } = await reached(box, 'confirmed');
  assert.deepEqual([versionBefore, size], ['1.0.0', BYTES]);
  assert(
    board.told('start').some((line) => line.includes('reset=brown-out')),
    board.told('start').join('\n'),
  );
  assert(
    board.told('start').some((line) => line.includes('version=1.1.0')),
    board.told('start').join('\n'),
  );
  assert(board.produced > producedBefore, 'its readings went on');
  await waitFor('the board to say its version', async () => {
    const { board: facts } = (await box.status()).serial[0];
    return facts.version === '1.1.0' && facts.isOnTrial === false;
  });
  await waitFor('updates to be let through', () => !existsSync(lock));
  const again = await petiole(['firmware', 'offer', signed, ...cli]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /runs it already/);
  assert.deepEqual(readFileSync(board.runningImage).subarray(0, BYTES), readFileSync(file));
});

test('an image goes over a bad line, and a lost frame costs little', async (t) => {
  const keys = makeKeys();
  const bad = ['--flip', '0.0001', '--drop', '0.0002', '--duplicate', '0.0002', '--seed', '5'];
  const board = await startBoard(t, { options: ['--rate', '50', ...bad] });
  const box = await startBox(t, {
    config: {
      serial: [{ name: 'line3', port: board.path, bridge: true }],
      firmware: { keys: [keys.publicKey], approve: 'at-once' },
    },
  });
  const nats = await connectHub(t, box.natsUrl);
  await waitFor('the board', async () => (await box.status()).serial[0].board?.isThere);
  const file = sealImage(
    Buffer.from('petiole-board 1.1.0 good\n'.padEnd(BYTES, 'x')),
    'petiole-sim',
    '1.1.0',
    keys.privatePem,
  );
  const head = JSON.stringify({ id: 'test', offset: 0, total: file.length, port: 'line3' });
  const fromMs = performance.now();
  await nats.request('$PETIOLE.box.firmware.offer', Buffer.concat([Buffer.from(`${head}\n`), file]), {
    timeout: 30_000,
  });
  await reached(box, 'confirmed');
  t.diagnostic(`${BYTES} bytes, confirmed after ${Math.round((performance.now() - fromMs) / 1000)} s`);
});

test('what must not reach a board is refused with its reason, and one that hangs is taken back', async (t) => {
  const keys = makeKeys();
  const board = await startBoard(t, { options: ['--rate', '50', '--version', '2.0.0'] });
  const box = await startBox(t, {
    config: {
      serial: [{ name: 'line3', port: board.path, bridge: true }],
      firmware: { keys: [keys.publicKey], image_max: '32KiB', confirm_timeout: '3s' },
    },
  });
  const nats = await connectHub(t, box.natsUrl);
  /** What was answered: a status, or why not. */
  const ask = async (action: string, payload: string | Buffer) => {
    const answer = await nats.request(`$PETIOLE.box.firmware.${action}`, payload, { timeout: 30_000 });
    const { error, transfers } = answer.json<{ error?: { message: string }; transfers: { state: string }[] }>();
    return error?.message ?? transfers[0]?.state ?? 'nothing';
  };
  const offer = (file: Buffer, port = '') => {
    const head = JSON.stringify({ id: 'test', offset: 0, total: file.length, port });
    return ask('offer', Buffer.concat([Buffer.from(`${head}\n`), file]));
  };
  const image = (version: string, kind: string, bytes = 4_000) =>
    Buffer.from(`petiole-board ${version} ${kind}\n`.padEnd(bytes));
  const seal = (version: string, kind: string, given: { target?: string; key?: string; bytes?: number } = {}) => {
    const { target = 'petiole-sim', key = keys.privatePem, bytes } = given;
    return sealImage(image(version, kind, bytes), target, version, key);
  };
  await waitFor('the board', async () => (await box.status()).serial[0].board?.isThere);
  assert.match(await offer(image('2.1.0', 'good')), /no signed image/);
  assert.match(await offer(seal('2.1.0', 'good', { key: makeKeys().privatePem })), /not signed by a key/);
  const changed = Buffer.from(seal('2.1.0', 'good'));
  changed[changed.length - 1] = 0x21;
  assert.match(await offer(changed), /hash/);
  assert.match(await offer(changed.subarray(0, -10)), /has \d+ bytes/);
  assert.match(await offer(seal('2.1.0', 'good', { target: 'another' }), 'line3'), /for another/);
  assert.match(await offer(seal('1.9.0', 'good')), /older/);
  assert.match(await offer(seal('3.0.0', 'good', { bytes: 40_000 })), /too large/);
  assert.match(await offer(seal('2.1.0', 'good'), 'line9'), /no port line9/);
  assert.match(await ask('approve', '{"port":"line3"}'), /nothing is offered/);
  assert.match(await ask('explode', ''), /no action/);
  assert.equal(await ask('list', ''), 'nothing');

  assert.equal(await offer(seal('2.1.0', 'good')), 'offered');
  assert.equal(await ask('cancel', '{"port":"line3"}'), 'cancelled');
  assert.equal(await offer(seal('2.2.0', 'hangs')), 'offered');
  await ask('approve', '{"port":"line3"}');
  const { reason } = await reached(box, 'reverted');
  assert.match(reason, /came back with 2\.0\.0/);
  assert(
    board.told('start').filter((line) => line.includes('version=2.0.0')).length > 1,
    board.told('start').join('\n'),
  );
});

test('an image in a bucket of the hub is found, fetched and offered, and a window holds it', async (t) => {
  const { publicKey, image, sign } = await signer(t);
  const hub = await startNatsServer(t, { jetstream: true, leafnodes: true });
  const client = await connectHub(t, hub.clientUrl);
  const bucket = await new Objm(jetstream(client)).create('FIRMWARE');
  const put = async (file: string, name: string) => {
    await bucket.putBlob({ name, options: { max_chunk_size: 4_096 } }, readFileSync(file));
  };
  await put(await sign(image('9.0.0', 'good', 9_000), '9.0.0', 'another'), 'other');
  const board = await startBoard(t, { options: ['--rate', '50'] });
  // A minute that is not now.
  const minute = (new Date().getMinutes() + 30) % 60;
  const box = await startBox(t, {
    config: {
      serial: [{ name: 'line3', port: board.path, bridge: true }],
      firmware: { keys: [publicKey], bucket: 'FIRMWARE', approve: 'at-once', windows: [`${minute} * * * *`] },
      upstream: { urls: [hub.leafUrl] },
    },
  });
  await waitFor('the board', async () => (await box.status()).serial[0].board?.isThere);
  await waitFor('the link', async () => (await box.status()).link.state === 'up');
  await put(await sign(image('1.2.0', 'good', 9_000), '1.2.0'), 'board/1.2.0');
  const waiting = await reached(box, 'waiting');
  assert.deepEqual(
    [waiting.version, waiting.reason, waiting.offeredBy],
    ['1.2.0', 'its window is closed', 'the hub, as board/1.2.0'],
  );
  const { images } = (await box.status()).firmware;
  assert.deepEqual(
    images.map(({ version }: { version: string }) => version),
    ['1.2.0'],
    'the other was not fetched',
  );
  await box.stop();
  box.configure({
    serial: [{ name: 'line3', port: board.path, bridge: true }],
    firmware: { keys: [publicKey], bucket: 'FIRMWARE', approve: 'at-once' },
    upstream: { urls: [hub.leafUrl] },
  });
  await box.start();
  await reached(box, 'confirmed');

  // The cloud asks the board, and orders it.
  const asked = await client.request('line3.ask.echo', 'from afar', { timeout: 20_000 });
  assert.equal(asked.string(), 'from afar');
  const set = await client.request('line3.setpoint.set', '42.5', { timeout: 20_000 });
  assert.deepEqual(set.json(), { value: 42.5, unit: '%' });
});
