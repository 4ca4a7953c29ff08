import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BATCH_RECORDS_MAX, BatchPacker, BatchReader, type Record } from '../../src/store/record.ts';

const NONE = Buffer.alloc(0);

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
/** Few subjects, so that they repeat; times that also go back; empty payloads and headers are common. */
const record = fc.record({
  subject: fc.oneof(fc.constantFrom('a', 'line3.temp', 'größe.温度'), fc.string({ unit: 'grapheme', minLength: 1 })),
  receivedAtMs: fc.integer({ min: 0, max: 2 ** 45 }),
  headers: fc.oneof(fc.constant(NONE), bytes(40)),
  payload: fc.oneof(fc.constant(NONE), bytes(300)),
});

function packerOf(size: number): BatchPacker {
  return new BatchPacker(Buffer.from(new ArrayBuffer(size)));
}

function pack(records: readonly Omit<Record, 'sequence'>[]): BatchPacker {
  const need = records.reduce(
    (sum, { subject, headers, payload }) => sum + BatchPacker.sizeOf(subject, headers.length, payload.length),
    0,
  );
  const packer = packerOf(need);
  for (const { subject, receivedAtMs, headers, payload } of records) {
    assert(packer.add(subject, receivedAtMs, headers, payload));
  }
  return packer;
}

function readAll(blob: Buffer, first: number, count: number): Record[] {
  const reader = new BatchReader(blob, first, count);
  const found: Record[] = [];
  for (let next = reader.next(); next; next = reader.next()) found.push(next);
  return found;
}

describe('a batch of records', () => {
  it('reads back as it was packed', () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 2 ** 43 }),
        (given, first) => {
          const packer = pack(given);
          const found = readAll(packer.buffer.subarray(0, packer.length), first, packer.count);
          assert.deepEqual(
            found,
            given.map((one, i) => ({ ...one, sequence: first + i })),
          );
          assert.equal(packer.newestMs, given.at(-1)?.receivedAtMs);
        },
      ),
    );
  });

  it('never takes more than it said it would', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 10 }), (given) => {
        const sizes = given.map(({ subject, headers, payload }) =>
          BatchPacker.sizeOf(subject, headers.length, payload.length),
        );
        assert(pack(given).length <= sizes.reduce((a, b) => a + b));
      }),
    );
  });

  it('gives records or a RangeError for damaged bytes, and comes to an end', () => {
    const damage = fc.record({
      at: fc.nat(),
      value: fc.nat({ max: 255 }),
      cut: fc.nat(),
      cuts: fc.boolean(),
      count: fc.constantFrom(0, 1, 3, 2 ** 40),
    });
    let broken = 0;
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 10 }),
        damage,
        (given, { at, value, cut, cuts, count }) => {
          const packer = pack(given);
          const blob = Buffer.from(packer.buffer.subarray(0, packer.length));
          blob[at % blob.length] = value;
          try {
            const found = readAll(cuts ? blob.subarray(0, cut % blob.length) : blob, 1, packer.count + count);
            assert(found.length <= packer.length);
          } catch (error) {
            assert(error instanceof RangeError, String(error));
            broken++;
          }
        },
      ),
    );
    assert(broken > 0);
  });

  it('is closed at its bounds, but an empty one takes any record that fits its buffer', () => {
    const small = new BatchPacker(Buffer.from(new ArrayBuffer(4096)), 256);
    assert(small.add('s', 1, NONE, Buffer.alloc(1000)));
    assert.equal(small.add('s', 1, NONE, NONE), false);
    const many = packerOf(1024 * 1024);
    for (let i = 0; i < BATCH_RECORDS_MAX; i++) assert(many.add('s', i, NONE, NONE));
    assert.equal(many.add('s', 0, NONE, NONE), false);
    assert.equal(many.count, BATCH_RECORDS_MAX);
    const full = packerOf(100);
    assert.equal(full.add('s', 1, NONE, Buffer.alloc(100)), false);
    assert.equal(full.count, 0);
  });

  it('costs a record of a known subject its payload and a few bytes', () => {
    const packer = packerOf(100_000);
    for (let i = 0; i < 100; i++) packer.add('plant.line3.temperature', 1_790_000_000_000 + i, NONE, Buffer.alloc(128));
    assert(packer.length < 100 * (128 + 5) + 50);
  });
});
