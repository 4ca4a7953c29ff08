import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeCbor } from '../../src/ops/page/cbor.ts';
import { forms, fromBase64, read, toBase64 } from '../../src/ops/page/payload.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test('CBOR: the examples of RFC 8949, appendix A', () => {
  const examples: readonly (readonly [string, unknown])[] = [
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['1903e8', 1000],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['1bffffffffffffffff', '18446744073709551615'],
    ['3bffffffffffffffff', '-18446744073709551616'],
    ['20', -1],
    ['3903e7', -1000],
    ['f90000', 0],
    ['f93c00', 1],
    ['fb3ff199999999999a', 1.1],
    ['f97bff', 65504],
    ['fa47c35000', 100_000],
    ['f90001', 2 ** -24],
    ['f9c400', -4],
    ['f97c00', 'Infinity'],
    ['f97e00', 'NaN'],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['f7', 'undefined'],
    ['f0', 'simple(16)'],
    ['f8ff', 'simple(255)'],
    ['c074323031332d30332d32315432303a30343a30305a', '2013-03-21T20:04:00Z'],
    ['c11a514b67b0', '2013-03-21T20:04:00.000Z'],
    ['d74401020304', { 'tag 23': "h'01020304'" }],
    ['40', "h''"],
    ['4401020304', "h'01020304'"],
    ['60', ''],
    ['6449455446', 'IETF'],
    ['62c3bc', 'ü'],
    ['80', []],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    ['a0', {}],
    ['a201020304', { 1: 2, 3: 4 }],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['5f42010243030405ff', "h'0102030405'"],
    ['7f657374726561646d696e67ff', 'streaming'],
    ['9fff', []],
    ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
    ['bf61610161629f0203ffff', { a: 1, b: [2, 3] }],
  ];
  for (const [hex, value] of examples) assert.deepEqual(decodeCbor(bytes(hex)), { value }, hex);
});

test('CBOR: what is none, is more than one, or would be too much', () => {
  const none = [
    '',
    '18',
    '1c',
    'ff',
    '8201',
    '62c3',
    '61ff',
    '0000',
    '9f01',
    'bf01ff',
    '1f',
    '5f01ff',
    '81'.repeat(40),
  ];
  for (const hex of none) assert.equal(decodeCbor(bytes(hex)), null, hex);
  // A list that says it has 2^63 items.
  assert.equal(decodeCbor(bytes('9b7fffffffffffffff')), null);
  // A key that means something to JavaScript is a key like any other.
  const hostile = decodeCbor(bytes('a1695f5f70726f746f5f5f01'));
  assert.deepEqual(Object.entries(hostile?.value as object), [['__proto__', 1]]);
});

test('a payload is read as what it is, and as what is asked for', () => {
  assert.deepEqual(read(utf8('{"t":21.50}'), 'auto'), { form: 'JSON', text: '{"t":21.50}', isOther: false });
  assert.equal(read(utf8(`{"long":"${'x'.repeat(80)}"}`), 'auto').text.split('\n').length, 3);
  assert.equal(read(utf8('warm'), 'auto').form, 'text');
  assert.equal(read(new Uint8Array(), 'auto').form, 'text');
  assert.deepEqual(read(bytes('a1617401'), 'auto'), { form: 'CBOR', text: '{"t":1}', isOther: false });
  assert.deepEqual(read(bytes('00ff'), 'auto'), {
    form: 'hex',
    text: `0000  00 ff${' '.repeat(42)}  ··`,
    isOther: false,
  });
  assert.deepEqual(read(utf8('warm'), 'JSON'), { form: 'hex', text: read(utf8('warm'), 'hex').text, isOther: true });
  assert.equal(read(bytes('ff'), 'text').isOther, true);
  assert.equal(read(utf8('0123456789abcdefg'), 'hex').text.split('\n').length, 2);
});

test('no bytes are too strange for it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...forms), (payload, form) => {
      assert.equal(typeof read(payload, form).text, 'string');
      assert.deepEqual(fromBase64(toBase64(payload)), payload);
    }),
    { numRuns: 2000 },
  );
  assert.equal(fromBase64('*'), null);
});
