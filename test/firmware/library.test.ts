import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
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
  [
    ...['-DPETIOLE_CRC16=1', '-DPETIOLE_FRAME_MAX=64', '-DPETIOLE_RING_BYTES=128', '-DPETIOLE_RING_FRAMES=4'],
    '-DPETIOLE_WITH_FIRMWARE=0',
  ],
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
const AVR = ['avr-gcc', '-mmcu=atmega328p', '-Os', '-ffunction-sections', '-fdata-sections'];
/** How whole programs are linked where flash is short; Arduino's own builds have link-time optimization and relaxing too. */
const LINKED = ['-flto', '-Wl,--gc-sections', '-nostartfiles'];
const CORTEX_M0_LINKED = [...LINKED, '--specs=nano.specs'];
const AVR_LINKED = [...LINKED, '-mrelax', '-mcall-prologues', '-mstrict-X', '-fno-move-loop-invariants'];
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

interface Target {
  readonly name: string;
  readonly compiler: readonly string[];
  readonly link: readonly string[];
  readonly sizes: readonly string[];
  readonly size: string;
  /** What everything may take of the flash. */
  readonly flashMax: number;
}

const RAM_MAX = 1024;
const BEACON_FLASH_MAX = 2048;
const targets: readonly Target[] = [
  {
    name: 'Cortex-M0',
    compiler: CORTEX_M0,
    link: CORTEX_M0_LINKED,
    sizes: [],
    size: 'arm-none-eabi-size',
    flashMax: 6 * 1024,
  },
  {
    name: 'ATmega328P, CRC-16',
    compiler: AVR,
    link: AVR_LINKED,
    sizes: AVR_SIZES,
    size: 'avr-size',
    flashMax: 8 * 1024,
  },
];

/** Flash of a program with the function `entry`. */
function flashOf({ compiler, link, sizes, size }: Target, folder: string, entry: string, files: readonly string[]) {
  const [program = '', ...args] = compiler;
  const file = join(folder, `${entry}.elf`);
  run(program, ...args, ...STRICT, ...sizes, ...link, `-Wl,-e,${entry}`, ...files, '-o', file);
  const { text, data } = sizeOf(size, file);
  return text + data;
}

for (const target of targets) {
  const { name, compiler, sizes, size, flashMax } = target;
  test(`the library is small on ${name}`, (t) => {
    const folder = tempDir(t, 'sizes');
    // The helpers of libgcc and libc that it draws in are counted; the program that calls it is not.
    const program = flashOf(target, folder, 'whole_main', [join(HERE, 'whole.c'), join(HERE, 'nothing.c')]);
    const flash = flashOf(target, folder, 'whole_main', [join(HERE, 'whole.c'), ...WHOLE]) - program;
    const [context = ''] = compile(folder, [...compiler, '-std=c99', ...sizes], [join(HERE, 'context.c')]);
    const ram = sizeOf(size, context).data;
    const beacon = flashOf(target, folder, 'beacon_main', [join(HERE, 'beacon.c'), ...BEACON]);
    t.diagnostic(
      `${name}, everything: ${flash} bytes of flash (${flashMax}), ${ram} of RAM besides buffers (${RAM_MAX})`,
    );
    t.diagnostic(`${name}, beacon with a program that sends: ${beacon} bytes of flash (${BEACON_FLASH_MAX})`);
    assert(flash > 4_000 && flash <= flashMax, `${flash} bytes of flash`);
    assert(ram <= RAM_MAX, `${ram} bytes of RAM`);
    assert(beacon <= BEACON_FLASH_MAX, `${beacon} bytes of flash for the beacon`);
  });
}

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

test('hashes are those of another SHA-256, whatever the size and in whatever pieces', (t) => {
  const program = join(tempDir(t, 'sha256'), 'sha256');
  const sources = [join(HERE, 'sha256.c'), join(BRIDGE, 'src', 'petiole_sha256.c')];
  run('gcc', ...STRICT, ...SANITIZED, ...sources, '-o', program);
  const hashes = run(program, '300').trim().split('\n');
  assert.equal(hashes.length, 301 * 6);
  const wrong = hashes.filter((line) => {
    const [size = '', , digest] = line.split(' ');
    const bytes = Uint8Array.from({ length: Number(size) }, (_, i) => Number(size) + 7 * i);
    return createHash('sha256').update(bytes).digest('hex') !== digest;
  });
  assert.deepEqual(wrong, []);
});

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
