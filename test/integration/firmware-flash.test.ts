import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { makeKeys, sealImage } from '../../src/serial/bridge/firmware/image.ts';
import { type BootLoader, Optiboot, StmRom } from '../support/boot-loaders.ts';
import { DIST, startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { plugDevice, type SerialDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** `petiole firmware flash`: the real tools of Debian against boot loaders that speak the bytes of the real ones. */

const IMAGE = randomBytes(3_000);

async function flash(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = new Child(process.execPath, [join(DIST, 'main.js'), 'firmware', 'flash', ...args], { env });
  const { code } = await child.exited;
  return { code, said: child.lines.join('\n') };
}

/** A device whose pty lives on while nobody has it open, as a UART does. */
async function device(t: Scope, loader: BootLoader): Promise<SerialDevice> {
  const plugged = await plugDevice(t, join(tempDir(t, 'device'), 'tty'));
  const kept = openSync(plugged.path, constants.O_RDWR | constants.O_NOCTTY);
  atEnd(t, async () => closeSync(kept));
  loader.attach(plugged);
  return plugged;
}

function imageFile(t: Scope): string {
  const file = join(tempDir(t, 'image'), 'image.bin');
  writeFileSync(file, IMAGE);
  return file;
}

for (const [tool, loader, more] of [
  ['avrdude', new Optiboot(), []],
  ['stm32flash', new StmRom(), ['--mode', '8n1']],
] as const) {
  test(`${tool} writes an image, and its failure is told`, async (t) => {
    const { path, unplug } = await device(t, loader).then((one) => ({ path: one.path, unplug: () => one.unplug() }));
    const args = [imageFile(t), '--unsigned', '--with', tool, '--device', path, ...more];
    const asked = await flash(args);
    assert.equal(asked.code, 1);
    assert.match(asked.said, /keeps no image to go back to.*--yes/s);
    assert.equal(loader.written, 0);
    const done = await flash([...args, '--yes']);
    assert.equal(done.code, 0, done.said);
    assert.deepEqual(loader.flash.subarray(0, IMAGE.length), IMAGE);
    await unplug();
    const failed = await flash([...args, '--yes']);
    assert.equal(failed.code, 1, failed.said);
    assert.match(failed.said, new RegExp(`${tool} ended with`, 'i'));
  });
}

test('a running box lets go of its port while the tool runs, and has it back', async (t) => {
  const keys = makeKeys();
  const loader = new Optiboot();
  const { path } = await device(t, loader);
  const box = await startBox(t, {
    config: {
      serial: [{ name: 'line3', port: path, bridge: true }],
      firmware: { keys: [keys.publicKey] },
    },
  });
  const state = async () => (await box.status()).serial[0];
  await waitFor('the port', async () => (await state()).state === 'open');
  const signed = join(tempDir(t, 'image'), 'image.pfw');
  writeFileSync(signed, sealImage(IMAGE, 'uno', '1.0.0', keys.privatePem));
  const args = [signed, '--with', 'avrdude', '--config', box.configFile, '--yes'];
  const lent: string[] = [];
  const watch = box
    .logged('that it is lent', ({ code }) => code === 'port_lent')
    .then(({ msg }) => void lent.push(String(msg)));
  const done = await flash([...args, '--port', 'line3']);
  assert.equal(done.code, 0, done.said);
  assert.deepEqual(loader.flash.subarray(0, IMAGE.length), IMAGE);
  await watch;
  assert.match(lent[0] ?? '', /line3 is lent to another program/);
  await waitFor('the port again', async () => (await state()).state === 'open' && (await state()).opens === 2);

  const nowhere = await flash([...args, '--port', 'line9']);
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.said, /there is no port "line9".*line3/s);
  // Another's image: nothing is asked of the box, and nothing is written.
  writeFileSync(signed, sealImage(IMAGE, 'uno', '1.0.0', makeKeys().privatePem));
  const forged = await flash([...args, '--port', 'line3']);
  assert.notEqual(forged.code, 0);
  assert.match(forged.said, /not signed by a key/);
  assert.equal((await state()).opens, 2);
});

test('no other program is started, and nothing is taken for another option', async (t) => {
  const folder = tempDir(t, 'tools');
  const log = join(folder, 'log');
  writeFileSync(log, '');
  for (const name of ['esptool', 'evil']) {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\nprintf '%s\\n' ${name} "$@" >>${log}\n`);
    chmodSync(file, 0o755);
  }
  const env = { PATH: [folder, process.env.PATH].join(delimiter) };
  const image = imageFile(t);
  const base = [image, '--unsigned', '--yes', '--device', '/dev/null'];
  const refused = [
    ['--with', 'evil'],
    ['--with', join(folder, 'evil')],
    ['--with', '__proto__'],
    ['--with', 'constructor'],
    ['--with', 'esptool', '--baud=--before'],
    ['--with', 'esptool', '--chip', 'a b'],
    ['--with', 'esptool', '--address', '0x0;reboot'],
    ['--with', 'esptool', '--chip', '$(reboot)'],
    ['--with', 'avrdude', '--programmer', '../evil'],
    ['--with', 'stm32flash', '--mode=-i'],
  ];
  for (const more of refused) {
    const { code, said } = await flash([...base, ...more], env);
    assert.equal(code, 78, `${more.join(' ')}: ${said}`);
  }
  assert.equal(readFileSync(log, 'utf8'), '');
  // A device and a file that look like options are paths.
  const { code, said } = await flash([image, '--unsigned', '--yes', '--with', 'esptool', '--device=--port'], env);
  assert.equal(code, 0, said);
  const words = readFileSync(log, 'utf8').trim().split('\n');
  assert.deepEqual(words, [
    ...['esptool', '--chip', 'auto', '--port', join(process.cwd(), '--port'), '--baud', '115200'],
    ...['write_flash', '0x0', image],
  ]);
  const both = await flash([...base, '--with', 'esptool', '--port', 'line3'], env);
  assert.match(both.said, /one of --device and --port/);
  const dry = await flash([...base, '--with', 'esptool', '--dry-run'], env);
  assert.match(dry.said, /esptool --chip auto --port \/dev\/null --baud 115200 write_flash 0x0/);
});
