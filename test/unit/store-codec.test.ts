import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Codec, Deflater, unpack } from '../../src/store/codec.ts';

const readings = (count: number): Buffer =>
  Buffer.from(
    Array.from({ length: count }, (_, n) =>
      JSON.stringify({
        sensor: `line3/temp/${n % 20}`,
        t: 1_767_225_600_000 + n * 97,
        value: 20 + (n % 37) / 10,
        unit: 'C',
      }),
    ).join(''),
  );

test('what was packed comes back, whatever it is', () => {
  const deflater = new Deflater();
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 5_000 }),
    fc.nat(3_000).map((n) => readings(n % 90)),
  );
  fc.assert(
    fc.property(bytes, (plain) => {
      const { codec, data } = deflater.pack(Buffer.from(plain));
      assert.deepEqual(unpack(codec, data), Buffer.from(plain));
    }),
  );
});

test('JSON readings shrink to less than a quarter, and to less than a sixth in large batches', () => {
  for (const [count, factor] of [
    [30, 4],
    [1_000, 6],
  ] as const) {
    const plain = readings(count);
    const { codec, data } = new Deflater().pack(plain);
    assert.equal(codec, Codec.deflate);
    assert(data.length * factor < plain.length, `${plain.length} to ${data.length} bytes`);
  }
});

test('what does not shrink is stored as it is, and the next batches are not even tried', () => {
  const deflater = new Deflater();
  assert.equal(deflater.pack(readings(5)).codec, Codec.plain, 'too small to matter');
  assert.equal(deflater.pack(randomBytes(8_192)).codec, Codec.plain);
  const codecs = Array.from({ length: 40 }, () => deflater.pack(readings(100)).codec);
  assert.deepEqual([codecs.indexOf(Codec.deflate), codecs.at(-1)], [31, Codec.deflate]);
});

test('bytes that make no sense are no batch', () => {
  const { data } = new Deflater().pack(readings(100));
  assert.equal(unpack(Codec.deflate, data.subarray(0, data.length - 9)), null);
  assert.equal(unpack(Codec.deflate, Buffer.from([1, 2])), null);
  const longer = Buffer.from(data);
  longer.writeUInt32LE(0xffff_ffff);
  assert.equal(unpack(Codec.deflate, longer), null);
  longer.writeUInt32LE(17);
  assert.equal(unpack(Codec.deflate, longer), null);
  assert.equal(unpack(9, data), null, 'a codec of a later release');
});
