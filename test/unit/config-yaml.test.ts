import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/load.ts';
import { tempDir } from '../support/temp.ts';
import { configOf, load, placesOf } from './config-loader.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

test('broken YAML is a problem with its line, in our own words', (t) => {
  const cases: [text: string, line: number, hint: RegExp][] = [
    ['log:\n\tlevel: info\n', 2, /spaces/],
    ['log:\n  level: "info\n', 3, /close what was opened/],
    ['log: level: info\n', 1, /quote/],
    ['log: { level: info\n', 2, /close the brackets/],
    ['gateway: { data: ./d }\nmqtt:\n  listeners:\n    - listen: [::1]:1883\n', 4, /quotes/],
    ['log: {}\n---\nlog: {}\n', 2, /one document/],
    ['gateway:\n  name: @plant\n', 2, /quotes/],
    ['gateway:\n  name: !plant x\n', 2, /quotes/],
    ['log: {}\n? [a, b]\n: 3\n', 2, /key: value/],
  ];
  for (const [text, line, hint] of cases) {
    const { config, problems } = load(t, text);
    assert.equal(config, null, text);
    assert.equal(problems[0]?.line, line, text);
    assert.match(problems[0]?.hint ?? '', hint, text);
  }
});

test('a key that is written twice is a problem that names both lines', (t) => {
  const loaded = load(t, 'log:\n  level: info\n  level: debug\nmqtt: {}\nmqtt: {}\n');
  assert.deepEqual(placesOf(loaded), ['log.level 3', 'mqtt 5']);
  assert.match(loaded.problems[0]?.message ?? '', /written twice; the first is in line 2/);
});

test('values of the wrong kind: a list, a word or nothing where a map belongs, and the reverse', (t) => {
  const loaded = load(t, 'log: [debug]\nmqtt: 5\ngateway:\nstatus: on\nlanes: { name: x }\nupstream: null\n');
  assert.deepEqual(placesOf(loaded), ['log 1', 'mqtt 2', 'gateway 3', 'status 4', 'lanes 5', 'upstream 6']);
  assert.match(loaded.problems[0]?.message ?? '', /expected a map .* found a list of 1/);
  assert.match(loaded.problems[2]?.message ?? '', /found nothing/);
  for (const { hint } of loaded.problems) assert.notEqual(hint, '');
  for (const text of ['just a word', '- a\n- b\n', '42']) {
    const message = load(t, text).problems[0]?.message ?? '';
    assert.match(message, /expected a map/, text);
    assert.doesNotMatch(message, /just a word/);
  }
});

test('keys that JavaScript gives a meaning are unknown keys like any other', (t) => {
  const loaded = load(t, '__proto__: { level: x }\nconstructor: 1\nlog: { toString: 1 }\n');
  assert.deepEqual(placesOf(loaded), ['__proto__ 1', 'constructor 2', 'log.toString 3']);
});

test('anchors and aliases work within their bound', (t) => {
  const text = 'mqtt: { packet_max: &size 64KiB }\njournal: { reserve: 1MiB }\nlanes:\n';
  const lanes = '  - { name: a, subjects: [a], max_bytes: *size }\n';
  assert.equal(configOf(load(t, text + lanes)).lanes[0]?.maxBytes, 64 * KiB);
  const [problem] = load(t, 'gateway: { name: *plant }').problems;
  assert.match(problem?.message ?? '', /gateway\.name starts with \*/);
});

test('hostile texts are refused before they cost minutes', (t) => {
  const rows = 'bcdefghi'.split('').map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`);
  const cases: [name: string, text: string | Buffer, message: RegExp][] = [
    ['alias bomb', `a: &a [${Array(9).fill('x')}]\n${rows.join('\n')}\n`, /aliases|too many values/],
    ['endless alias', 'lanes: &a [*a]\n', /nested too deeply/],
    ['many aliases', `a: &a 1\nb: [${Array(10_000).fill('*a')}]\n`, /more than 100 aliases/],
    ['deep lists', '['.repeat(60_000), /nested too deeply/],
    ['deep maps', `${'{ a: '.repeat(20)}1${' }'.repeat(20)}`, /nested too deeply/],
    ['deep keys', '? '.repeat(30_000), /nested too deeply/],
    ['many commas', `{${','.repeat(60_000)}`, /does not belong/],
    ['huge', `#${'x'.repeat(10 * MiB)}`, /longer than 64 KiB/],
    ['binary', Buffer.from([0xff, 0xfe, 0x00, 0x01]), /no UTF-8/],
  ];
  for (const [name, text, message] of cases) {
    const { config, problems } = load(t, text);
    assert.equal(config, null, name);
    assert(
      problems.some((problem) => message.test(problem.message)),
      `${name}: ${problems[0]?.message}`,
    );
    assert(problems.length <= 100, name);
  }
});

test('at most a hundred problems are listed', (t) => {
  const text = Array.from({ length: 500 }, (_, i) => `unknown${i}: 1\n`).join('');
  assert.equal(load(t, text).problems.length, 100);
});

test('whatever is done to a text, loading gives a configuration or problems', (t) => {
  const example = readFileSync(join(import.meta.dirname, '../../deploy/petiole.example.yaml'), 'utf8');
  const fixture = readFileSync(join(import.meta.dirname, '../fixtures/config/many-mistakes.yaml'), 'utf8');
  const lines = `${example.replaceAll(/^( *)#( *[a-z_]+:)/gm, '$1$2')}${fixture}`.split('\n');
  const piece = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...lines) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('&a', '*a', '- ', '? ', ': ', '[', '}', '"', '!!int ', '|', '<<: *a', '---'),
    },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
  );
  const text = fc.array(fc.tuple(piece, fc.constantFrom('\n', '\n  ', ' ', '')), { maxLength: 12 });
  const folder = tempDir(t, 'config');
  const file = join(folder, 'petiole.yaml');
  fc.assert(
    fc.property(text, (pieces) => {
      writeFileSync(file, pieces.flat().join(''));
      const { config, problems } = loadConfig({ file, env: {}, cwd: folder });
      assert.equal(config === null, problems.length > 0);
      for (const problem of problems) assert.notEqual(problem.message, '');
    }),
    { numRuns: 1000, seed: 1883 },
  );
});
