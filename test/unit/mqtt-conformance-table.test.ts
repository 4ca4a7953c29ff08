import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

/*
 * The table of normative statements against the tests: read as text, because to import a test file is to run it. The
 * specifications have 141 and 251 statements (counted in the published documents); a number that is left out below is one
 * that they leave out.
 */

const folder = join(import.meta.dirname, '../conformance');
const COUNTS = { 'MQTT 3.1.1': 141, 'MQTT 5.0': 251 } as const;
type Specification = keyof typeof COUNTS;
const versions: Readonly<Record<Specification, '4' | '5'>> = { 'MQTT 3.1.1': '4', 'MQTT 5.0': '5' };
const marks = ['tested', 'parser', 'not applicable'] as const;

interface Row {
  specification: Specification;
  number: string;
  words: string;
  mark: string;
  where: string;
}

function readTable(): Row[] {
  const rows: Row[] = [];
  let specification: Specification | null = null;
  for (const line of readFileSync(join(folder, 'statements.md'), 'utf8').split('\n')) {
    if (line.startsWith('## ')) specification = line.slice(3) as Specification;
    if (!line.startsWith('| [')) continue;
    const cells = line.split('|').map((cell) => cell.trim());
    const number = /^\[MQTT-(\d+(?:\.\d+)*-\d+)\]$/.exec(cells[1] ?? '')?.[1];
    assert.ok(specification !== null && number !== undefined && cells.length === 6, `not a row: ${line}`);
    rows.push({ specification, number, words: cells[2] ?? '', mark: cells[3] ?? '', where: cells[4] ?? '' });
  }
  return rows;
}

/** What `conform('name', { 4: [...], 5: [...] }` says, by name; identifiers as 'version:number'. */
function readConform(source: string): Map<string, Set<string>> {
  const tests = new Map<string, Set<string>>();
  for (const [, name = '', statements = ''] of source.matchAll(/^conform\(\s*'([^']+)',\s*\{(.*?)\},\s*async/gms)) {
    const carried = new Set<string>();
    for (const [, version = '', list = ''] of statements.matchAll(/([45]): \[(.*?)\](?:,\s*(?=[45]:)|,?\s*$)/gs)) {
      for (const [, number = ''] of list.matchAll(/'([\d.]+-\d+)'/g)) carried.add(`${version}:${number}`);
    }
    assert.ok(!tests.has(name), `two tests have the name ${name}`);
    assert.ok(carried.size > 0, `${name} carries no identifier`);
    tests.set(name, carried);
  }
  return tests;
}

/** An ordinary test, from its title to the next one: whether it is there, and carries the identifier. */
function carries(source: string, name: string, number: string): boolean {
  const start = source.search(new RegExp(`^ *test\\([\`'"]${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`, 'm'));
  if (start < 0) return false;
  const next = source.slice(start + 5).search(/^ *test\(/m);
  const body = next < 0 ? source.slice(start) : source.slice(start, start + 5 + next);
  return body.includes(`[MQTT-${number}]`);
}

const rows = readTable();
const conformance = new Map<string, Map<string, Set<string>>>();
for (const file of readdirSync(folder)) {
  if (!file.endsWith('.test.ts')) continue;
  const source = readFileSync(join(folder, file), 'utf8');
  const tests = readConform(source);
  assert.equal(
    tests.size,
    source.match(/^conform\(/gm)?.length ?? 0,
    `${file}: a conform() that this test cannot read`,
  );
  conformance.set(file.replace('.test.ts', ''), tests);
}

/** What is wrong with the place that a row names; null for nothing. */
function fault({ specification, number, where }: Row): string | null {
  const [file = '', name = ''] = where.split(' › ');
  const shown = `${specification} [MQTT-${number}]`;
  const tests = conformance.get(file);
  if (tests !== undefined) {
    const carried = tests.get(name);
    if (carried === undefined) return `${file} has no test "${name}" (${shown})`;
    return carried.has(`${versions[specification]}:${number}`) ? null : `${file} › ${name} does not carry ${shown}`;
  }
  const path = join(import.meta.dirname, '..', `${file}.test.ts`);
  if (!existsSync(path)) return `there is no file ${path} (${shown})`;
  return carries(readFileSync(path, 'utf8'), name, number) ? null : `${file} has no "${name}" that carries ${shown}`;
}

test('every normative statement is in the table, once, with its words and its reason', () => {
  for (const [specification, count] of Object.entries(COUNTS)) {
    const numbers = rows.filter((row) => row.specification === specification).map(({ number }) => number);
    assert.equal(new Set(numbers).size, numbers.length, `${specification}: a statement twice`);
    assert.equal(numbers.length, count, specification);
  }
  for (const { number, words, mark, where } of rows) {
    assert.ok((marks as readonly string[]).includes(mark), `${number}: no such mark: ${mark}`);
    assert.ok(words.length >= 10 && where.length >= 10, `${number}: too few words`);
  }
});

test('within a section the numbers have no gap that the specifications do not have', () => {
  // Left out by the specifications themselves.
  const absent = new Set(['5:2.2.1-1']);
  const last = new Map<string, number>();
  for (const { specification, number } of rows) {
    const section = `${versions[specification]}:${number.replace(/-\d+$/, '')}`;
    const index = Number(number.split('-')[1]);
    let expected = (last.get(section) ?? 0) + 1;
    while (absent.has(`${section}-${expected}`)) expected++;
    assert.equal(index, expected, `${specification}, section ${section}`);
    last.set(section, index);
  }
});

test('every test that the table names exists and carries the identifier', () => {
  const named = rows.filter(({ mark }) => mark === 'tested' || mark === 'parser');
  assert.deepEqual(
    named.map(fault).filter((what) => what !== null),
    [],
  );
});

test('every identifier that a conformance test carries is in the table, as tested', () => {
  const byIdentifier = new Map(rows.map((row) => [`${versions[row.specification]}:${row.number}`, row.mark]));
  const faults: string[] = [];
  for (const [file, tests] of conformance) {
    for (const [name, carried] of tests) {
      for (const identifier of carried) {
        const mark = byIdentifier.get(identifier) ?? 'unknown';
        if (mark !== 'tested' && mark !== 'parser') faults.push(`${file} › ${name}: ${identifier} is ${mark}`);
      }
    }
  }
  assert.deepEqual(faults, []);
});

test('totals', (t: TestContext) => {
  for (const specification of Object.keys(COUNTS)) {
    const own = rows.filter((row) => row.specification === specification);
    const parts = marks.map((mark) => `${mark} ${own.filter((row) => row.mark === mark).length}`);
    t.diagnostic(`${specification}: ${own.length} statements: ${parts.join(', ')}`);
  }
});
