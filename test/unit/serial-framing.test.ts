import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { checkTypes } from '../../src/core/serial-terms.ts';
import { FrameCheck } from '../../src/serial/checks.ts';
import { encodeFrame, makeFramer } from '../../src/serial/framing/framing.ts';
import type { CheckOptions, FramingOptions } from '../../src/serial/options.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { framing } from '../support/serial-options.ts';

function check(type: CheckOptions['type'], given: Partial<CheckOptions> = {}): CheckOptions {
  return { type, endian: 'little', as: 'binary', from: 0, place: 'inside', coversEnd: true, ...given };
}

interface Run {
  frames: string[];
  discarded: Record<string, number>;
  pending: number;
}

/** What a framer makes of bytes that come in these pieces (sizes, repeated as long as there are bytes). */
function run(options: FramingOptions, wire: Buffer, sizes: readonly number[] = [wire.length], atEnd = true): Run {
  const discarded: Record<string, number> = {};
  const frames: string[] = [];
  const framer = makeFramer(options, {
    frame: (content) => frames.push(content.toString('hex')),
    discarded: (cause, count) => {
      discarded[cause] = (discarded[cause] ?? 0) + count;
    },
  });
  for (let at = 0, turn = 0; at < wire.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    framer.push(wire.subarray(at, at + size));
    at += size;
  }
  const { pending } = framer;
  if (atEnd) framer.idle();
  return { frames, discarded, pending };
}

const framings: Readonly<Record<string, FramingOptions>> = {
  line: framing(),
  'line with a check': framing({ check: check('crc-16/modbus', { as: 'hex' }) }),
  delimiter: framing({ type: 'delimiter', delimiter: Buffer.from(';;') }),
  'fixed with a check': framing({ type: 'fixed', length: 10, check: check('crc-16/ibm-3740') }),
  'fixed with a sync word': framing({ type: 'fixed', length: 10, start: Buffer.from([0xaa, 0x55]) }),
  length: framing({
    type: 'length',
    at: 1,
    width: 2,
    endian: 'little',
    start: Buffer.from([0xa5]),
    check: check('crc-32/iso-hdlc'),
  }),
  slip: framing({ type: 'slip', check: check('crc-8/smbus') }),
  cobs: framing({ type: 'cobs', check: check('crc-16/kermit') }),
  'start-end': framing({
    type: 'start-end',
    start: Buffer.from([2]),
    end: Buffer.from([3]),
    check: check('xor', { as: 'hex' }),
  }),
  hdlc: framing({
    type: 'start-end',
    start: Buffer.from([0x7e]),
    end: Buffer.from([0x7e]),
    escape: 0x7d,
    escapeXor: 0x20,
    check: check('crc-16/ibm-sdlc'),
  }),
  dle: framing({
    type: 'start-end',
    start: Buffer.from([0x10, 2]),
    end: Buffer.from([0x10, 3]),
    escape: null,
    check: check('sum', { as: 'hex' }),
  }),
  'start-end with the check behind': framing({
    type: 'start-end',
    start: Buffer.from([2]),
    end: Buffer.from([3]),
    check: check('xor', { place: 'behind' }),
  }),
  nmea: framing({ type: 'nmea' }),
};

/** A content that the framing can carry, made of any bytes. */
function carried(name: string, options: FramingOptions, bytes: Uint8Array): Buffer {
  const plain = Buffer.from(bytes);
  const printable = Buffer.from(plain.map((byte) => 0x41 + (byte % 26)));
  const { type } = options;
  if (type === 'fixed') {
    const body = Buffer.concat([options.start, plain, Buffer.alloc(16, 1)]);
    return body.subarray(0, options.length - (options.check === null ? 0 : 2));
  }
  if (type === 'length') {
    const head = Buffer.from([0xa5, 0, 0]);
    head.writeUInt16LE(plain.length + 4, 1);
    return Buffer.concat([head, plain]);
  }
  if (type === 'slip' || type === 'cobs' || name === 'hdlc') return plain;
  return printable;
}

for (const [name, options] of Object.entries(framings)) {
  test(`${name}: however the reads cut the bytes, the frames are the same`, () => {
    const contents = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 8 });
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(contents, sizes, (given, cuts) => {
        const bodies = given.map((bytes) => carried(name, options, bytes));
        const wire = Buffer.concat(bodies.map((body) => encodeFrame(options, body)));
        const { frames, discarded } = run(options, wire, cuts);
        assert.deepEqual(
          frames,
          bodies.map((body) => body.toString('hex')),
        );
        assert.deepEqual(discarded, {});
      }),
      { numRuns: 60 },
    );
  });

  test(`${name}: after noise, lost and doubled bytes it finds the next frames again, and no byte is counted twice`, () => {
    const random = new SeededRandom(name.length * 7919);
    const bodies = Array.from({ length: 200 }, (_, index) => {
      const bytes = Uint8Array.from({ length: 1 + (index % 30) }, () => Math.floor(random.between(0, 256)));
      return carried(name, options, bytes);
    });
    const pieces = bodies.map((body, index) => {
      const wire = encodeFrame(options, body);
      // The last ones are sound: by then it must have found its way.
      if (index >= bodies.length - 4) return wire;
      const at = Math.floor(random.between(0, wire.length));
      if (random.chance(0.1)) wire[at] = (wire[at] ?? 0) ^ (1 << Math.floor(random.between(0, 8)));
      if (random.chance(0.05)) return Buffer.concat([wire.subarray(0, at), wire.subarray(at + 1)]);
      if (random.chance(0.05)) return Buffer.concat([wire.subarray(0, at), wire.subarray(at > 0 ? at - 1 : 0)]);
      return wire;
    });
    const wire = Buffer.concat(pieces);
    const whole = run(options, wire);
    const bytewise = run(options, wire, [1]);
    assert.deepEqual(bytewise.frames, whole.frames, 'the same frames from single bytes');
    const lost = Object.values(whole.discarded).reduce((sum, count) => sum + count, 0);
    const carriedBytes = whole.frames.reduce((sum, frame) => sum + frame.length / 2, 0);
    assert.ok(carriedBytes + lost <= wire.length, `${carriedBytes} + ${lost} of ${wire.length}`);
    assert.ok(whole.frames.length > bodies.length / 2, `${whole.frames.length} of ${bodies.length} frames`);
    assert.equal(whole.frames.at(-1), bodies.at(-1)?.toString('hex') ?? '', 'the last frame is found');
  });

  test(`${name}: endless noise is discarded, and no more than one frame is held`, () => {
    const random = new SeededRandom(4711);
    const noise = Buffer.from(Uint8Array.from({ length: 300_000 }, () => 0x41 + Math.floor(random.between(0, 26))));
    const { frames, discarded, pending } = run(options, noise, [4096]);
    assert.ok(pending <= options.bytesMax + 4, `${pending} bytes pending`);
    const lost = Object.values(discarded).reduce((sum, count) => sum + count, 0);
    // By chance a check holds.
    assert.ok(lost + frames.join('').length >= noise.length - options.length, `only ${lost} discarded`);
  });
}

test('every check of the catalogue gives its check value over "123456789"', () => {
  const expected: Record<string, string> = {
    sum: 'dd',
    'sum-16': '01dd',
    lrc: '23',
    xor: '31',
    'crc-8/smbus': 'f4',
    'crc-8/i-432-1': 'a1',
    'crc-8/rohc': 'd0',
    'crc-8/maxim-dow': 'a1',
    'crc-8/nrsc-5': 'f7',
    'crc-8/autosar': 'df',
    'crc-8/sae-j1850': '4b',
    'crc-8/dvb-s2': 'bc',
    'crc-8/cdma2000': 'da',
    'crc-8/wcdma': '25',
    'crc-16/arc': 'bb3d',
    'crc-16/modbus': '4b37',
    'crc-16/usb': 'b4c8',
    'crc-16/maxim-dow': '44c2',
    'crc-16/umts': 'fee8',
    'crc-16/xmodem': '31c3',
    'crc-16/ibm-3740': '29b1',
    'crc-16/genibus': 'd64e',
    'crc-16/spi-fujitsu': 'e5cc',
    'crc-16/kermit': '2189',
    'crc-16/ibm-sdlc': '906e',
    'crc-16/mcrf4xx': '6f91',
    'crc-16/dnp': 'ea82',
    'crc-16/en-13757': 'c2b7',
    'crc-16/dect-x': '007f',
    'crc-32/iso-hdlc': 'cbf43926',
    'crc-32/bzip2': 'fc891918',
    'crc-32/mpeg-2': '0376e6e7',
    'crc-32/cksum': '765e7680',
    'crc-32/jamcrc': '340bc6d9',
    'crc-32/iscsi': 'e3069283',
  };
  const text = Buffer.from('123456789');
  for (const type of checkTypes) {
    const big = new FrameCheck(check(type, { endian: 'big' })).encode(text).toString('hex');
    const known = expected[type];
    if (known !== undefined) assert.equal(big, known, type);
    else assert.ok(Object.values(expected).includes(big), `${type} is an alias of one of the catalogue`);
  }
  assert.equal(crc32(text), 0xcbf43926, "and zlib's own agrees");
});

test('a line without an end: discarded at the limit, its rest too, and the next line is whole', () => {
  const wire = Buffer.concat([Buffer.alloc(10_000, 0x41), Buffer.from('\r\nok\r\n')]);
  const { frames, discarded } = run(framing({ bytesMax: 64 }), wire, [97]);
  assert.deepEqual(frames, [Buffer.from('ok').toString('hex')]);
  assert.deepEqual(discarded, { overlong: 10_001 });
});

test('a length prefix of 4 GB is bad_length, reserves nothing, and the next frame is found', () => {
  const options = framing({ type: 'length', width: 4, check: check('crc-16/modbus') });
  const good = encodeFrame(options, Buffer.concat([Buffer.from([0, 0, 0, 5]), Buffer.from('abc')]));
  const before = process.memoryUsage().arrayBuffers;
  const { frames, discarded } = run(options, Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff]), good]));
  assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
  assert.deepEqual(frames, [Buffer.from('\0\0\0\x05abc', 'latin1').toString('hex')]);
  assert.deepEqual(discarded, { bad_length: 4 });
});

test('known wire bytes: SLIP (RFC 1055), COBS (its paper), Modbus ASCII, NMEA 0183', () => {
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
  assert.equal(encodeFrame(framing({ type: 'slip' }), hex('01 c0 db 02')).toString('hex'), 'c001dbdcdbdd02c0');
  const cobs = framing({ type: 'cobs' });
  assert.equal(encodeFrame(cobs, hex('11 22 00 33')).toString('hex'), '0311220233' + '00');
  assert.equal(encodeFrame(cobs, hex('00 00')).toString('hex'), '01010100');
  const full = Buffer.from(Uint8Array.from({ length: 254 }, (_, i) => i + 1));
  assert.deepEqual(run(cobs, encodeFrame(cobs, full)).frames, [full.toString('hex')]);
  assert.equal(encodeFrame(cobs, full).length, 256);
  const lrc = check('lrc', { as: 'digits' });
  const ascii = framing({ type: 'start-end', start: Buffer.from(':'), end: Buffer.from('\r\n'), check: lrc });
  const told = run(ascii, Buffer.from(':010300000001FB\r\n:010300000001FC\r\n:01030000001FB\r\n'));
  assert.deepEqual(told.frames, [Buffer.from('010300000001').toString('hex')]);
  assert.deepEqual(told.discarded, { bad_check: 33 });
  assert.equal(encodeFrame(ascii, Buffer.from('010300000001')).toString(), ':010300000001FB\r\n');
  const { frames, discarded } = run(
    framing({ type: 'nmea' }),
    Buffer.from('xx$GPGLL,4916.45,N,12311.12,W,225444,A*31\r\n$GPGLL,4916.45,N,12311.12,W,225444,A*32\r\n'),
  );
  assert.deepEqual(
    frames.map((frame) => Buffer.from(frame, 'hex').toString()),
    ['GPGLL,4916.45,N,12311.12,W,225444,A'],
  );
  assert.deepEqual(discarded, { noise: 2, bad_check: 39 });
});

test('idle gap: a pause ends a frame, and one that is too long is dropped to the next pause', () => {
  const frames: string[] = [];
  const discarded: string[] = [];
  const framer = makeFramer(framing({ type: 'idle', gapMs: 20, bytesMax: 8 }), {
    frame: (content) => frames.push(content.toString()),
    discarded: (cause, count) => discarded.push(`${cause} ${count}`),
  });
  framer.push(Buffer.from('ab'));
  framer.push(Buffer.from('cd'));
  framer.idle();
  framer.push(Buffer.from('0123456789'));
  framer.push(Buffer.from('tail'));
  framer.idle();
  framer.push(Buffer.from('ef'));
  framer.idle();
  assert.deepEqual(frames, ['abcd', 'ef']);
  assert.deepEqual(discarded, ['overlong 10', 'overlong 4']);
});
