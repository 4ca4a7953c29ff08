import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BRIDGE, run } from '../support/firmware-build.ts';
import { tempDir } from '../support/temp.ts';

/** The Arduino library: its sketches are compiled with Arduino's own headers for an Uno. */

const CORE = '/usr/share/arduino/hardware/arduino/avr';
const HEADERS = [join(CORE, 'cores/arduino'), join(CORE, 'variants/standard'), join(BRIDGE, 'src')];
const SKETCHES = readdirSync(join(BRIDGE, 'examples')).filter((name) => /^[A-Z]/.test(name));

for (const sketch of SKETCHES) {
  test(`the sketch ${sketch} compiles for an Uno`, (t) => {
    const target = [
      '-mmcu=atmega328p',
      '-DF_CPU=16000000L',
      '-DARDUINO=10819',
      '-DARDUINO_AVR_UNO',
      '-DARDUINO_ARCH_AVR',
    ];
    const flags = ['-Os', '-std=gnu++11', '-Wall', '-Werror', '-fpermissive', '-fno-exceptions'];
    const include = HEADERS.flatMap((folder) => ['-I', folder]);
    const file = join(BRIDGE, 'examples', sketch, `${sketch}.ino`);
    const object = join(tempDir(t, 'sketch'), 'sketch.o');
    run('avr-g++', ...target, ...flags, ...include, '-x', 'c++', '-include', 'Arduino.h', '-c', file, '-o', object);
  });
}

test('there are three sketches, and every word for the editor is one of the library', () => {
  assert.deepEqual(SKETCHES, ['Actuator', 'Sensor', 'SleepingNode']);
  const headers = ['src/Petiole.h', 'include/petiole.h']
    .map((name) => readFileSync(join(BRIDGE, name), 'utf8'))
    .join('');
  for (const line of readFileSync(join(BRIDGE, 'keywords.txt'), 'utf8').trim().split('\n')) {
    const [word = ''] = line.split(/\s/);
    assert(new RegExp(`\\b${word}\\b`).test(headers), word);
  }
});
