import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { credsAuthenticator } from '@nats-io/transport-node';
import { readCredentials } from '../../src/nats/credentials.ts';
import { DIST, startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { connectHub, createStream, streamState } from '../support/hub-stream.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** The fleet tool of deploy/hub, the box's command and a real hub in operator mode. */

const TOOL = join(import.meta.dirname, '../../deploy/hub/fleet/fleet.mjs');
const LONG = { timeoutMs: 60_000 };

interface Ended {
  code: number;
  out: string;
}

function node(args: readonly string[], cwd: string, input = ''): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (out += bytes));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.on('close', (code) => resolve({ code: code ?? -1, out }));
  });
}

async function startFleet(t: Scope) {
  const cwd = tempDir(t, 'fleet');
  const dir = join(cwd, 'keys');
  const fleet = async (...args: string[]): Promise<string> => {
    const { code, out } = await node([TOOL, ...args, '--dir', dir], cwd);
    assert.equal(code, 0, out);
    return out.trim();
  };
  await fleet('init');
  const auth = readFileSync(join(dir, 'auth-1.conf'), 'utf8');
  const server = await startNatsServer(t, { jetstream: true, leafnodes: true, extra: auth });
  const at = ['--hub', server.clientUrl, '--leaf', server.leafUrl];
  const service = new Child(process.execPath, [TOOL, 'serve', '--dir', dir, ...at], { cwd });
  atEnd(t, async () => void (await service.kill()));
  await service.line('the service', (line) => line.startsWith('serving'), LONG.timeoutMs);
  const authenticator = credsAuthenticator(readFileSync(join(dir, 'operator.creds')));
  const operator = await connectHub(t, server.clientUrl, { authenticator });
  // By name: a hub announces to a box no interest that is wider than what the box may publish, as *.temp would be.
  await createStream(operator, 'TELEMETRY', ['plant1.>', 'plant2.>', 'petiole.plant1.ledger']);
  return { cwd, dir, fleet, server, service, operator, at };
}

test('a ticket becomes credentials whose key never left the box; renewed, revoked, and of least rights', async (t) => {
  const { cwd, dir, fleet, server, service, operator, at } = await startFleet(t);
  const ticket = await fleet('ticket', 'plant1', ...at);
  const creds = join(cwd, 'plant1.creds');
  const config = join(cwd, 'petiole.yaml');
  writeFileSync(
    config,
    `gateway: { name: plant1, data: data }\nupstream: { urls: ["${server.leafUrl}"], credentials: plant1.creds }\n`,
  );
  const petiole = (args: string[], input = '') =>
    node([join(DIST, 'main.js'), ...args, '--config', config], cwd, input);

  const enrolled = await petiole(['enroll'], `${ticket}\n`);
  assert.equal(enrolled.code, 0, enrolled.out);
  assert.match(enrolled.out, /plant1 is enrolled/);
  assert.equal(statSync(creds).mode & 0o777, 0o600);
  const first = readCredentials(readFileSync(creds, 'utf8'), creds);
  // What the hub's side ever had of it: files, log and registry hold no seed of a user of the fleet.
  const seen = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
  assert.ok(![...seen, ...service.lines].some((text) => text.includes(first.seed ?? '?')));

  // Once: another box with the same ticket gets nothing.
  const again = await petiole(['enroll', '--out', join(cwd, 'thief.creds')], ticket);
  assert.equal(again.code, 1);
  assert.match(again.out, /the code was used/);
  assert.ok(!existsSync(join(cwd, 'thief.creds')));
  assert.equal((await petiole(['enroll'], ticket.slice(0, -200))).code, 1);

  const box = await startBox(t, {
    name: 'plant1',
    readyTimeoutMs: LONG.timeoutMs,
    config: {
      lanes: [{ name: 'plant1', subjects: ['plant1.>'], stream: { name: 'TELEMETRY' } }],
      upstream: { urls: [server.leafUrl], credentials: creds },
    },
  });
  const arrived = async (count: number) =>
    waitFor(`${count} messages`, async () => (await streamState(operator, 'TELEMETRY')).messages === count, LONG);
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'plant1/temp', '-m', '21');
  await arrived(1);
  // Requests from the cloud reach the box; its neighbours' subjects are not its own.
  const health = await waitFor(
    'the box by request',
    () => operator.request('petiole.plant1.health', '', { timeout: 2_000 }),
    LONG,
  );
  assert.match(health.string(), /plant1/);
  const strays = operator.subscribe('plant2.>');
  await operator.flush();
  await mosquittoPub(box.mqttPort, '-q', '0', '-t', 'plant2/temp', '-m', '0');
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'plant1/temp', '-m', '22');
  await arrived(2);
  assert.equal(strays.getReceived(), 0);

  // A new key: the box goes on, and the hub knows the old one no more.
  chmodSync(creds, 0o600);
  const old = readFileSync(creds);
  const renewed = await petiole(['enroll', '--renew']);
  assert.equal(renewed.code, 0, renewed.out);
  assert.notEqual(readCredentials(readFileSync(creds, 'utf8'), creds).seed, first.seed);
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'plant1/temp', '-m', '23');
  await arrived(3);
  writeFileSync(join(cwd, 'old.creds'), old);
  const stale = join(cwd, 'stale.yaml');
  writeFileSync(
    stale,
    `gateway: { name: plant1x, data: data2 }\nupstream: { urls: ["${server.leafUrl}"], credentials: old.creds }\n`,
  );
  const refused = await node([join(DIST, 'main.js'), 'doctor', '--config', stale], cwd);
  assert.match(refused.out, /Authorization Violation/i);

  // Revoked: cut at once, and told why; what comes in is kept.
  await fleet('revoke', 'plant1', ...at);
  await waitFor('the box to be cut off', async () => (await box.status()).link.state !== 'up', LONG);
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'plant1/temp', '-m', '24');
  await waitFor('it to be kept', async () => (await box.status()).lanes[0].depth === 1, LONG);
  assert.equal((await streamState(operator, 'TELEMETRY')).messages, 3);
});

test('credentials for a fleet: as many files, each with rights of its own, and none in the tickets', async (t) => {
  const cwd = tempDir(t, 'issue');
  const run = (...args: string[]) => node([TOOL, ...args, '--dir', join(cwd, 'keys')], cwd);
  assert.equal((await run('issue', '3')).code, 1, 'not without a fleet');
  assert.equal((await run('init', '--hubs', '3')).code, 0);
  assert.equal((await run('init')).code, 1, 'keys are not written over');
  assert.equal((await run('issue', '3', '--prefix', 'plant', '--out', join(cwd, 'out'))).code, 0);
  assert.equal((await run('issue', '2', '--prefix', 'site', '--out', join(cwd, 'out'), '--credentials')).code, 0);
  const files = readdirSync(join(cwd, 'out')).sort();
  assert.deepEqual(files, [
    'plant-0001.ticket',
    'plant-0002.ticket',
    'plant-0003.ticket',
    'site-0001.creds',
    'site-0002.creds',
  ]);
  const jwtOf = (name: string) => readCredentials(readFileSync(join(cwd, 'out', name), 'utf8'), name).jwt;
  const claims = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()).nats;
  assert.ok(claims(jwtOf('site-0001.creds')).pub.allow.includes('site-0001.>'));
  assert.ok(!claims(jwtOf('site-0001.creds')).pub.allow.some((filter: string) => filter.includes('site-0002')));
  for (const name of files) assert.equal(statSync(join(cwd, 'out', name)).mode & 0o777, 0o600);
  assert.doesNotMatch(readFileSync(join(cwd, 'out/plant-0001.ticket'), 'utf8'), /SU[A-Z2-7]{56}/);
});
