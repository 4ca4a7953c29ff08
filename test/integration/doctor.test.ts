import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { clock, type Finding, power } from '../../src/cli/doctor-checks.ts';
import { conditions, wear } from '../../src/cli/doctor-machine.ts';
import { DIST } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { connectHub, createStream } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { freePort } from '../support/ports.ts';
import type { Scope } from '../support/scope.ts';
import { plugDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';

interface Visit {
  code: number | null;
  findings: Finding[];
  of(name: string): Finding;
}

/** What the doctor says of a box with this configuration. */
async function visit(scope: Scope, config: Record<string, unknown>): Promise<Visit> {
  const folder = tempDir(scope, 'doctor');
  const file = join(folder, 'petiole.yaml');
  const listen = async () => `127.0.0.1:${await freePort()}`;
  const defaults = {
    gateway: { name: 'box', data: join(folder, 'data') },
    mqtt: { listeners: [{ listen: await listen() }] },
    nats: { listen: await listen() },
    status: { listen: await listen() },
  };
  writeFileSync(file, stringify({ ...defaults, ...config }));
  const child = new Child('node', [join(DIST, 'main.js'), 'doctor', '--config', file, '--json']);
  const { code } = await child.exited;
  const findings: Finding[] = JSON.parse(child.lines.join('\n'));
  const of = (name: string) => {
    const found = findings.find((finding) => finding.name === name);
    assert.ok(found, `${name} is not among ${findings.map((finding) => finding.name)}`);
    return found;
  };
  return { code, findings, of };
}

const lanes = [{ name: 'telemetry', subjects: ['line3.>'] }];

test('a box in good health: every step to the hub, and the stream of each lane', async (t) => {
  const hub = await startNatsServer(t, { jetstream: true, leafnodes: true });
  const before = await visit(t, { lanes, upstream: { urls: [hub.leafUrl] } });
  assert.match(before.of('hub').message, /signed in to \S+ 2\.\d+/);
  const missing = before.of('stream of telemetry');
  assert.deepEqual([missing.verdict, missing.message], ['warning', 'no stream takes line3.>']);
  assert.equal(before.code, 0);

  await createStream(await connectHub(t, hub.clientUrl), 'TELEMETRY', ['line3.>']);
  const { findings, of } = await visit(t, { lanes, upstream: { urls: [hub.leafUrl] } });
  assert.equal(of('stream of telemetry').message, 'TELEMETRY takes line3.>');
  assert.ok(findings.every(({ verdict }) => verdict !== 'bad'));
});

test('each fault on the way to the hub has its own verdict and cure', async (t) => {
  const hub = await startNatsServer(t, { leafnodes: { user: 'box', password: 'right' } });
  const wrong = await visit(t, { lanes, upstream: { urls: [hub.leafUrl], user: 'box', password: 'wrong' } });
  assert.deepEqual([wrong.code, wrong.of('hub').verdict], [1, 'bad']);
  assert.match(wrong.of('hub').message, /authori[sz]ation/i);
  assert.notEqual(wrong.of('hub').cure, '');

  const closed = await visit(t, { lanes, upstream: { urls: [`nats://127.0.0.1:${await freePort()}`] } });
  assert.match(closed.of('hub').message, /connection_refused/);
  const nameless = await visit(t, { lanes, upstream: { urls: ['nats://hub.invalid:7422'] } });
  assert.match(nameless.of('hub').message, /name_not_found/);
});

test('a port that is taken by somebody who does not answer, and a folder that cannot be written', async (t) => {
  const folder = tempDir(t, 'taken');
  mkdirSync(join(folder, 'file'), { recursive: true });
  writeFileSync(join(folder, 'data'), 'not a folder');
  const { code, of } = await visit(t, { gateway: { name: 'box', data: join(folder, 'data') } });
  assert.equal(code, 1);
  assert.match(of('disk').message, /cannot be written/);

  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const served = await visit(t, { mqtt: { listeners: [{ listen: `127.0.0.1:${port}` }] } });
  assert.match(served.of('mqtt').message, /something listens/);
});

test('the machine tells what it is; serial ports are tried, with a cure for each that cannot be opened', async (t) => {
  const dir = tempDir(t, 'ports');
  const device = await plugDevice(t, join(dir, 'ttyGood'));
  const serial = [
    { name: 'good', port: device.path, subject: 'a' },
    { name: 'gone', port: join(dir, 'ttyGone'), subject: 'b' },
    { name: 'server', port: `tcp://127.0.0.1:${await freePort()}`, subject: 'c' },
  ];
  const { code, of } = await visit(t, { serial });
  assert.equal(code, 1);
  assert.match(of('machine').message, /Linux \d\S* .*cores? .*MiB|GiB of memory/);
  // socat, which is the device here, has it open: whose program that is only a person can tell.
  assert.match(of('port good').message, /^\/dev\/pts\/\d+ (?:may be opened|is used by)/);
  assert.deepEqual([of('port gone').verdict, of('port server').verdict], ['bad', 'bad']);
  assert.match(of('port gone').cure, /Plug it in/);
});

test('disks that judge themselves ill, and cards that are worn out, are told', () => {
  const disk = { device: '/dev/sda', name: 'X', type: 'SSD', sizeBytes: 1 };
  const of = (condition: string) => conditions({ disks: [{ ...disk, condition }] }).map(({ verdict }) => verdict);
  assert.deepEqual([of('Ok'), of(''), of('Predicted Failure')], [['good'], [], ['bad']]);
  const card = (lifeTimeA: number | null, preEol: number | null = 1) =>
    wear({ name: 'mmcblk0', lifeTimeA, lifeTimeB: 1, preEol });
  assert.match(card(3).message, /mmcblk0 has used 20 to 30 % of its life/);
  assert.deepEqual(
    [card(1), card(9), card(11), card(1, 3), card(1, 2)].map(({ verdict }) => verdict),
    ['good', 'warning', 'bad', 'bad', 'warning'],
  );
});

test('a clock of 1970, and what the firmware says of the supply', (t) => {
  assert.equal(clock(new Date(0)).verdict, 'bad');
  const file = join(tempDir(t, 'firmware'), 'get_throttled');
  for (const [bits, verdict] of [
    ['0', 'good'],
    ['50005', 'bad'],
    ['50000', 'warning'],
    ['80008', 'warning'],
  ] as const) {
    writeFileSync(file, `${bits}\n`);
    assert.equal(power(file).verdict, verdict, bits);
  }
  assert.equal(power(join(file, 'nothing')).verdict, 'unknown');
});
