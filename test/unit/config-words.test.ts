import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../src/config/problems.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.ts';

const GiB = 2 ** 30;

test('sizes and times', () => {
  const sizes: [string, number | null][] = [
    ['0B', 0],
    ['1B', 1],
    ['64KiB', 65_536],
    ['1.5 GiB', 1.5 * GiB],
    ['2kB', 2000],
    ['1TB', 1e12],
    ['1', null],
    ['1.5B', null],
    ['1kib', null],
    ['1mb', null],
    ['-1KiB', null],
    ['1  KiB', null],
    [' 1KiB', null],
    ['1e3B', null],
    ['99999999999999TiB', null],
    ['', null],
  ];
  for (const [text, bytes] of sizes) assert.equal(parseSize(text), bytes, text);
  const times: [string, number | null][] = [
    ['250ms', 250],
    ['16.1s', 16_100],
    ['1.5h', 5_400_000],
    ['30d', 2_592_000_000],
    ['5m', 300_000],
    ['0.5ms', null],
    ['5min', null],
    ['5M', null],
    ['1h30m', null],
  ];
  for (const [text, ms] of times) assert.equal(parseDuration(text), ms, text);
  for (const text of ['64KiB', '1536MiB', '1B', '3TiB']) assert.equal(formatSize(parseSize(text) ?? 0), text);
  for (const text of ['250ms', '90s', '36h', '7d']) assert.equal(formatDuration(parseDuration(text) ?? 0), text);
  assert.equal(formatSize(0), '0');
});

test('nearest: slips, swapped letters, other ways to write a key; nothing at random', () => {
  const keys = ['max_bytes', 'max_age', 'name', 'subjects', 'priority', 'full'];
  for (const word of ['max_byte', 'maxBytes', 'max-bytes', 'bytes_max', 'MAX_BYTES', 'mxa_bytes']) {
    assert.equal(nearest(word, keys), 'max_bytes', word);
  }
  assert.equal(nearest('nmae', keys), 'name');
  assert.equal(nearest('users', keys), null);
  assert.equal(nearest('x'.repeat(1_000_000), keys), null);
});
