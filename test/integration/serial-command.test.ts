import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { parseCapture } from '../../src/serial/capture-file.ts';
import { DIST } from '../support/box.ts';
import { atEnd } from '../support/scope.ts';
import { plugDevice, type SerialDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';

/** `petiole serial` against devices on ptys; what it lists is what the machine has. */

const main = join(DIST, 'main.js');

async function petiole(t: TestContext, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [main, 'serial', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(t, () => void child.kill());
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: Number(code), out, err };
}

/** Says it again and again until the test is over. */
function talk(t: TestContext, device: SerialDevice, said: string | Buffer): void {
  const timer = setInterval(() => void device.send(said), 50);
  atEnd(t, () => clearInterval(timer));
}

const talkers: readonly (readonly [string, string | Buffer, RegExp, string])[] = [
  ['text', 'weight 12.5 kg\r\n', /text lines/, 'decode: text'],
  ['NMEA', '$GPGLL,4916.45,N,12311.12,W,225444,A*31\r\n', /NMEA 0183 \(\d+ sentences? \(GPGLL\)/, 'frame: nmea'],
  ['Modbus', Buffer.from('1103006b00037687', 'hex'), /Modbus RTU \(.*units 17, functions 3/, 'decode: hex'],
  ['JSON', '{"t":1}\n', /text: JSON lines/, 'decode: json'],
];

for (const [kind, said, found, line] of talkers) {
  test(`sniff: ${kind} is recognised, with lines for the configuration`, async (t) => {
    const device = await plugDevice(t, join(tempDir(t, 'sniff'), 'tty'));
    talk(t, device, said);
    const { code, out, err } = await petiole(t, 'sniff', device.path, '--seconds', '1');
    assert.equal(code, 0, err);
    assert.match(out, /^ {3}9600 +\d+ bytes /);
    assert.match(out, found);
    assert.ok(out.includes(`    baud: 9600\n`) && out.includes(`    ${line}\n`), out);
    // Time, hex and text.
    assert.match(out, /^\d\d:\d\d:\d\d\.\d{3} {2}(?:[0-9a-f]{2} ){1,16} +\S/m);
  });
}

test('sniff --save makes a capture that replay reads', async (t) => {
  const dir = tempDir(t, 'sniff');
  const device = await plugDevice(t, join(dir, 'tty'));
  talk(t, device, 'T=21.5;H=40\r\n');
  const capture = join(dir, 'board.capture');
  const sniffed = await petiole(
    t,
    'sniff',
    device.path,
    '--baud',
    '115200',
    '--seconds',
    '1',
    '--save',
    capture,
    '--json',
  );
  assert.equal(sniffed.code, 0, sniffed.err);
  const last = JSON.parse(sniffed.out.trim().split('\n').at(-1) ?? '');
  assert.deepEqual([last.what, last.baud], ['text: key=value pairs', 115_200]);
  assert.ok(parseCapture(readFileSync(capture)).length > 1);
  const config = join(dir, 'petiole.yaml');
  writeFileSync(
    config,
    `serial:\n  - { name: board, port: ${device.path}, decode: { type: key-value, separator: ";" }, subject: board }\n`,
  );
  const { status, stdout } = spawnSync(process.execPath, [main, 'serial', 'replay', capture, '--config', config], {
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  assert.match(stdout, /board {"T":21\.5,"H":40}/);
});

test('send: writes in the framing of the port, and shows the answer', async (t) => {
  const dir = tempDir(t, 'send');
  const device = await plugDevice(t, join(dir, 'tty'));
  device.onData = (bytes) => {
    if (bytes.includes('READ?')) void device.send('12.5 kg\r\n');
  };
  const plain = await petiole(t, 'send', device.path, 'READ?', '--line');
  assert.equal(plain.code, 0, plain.err);
  assert.match(plain.out, /^> .*READ\?\.\.\n< .*12\.5 kg/);
  const config = join(dir, 'petiole.yaml');
  const port = `{ name: scale, port: ${device.path}, frame: { type: start-end, start: "<", end: ">" }, subject: scale }`;
  writeFileSync(config, `serial:\n  - ${port}\n`);
  const framed = await petiole(t, 'send', 'scale', 'READ?', '--config', config);
  assert.match(framed.out, /<READ\?>/);
  const silent = await petiole(t, 'send', device.path, 'ff00', '--hex', '--seconds', '0.2');
  assert.deepEqual([silent.code, silent.err], [1, 'No answer came.\n']);
  assert.ok(device.received.includes(Buffer.from([0xff, 0])));
});

test('a port that is not there, one that is in use, and wrong arguments', async (t) => {
  const dir = tempDir(t, 'serial');
  const none = await petiole(t, 'sniff', join(dir, 'ttyNone'), '--seconds', '1');
  assert.equal(none.code, 1);
  assert.match(none.err, /There is no device/);
  assert.equal((await petiole(t, 'sniff')).code, 64);
  assert.equal((await petiole(t, 'sniff', '/dev/x', '--baud', 'fast')).code, 64);
  assert.equal((await petiole(t, 'nothing')).code, 64);
  const unnamed = await petiole(t, 'send', 'scale', 'x', '--config', join(dir, 'none.yaml'));
  assert.equal(unnamed.code, 78);
});

test('list: what the machine has, as text and as JSON', async (t) => {
  const listed = await petiole(t, 'list', '--json');
  assert.equal(listed.code, 0, listed.err);
  const rows = listed.out.split('\n').filter((line) => line !== '');
  for (const row of rows) assert.match(JSON.parse(row).line, /^port: /);
  const shown = await petiole(t, 'list');
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, rows.length === 0 ? /no serial device/ : / {2}paste +port: /);
});
