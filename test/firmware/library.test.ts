import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { BRIDGE, compile, run, SOURCES, STRICT, sizeOf } from '../support/firmware-build.ts';
import { tempDir } from '../support/temp.ts';

/** The C library itself: its compilers, its size, the golden vectors, a bad channel and a fuzzer. */

const HERE = import.meta.dirname;
const VECTORS = join(BRIDGE, 'vectors', 'frames.txt');
const SANITIZED = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** Each choice that the macros give changes what is compiled. */
const choices: readonly (readonly string[])[] = [
  [],
  ['-DPETIOLE_CRC16=1', '-DPETIOLE_FRAME_MAX=64', '-DPETIOLE_RING_BYTES=128', '-DPETIOLE_RING_FRAMES=4'],
  ['-DPETIOLE_FRAME_MAX=1024', '-DPETIOLE_RING_BYTES=16384', '-DPETIOLE_WITH_MESSAGES=0', '-DPETIOLE_WITH_FIRMWARE=0'],
];

/** What an AVR with 2 KB of RAM has room for. */
const AVR_SIZES = [
  '-DPETIOLE_CRC16=1',
  '-DPETIOLE_FRAME_MAX=128',
  '-DPETIOLE_RING_BYTES=256',
  '-DPETIOLE_RING_FRAMES=8',
];
const CORTEX_M0 = ['arm-none-eabi-gcc', '-mcpu=cortex-m0', '-mthumb', '-Os', '-ffunction-sections', '-fdata-sections'];
const AVR = [
  'avr-gcc',
  '-mmcu=atmega328p',
  '-Os',
  '-mcall-prologues',
  '-fno-move-loop-invariants',
  '-ffunction-sections',
  '-fdata-sections',
];
// SHA-256 and the beacon are by themselves: a board has the one in its boot loader, and the other instead of all this.
const WHOLE = SOURCES.filter((source) => !/beacon|sha256/.test(source));
const BEACON = SOURCES.filter((source) => /beacon|frame|cbor|describe/.test(source));

for (const compiler of [['gcc'], ['clang'], CORTEX_M0, AVR]) {
  test(`${compiler.slice(0, 2).join(' ')} has nothing to say of the library`, (t) => {
    for (const choice of choices) {
      // 1 KiB frames do not fit in an AVR; the compiler does not know that, but why ask.
      compile(tempDir(t, 'objects'), [...compiler, ...STRICT, ...choice], SOURCES);
    }
  });
}

/** Flash of a program with the library, less what the same without it takes; RAM of the context without its buffers. */
function measure(folder: string, name: string, compiler: string[], sizes: string[], sources: string[], size: string) {
  const objects = compile(folder, [...compiler, ...STRICT, ...sizes], sources);
  const flash = objects.reduce((sum, object) => sum + sizeOf(size, object).text + sizeOf(size, object).data, 0);
  const context = join(folder, 'context.o');
  const [program = '', ...args] = compiler;
  run(program, ...args, '-std=c99', ...sizes, '-c', join(HERE, 'context.c'), '-o', context);
  const { data } = sizeOf(size, context);
  return { name, flash, ram: data };
}

test('the library is small', (t) => {
  const cortex = measure(tempDir(t, 'm0'), 'Cortex-M0, everything', CORTEX_M0, [], WHOLE, 'arm-none-eabi-size');
  const avr = measure(tempDir(t, 'avr'), 'ATmega328P, everything, CRC-16', AVR, AVR_SIZES, WHOLE, 'avr-size');
  for (const { name, flash, ram } of [cortex, avr]) {
    t.diagnostic(`${name}: ${flash} bytes of flash, ${ram} of RAM besides buffers`);
    assert(ram <= 1024, name);
  }
  assert(cortex.flash <= 6_656, `${cortex.flash}`);
  assert(avr.flash <= 10_240, `${avr.flash}`);
});

test('the beacon is smaller', (t) => {
  for (const [name, compiler, link, sizes, size, bytesMax] of [
    ['Cortex-M0', CORTEX_M0, ['--specs=nano.specs', '-nostartfiles'], [], 'arm-none-eabi-size', 2_048],
    ['ATmega328P', AVR, ['-nostartfiles'], AVR_SIZES, 'avr-size', 2_700],
  ] as const) {
    const folder = tempDir(t, 'beacon');
    const [program = '', ...args] = compiler;
    const flags = [...args, ...STRICT, ...sizes, '-Wl,--gc-sections', '-Wl,-e,beacon_main', ...link];
    const file = join(folder, 'beacon.elf');
    run(program, ...flags, join(HERE, 'beacon.c'), ...BEACON, '-o', file);
    const { text, data } = sizeOf(size, file);
    t.diagnostic(`${name}, beacon with a program that sends: ${text + data} bytes of flash`);
    assert(text + data <= bytesMax, `${name}: ${text + data}`);
  }
});

for (const check of ['0', '1']) {
  test(`encoding and decoding are as in the vectors${check === '1' ? ', with a CRC-16' : ''}`, (t) => {
    const program = join(tempDir(t, 'vectors'), 'vectors');
    const sources = [join(HERE, 'vectors.c'), ...SOURCES];
    run(
      'gcc',
      ...STRICT.filter((flag) => flag !== '-Wconversion'),
      ...SANITIZED,
      `-DPETIOLE_CRC16=${check}`,
      ...sources,
      '-o',
      program,
    );
    const [, count] = /^(\d+) checked, 0 failed/.exec(run(program, VECTORS)) ?? [];
    assert(Number(count) > 150, `${count} checked`);
  });
}

test('a bad channel and falling ends: nothing wrong, nothing twice, nothing missing', (t) => {
  const program = join(tempDir(t, 'channel'), 'channel');
  run('gcc', '-std=c99', '-O2', join(HERE, 'channel.c'), ...SOURCES, '-o', program);
  for (const seed of ['1', '2']) t.diagnostic(run(program, '100000', seed).trim());
  const goodput = run(program, '50000', '1', 'goodput').trim();
  t.diagnostic(`goodput of batches of 200 bytes with 1e-5 wrong bits: ${goodput}`);
  assert(Number.parseFloat(goodput) >= 85, goodput);
});

test('the fuzzer finds no input that the board cannot bear', (t) => {
  const folder = tempDir(t, 'fuzz');
  const program = join(folder, 'receive');
  run(
    'clang',
    '-g',
    '-O1',
    '-fsanitize=fuzzer,address,undefined',
    '-fno-sanitize-recover=undefined',
    join(BRIDGE, 'fuzz', 'receive.c'),
    ...WHOLE,
    '-o',
    program,
  );
  run(program, '-runs=30000', '-max_len=600', '-seed=1', `-artifact_prefix=${folder}/`);
});
