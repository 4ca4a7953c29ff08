import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { type Box, DIST, startBox } from '../support/box.ts';
import { startAvr, startCortexM } from '../support/emulated-board.ts';
import { make, run } from '../support/firmware-build.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Real firmware on emulated processors and the real box, wired by a pty: what the C library does when it is no program of
 * this machine. Emulation is slow on a busy machine, so nothing here is bound to a time.
 */

/** An emulated board boots in less than a second where the machine is idle. */
const SLOW = { timeoutMs: 60_000, intervalMs: 50 };

const boards = [
  { name: 'a Cortex-M', start: startCortexM, identity: 'mps2-1', check: 'crc32c' },
  { name: 'an AVR with 2 KB of RAM', start: startAvr, identity: 'uno-1', check: 'crc16' },
];

// biome-ignore lint/suspicious/noExplicitAny: the status is what the box makes of it
async function boardOf(box: Box): Promise<any> {
  return (await box.status()).serial[0].board;
}

async function clientOf(scope: Scope, box: Box): Promise<NatsConnection> {
  const client = await connect({ servers: box.natsUrl });
  scope.after(() => client.close());
  return client;
}

/** Values of `line3.count` that a client sees from now on. */
async function watchCount(scope: Scope, box: Box) {
  const client = await clientOf(scope, box);
  const values: number[] = [];
  client.subscribe('line3.count', {
    callback: (_, message) => void values.push(message.json<{ value: number }>().value),
  });
  await client.flush();
  return { client, values };
}

async function ask(client: NatsConnection, subject: string, payload: string): Promise<string> {
  return (await client.request(subject, payload, { timeout: 30_000 })).string();
}

/** All values of `line3.count` in the journal of a box that is stopped. */
function journaledCounts(scope: Scope, box: Box): number[] {
  const file = join(tempDir(scope, 'export'), 'records');
  run(process.execPath, join(DIST, 'main.js'), 'journal', 'export', file, '--config', box.configFile);
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.flatMap((line) => countsIn(JSON.parse(line)));
}

function countsIn(record: { subject?: string; payload?: string; text?: string }): number[] {
  if (record.subject !== 'line3.count') return [];
  return [JSON.parse(record.text ?? Buffer.from(record.payload ?? '', 'base64').toString()).value];
}

/** Rows of consecutive numbers. */
function rowsOf(values: readonly number[]): [first: number, last: number][] {
  const rows: [number, number][] = [];
  for (const value of values) {
    const row = rows.at(-1);
    if (row !== undefined && row[1] + 1 === value) row[1] = value;
    else rows.push([value, value]);
  }
  return rows;
}

for (const { name, start, identity, check } of boards) {
  test(`${name}: values with receipt, a command, a request, messages, and either end falls`, async (t) => {
    const { path } = await start(t);
    const box = await startBox(t, { config: { serial: [{ name: 'line3', port: path, baud: 115_200, bridge: true }] } });
    const { client, values } = await watchCount(t, box);
    await waitFor('the first values', () => values.length >= 3, SLOW);
    const facts = await boardOf(box);
    assert.deepEqual([facts.identity, facts.check, facts.bootCount], [identity, check, 1]);
    assert.deepEqual(
      facts.entities.map((entity: { name: string }) => entity.name),
      ['count', 'lamp'],
    );

    assert.equal(JSON.parse(await ask(client, 'line3.lamp.set', 'true')).value, true);
    assert.equal(await ask(client, 'line3.ask', 'are you there'), 'are you there');
    const said: string[] = [];
    client.subscribe('line3.said', { callback: (_, message) => void said.push(message.string()) });
    await client.flush();
    client.publish('line3.say', 'hello');
    await waitFor('what was said', () => said[0] === 'hello', SLOW);

    // The box falls: values wait on the board, or are on their way, or are journaled and not acknowledged.
    const before = values.at(-1) ?? 0;
    await box.kill9();
    await box.start();
    const later = await watchCount(t, box);
    await waitFor('values after the fall of the box', () => (later.values.at(-1) ?? 0) > before + 4, SLOW);

    // The board falls.
    // With somewhere to answer, or it is no request.
    later.client.publish('line3.ask', 'reset', { reply: 'nobody.waits' });
    await waitFor('the board to be back', async () => (await boardOf(box)).bootCount === 2, SLOW);
    await waitFor('values after the fall of the board', () => later.values.includes(3), SLOW);
    await later.client.close();
    await box.stop();
    const rows = rowsOf(journaledCounts(t, box));
    assert.equal(rows.length, 2, `one row of numbers for each life of the board: ${JSON.stringify(rows)}`);
    assert.deepEqual([rows[0]?.[0], rows[1]?.[0]], [1, 1]);
  });
}

test('a Cortex-M takes an image on trial and keeps it, and goes back from one that hangs', async (t) => {
  const { path } = await startCortexM(t);
  const folder = tempDir(t, 'images');
  const petiole = (...args: string[]) => run(process.execPath, join(DIST, 'main.js'), ...args);
  const key = join(folder, 'key.pem');
  const [, publicKey] = /keys: \[([\w-]+)\]/.exec(petiole('firmware', 'key', key)) ?? [];
  const sign = (version: string) => {
    const out = join(folder, `${version}.pfw`);
    const image = join(make('cortex-m'), 'cortex-m', `app-${version}.bin`);
    petiole('firmware', 'sign', image, '--target', 'mps2-demo', '--version', version, '--key', key, '--out', out);
    return out;
  };
  const box = await startBox(t, {
    config: {
      serial: [{ name: 'line3', port: path, baud: 115_200, bridge: true }],
      firmware: { keys: [publicKey], approve: 'at-once', confirm_timeout: '60s' },
    },
  });
  const { values } = await watchCount(t, box);
  await waitFor('the board', async () => (await boardOf(box))?.version === '1.0.0', SLOW);
  const offer = (version: string) => petiole('firmware', 'offer', sign(version), '--config', box.configFile);
  const state = async () => {
    const { transfers } = JSON.parse(petiole('firmware', 'list', '--json', '--config', box.configFile));
    return transfers[0]?.state;
  };

  offer('1.1.0');
  await waitFor('the image to be confirmed', async () => (await state()) === 'confirmed', SLOW);
  assert.equal((await boardOf(box)).version, '1.1.0');
  assert(rowsOf(values).length <= 2, `telemetry goes on: ${JSON.stringify(rowsOf(values))}`);

  offer('1.2.0');
  await waitFor('the way back', async () => (await state()) === 'reverted', SLOW);
  assert.equal((await boardOf(box)).version, '1.1.0');
  const count = values.length;
  await waitFor('values after the way back', () => values.length > count, SLOW);
});
