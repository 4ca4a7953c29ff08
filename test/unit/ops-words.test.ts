import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ago,
  bytes,
  clause,
  counted,
  milliseconds,
  percent,
  printable,
  rate,
  sentences,
  span,
} from '../../src/ops/words.ts';

test('spans have two units at most', () => {
  const cases: [number | null, string][] = [
    [null, '–'],
    [-5, '0 s'],
    [0, '0 s'],
    [59.9, '59 s'],
    [60, '1 min'],
    [719, '11 min'],
    [3600, '1 h'],
    [11_520, '3 h 12 min'],
    [86_400, '1 d'],
    [187_200, '2 d 4 h'],
    [86_459, '1 d'],
  ];
  for (const [seconds, text] of cases) assert.equal(span(seconds), text);
});

test('figures are short, and a share is 100 % only when it is', () => {
  assert.deepEqual([0, 1023, 1024, 10_000, 1024 ** 2 - 1, 3 * 1024 ** 3].map(bytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '9.8 KiB',
    '1.0 MiB',
    '3.0 GiB',
  ]);
  assert.deepEqual([0, 0.001, 0.57, 0.999, 1, 1.2].map(percent), ['0 %', '< 1 %', '57 %', '99 %', '100 %', '100 %']);
  assert.deepEqual([0, 0.01, 0.4, 9.97, 12_000].map(rate), ['0/s', '0/s', '0.4/s', '10/s', '12,000/s']);
  assert.deepEqual([null, 0.42, 18.4, 3210].map(milliseconds), ['–', '0.4 ms', '18 ms', '3.2 s']);
  assert.deepEqual(
    [0, 1, 12_345].map((n) => counted(n, 'message')),
    ['0 messages', '1 message', '12,345 messages'],
  );
  assert.deepEqual(
    [null, 9500, 10_200, -7000].map((ms) => ago(ms, 10_000)),
    ['–', 'just now', 'just now', '17 s ago'],
  );
});

test('nothing that a terminal obeys or that turns text round gets through', () => {
  assert.equal(printable('a\x1b[2Jb\u009bc\r\nd\u202ee\u2028'), 'a�[2Jb�c��d�e�');
  assert.equal(printable('Ölofen-3 温度 <b>'), 'Ölofen-3 温度 <b>');
  assert.equal(printable('x'.repeat(65_535)).length, 120);
  assert.ok(printable('😀'.repeat(100), 20).isWellFormed());
});

test('messages and cures join to sentences', () => {
  assert.equal(sentences('It fell.', '', 'Mend it'), 'It fell. Mend it.');
  assert.equal(clause('No stream takes X.'), 'no stream takes X');
  assert.equal(clause('A stream is full'), 'a stream is full');
  assert.equal(clause('TLS failed'), 'TLS failed');
  assert.equal(clause('PubAck is late'), 'PubAck is late');
  assert.equal(clause('I/O error'), 'I/O error');
});
