import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { captureText, parseCapture } from '../../src/serial/capture-file.ts';
import { findDevice, listDevices } from '../../src/serial/devices.ts';
import { Filter } from '../../src/serial/filter.ts';
import { Pipeline } from '../../src/serial/pipeline.ts';
import { Recorder } from '../../src/serial/recorder.ts';
import { tokenOf } from '../../src/serial/template.ts';
import { decoder, filter, identity, pipeline } from '../support/serial-options.ts';
import { tempDir } from '../support/temp.ts';

test('filters: dead band, percent, intervals and windows, per field', () => {
  const bands = new Filter([filter('t', { deadBand: 0.5 }), filter('p', { deadBand: 10, deadBandUnit: 'percent' })]);
  const t = [20, 20.5, 20.51, 20.1, 20].map((value, at) => bands.pass('s', 't', value, at));
  assert.deepEqual(t, [20, undefined, 20.51, undefined, 20]);
  assert.deepEqual(
    [100, 110, 111].map((value, at) => bands.pass('s', 'p', value, at)),
    [100, undefined, 111],
  );
  const times = new Filter([filter('*', { onChange: true, intervalMinMs: 100, intervalMaxMs: 1000 })]);
  const told = [
    [0, 1],
    [50, 2],
    [120, 2],
    [200, 2],
    [1119, 2],
    [1120, 2],
  ].map(([at, v]) => times.pass('s', 'x', v, at ?? 0));
  assert.deepEqual(told, [1, undefined, 2, undefined, undefined, 2]);
  const windows = new Filter([filter('w', { windowMs: 100 })]);
  const means = [
    [0, 1],
    [50, 3],
    [100, 8],
  ].map(([at, v]) => windows.pass('s', 'w', v, at ?? 0));
  assert.deepEqual(means, [undefined, undefined, { avg: 2, min: 1, max: 3, count: 2 }]);
});

test('a pipeline makes subjects of fields, one token each, and counts what has no subject', async () => {
  const made: string[] = [];
  const options = pipeline({ decoder: decoder({ type: 'json' }), subject: 'plant.{id}.{port}' });
  const sink = { message: (s: string, p: Buffer) => void made.push(`${s} ${p}`), frame: () => false, error: () => {} };
  const one = await Pipeline.make(options, sink);
  one.push(Buffer.from('{"id":"a.b >","v":1}\n{"v":2}\n'), 0);
  assert.deepEqual(made, ['plant.a%2Eb%20%3E.scale {"id":"a.b >","v":1}']);
  assert.equal(one.counters.noSubject, 1);
  assert.equal(tokenOf('x'.repeat(200)), null);
});

test('the flight recorder keeps what was around an error, and its file reads back', () => {
  const recorder = new Recorder(64);
  recorder.add(Buffer.alloc(100, 1));
  recorder.mark(0, 'bad_check', 'x');
  recorder.add(Buffer.alloc(40, 2));
  const [capture] = recorder.captures;
  assert.equal(capture?.bytes.toString('hex'), '01'.repeat(24) + '02'.repeat(40));
  const read = parseCapture(Buffer.from(captureText('scale', recorder.captures)));
  assert.deepEqual(read, [{ atMs: 0, bytes: capture?.bytes }]);
});

test('devices of /sys: by vendor and serial; two without serial numbers are told apart by their place', async (t) => {
  const root = tempDir(t, 'sys');
  for (const folder of ['sys/class/tty', 'dev/serial/by-id']) mkdirSync(join(root, folder), { recursive: true });
  const plug = (node: string, usb: string, serial: string): void => {
    const device = join(root, 'sys/devices', usb);
    mkdirSync(join(device, 'if0', node), { recursive: true });
    writeFileSync(join(device, 'idVendor'), '1a86\n');
    writeFileSync(join(device, 'idProduct'), '7523\n');
    if (serial !== '') writeFileSync(join(device, 'serial'), serial);
    mkdirSync(join(root, 'sys/class/tty', node));
    symlinkSync(join(device, 'if0', node), join(root, 'sys/class/tty', node, 'device'));
    writeFileSync(join(root, 'dev', node), '');
  };
  plug('ttyUSB0', '1-1.1', '');
  plug('ttyUSB1', '1-1.2', '');
  plug('ttyUSB2', '1-1.3', 'A5');
  assert.deepEqual(
    (await listDevices(root)).map(({ path, usb }) => `${path} ${usb}`),
    ['/dev/ttyUSB0 1-1.1', '/dev/ttyUSB1 1-1.2', '/dev/ttyUSB2 1-1.3'],
  );
  const found = async (given: Parameters<typeof identity>[0]) => (await findDevice(identity(given), root)).slice(-7);
  assert.equal(await found({ vendor: '1A86', serial: 'A5' }), 'ttyUSB2');
  assert.equal(await found({ vendor: '1a86', usb: '1-1.2' }), 'ttyUSB1');
  await assert.rejects(found({ vendor: '1a86' }), { code: 'port_ambiguous' });
  await assert.rejects(found({ vendor: '0403' }), { code: 'port_missing' });
});
