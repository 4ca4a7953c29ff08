import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
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

/** What Arduino's specification of libraries demands, and its linter looks at. */
test('library.properties is as Arduino wants it, and says nothing that is not true', () => {
  const lines = readFileSync(join(BRIDGE, 'library.properties'), 'utf8').trim().split('\n');
  const fields = new Map(lines.map((line) => line.split(/=(.*)/s) as [string, string]));
  const wanted = [
    'name',
    'version',
    'author',
    'maintainer',
    'sentence',
    'paragraph',
    'category',
    'url',
    'architectures',
  ];
  for (const name of [...wanted, 'includes']) assert(fields.get(name), name);
  assert.match(fields.get('name') ?? '', /^[A-Za-z][A-Za-z0-9 _.-]{0,62}$/);
  assert.match(fields.get('version') ?? '', /^\d+\.\d+\.\d+$/);
  const { version } = JSON.parse(readFileSync(join(BRIDGE, '../package.json'), 'utf8'));
  assert.equal(fields.get('version'), version);
  assert(
    ['Communication', 'Data Processing', 'Device Control', 'Sensors', 'Other'].includes(fields.get('category') ?? ''),
  );
  assert(
    !(fields.get('paragraph') ?? '').startsWith(fields.get('sentence') ?? ''),
    'they are shown one behind the other',
  );
  for (const header of (fields.get('includes') ?? '').split(','))
    assert(existsSync(join(BRIDGE, 'src', header)), header);
  // There is no page in the net yet: the document that stands beside it.
  assert(existsSync(join(BRIDGE, fields.get('url') ?? 'nothing')));
});
