import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { matches } from '../../src/core/subject.ts';
import { type Entry, type Match, Sublist } from '../../src/core/sublist.ts';

function entry(filter: string, queue = ''): Entry {
  return { filter, queue };
}

function filled(...entries: Entry[]): Sublist<Entry> {
  const sublist = new Sublist<Entry>();
  for (const one of entries) sublist.insert(one);
  return sublist;
}

function filtersOf(match: Match<Entry>): string[] {
  return match.plain.map(({ filter }) => filter).sort();
}

test('literals, "*" and ">" match as nats-server has it', () => {
  const sublist = filled(
    entry('a.b'),
    entry('a.*'),
    entry('a.>'),
    entry('*.b'),
    entry('>'),
    entry('a'),
    entry('a.b.c'),
  );
  assert.deepEqual(filtersOf(sublist.match('a.b')), ['*.b', '>', 'a.*', 'a.>', 'a.b']);
  assert.deepEqual(filtersOf(sublist.match('a')), ['>', 'a']);
  assert.deepEqual(filtersOf(sublist.match('a.b.c')), ['>', 'a.>', 'a.b.c']);
  assert.deepEqual(filtersOf(sublist.match('x')), ['>']);
});

test('wildcard tokens of a published subject are ordinary tokens', () => {
  const sublist = filled(entry('a.*'), entry('a.>'), entry('a.b'), entry('a.b.c'));
  assert.deepEqual(filtersOf(sublist.match('a.*')), ['a.*', 'a.>']);
  assert.deepEqual(filtersOf(sublist.match('a.>')), ['a.*', 'a.>']);
  assert.deepEqual(filtersOf(sublist.match('a.>.c')), ['a.>']);
  assert.deepEqual(filtersOf(sublist.match('*.b')), []);
});

test('tokens that only begin with a wildcard are ordinary tokens', () => {
  const sublist = filled(entry('a*'), entry('>b.c'));
  assert.equal(sublist.hasInterest('ax'), false);
  assert.equal(sublist.hasInterest('a*'), true);
  assert.equal(sublist.hasInterest('>b.c'), true);
  sublist.match('x.c');
  sublist.insert(entry('x.c'));
  assert.equal(sublist.hasInterest('x.c'), true);
});

test('a queue group is one list over all filters that match', () => {
  const one = entry('a.*', 'q');
  const two = entry('a.b', 'q');
  const other = entry('a.b', 'r');
  const sublist = filled(one, two, other, entry('a.c', 'q'));
  const { plain, queues } = sublist.match('a.b');
  assert.deepEqual(plain, []);
  assert.equal(queues.length, 2);
  const group = queues.find((members) => members[0]?.queue === 'q');
  assert.deepEqual(new Set(group), new Set([one, two]));
  assert.deepEqual(
    queues.find((members) => members[0]?.queue === 'r'),
    [other],
  );
});

test('the same object is one entry; equal objects are two', () => {
  const one = entry('a.b');
  const sublist = filled(one, one, entry('a.b'));
  assert.equal(sublist.size, 2);
  assert.equal(sublist.match('a.b').plain.length, 2);
  assert.equal(sublist.remove(one), true);
  assert.equal(sublist.remove(one), false);
  assert.equal(sublist.size, 1);
  assert.equal(sublist.remove(entry('a.b')), false);
  assert.equal(sublist.remove(entry('a.b', 'q')), false);
  assert.equal(sublist.remove(entry('x')), false);
});

test('a result is the same object until something changes that it depends on', () => {
  const sublist = filled(entry('a.*'));
  const before = sublist.match('a.b');
  assert.equal(sublist.match('a.b'), before);
  const literal = entry('x.y');
  sublist.insert(literal);
  sublist.remove(literal);
  assert.equal(sublist.match('a.b'), before, 'a literal filter touches its own subject only');
  sublist.insert(entry('a.b'));
  assert.deepEqual(filtersOf(sublist.match('a.b')), ['a.*', 'a.b']);
  sublist.insert(entry('a.>'));
  assert.deepEqual(filtersOf(sublist.match('a.b')), ['a.*', 'a.>', 'a.b']);
  const star = entry('*.b');
  sublist.insert(star);
  assert.deepEqual(filtersOf(sublist.match('a.b')), ['*.b', 'a.*', 'a.>', 'a.b']);
  sublist.remove(star);
  assert.deepEqual(filtersOf(sublist.match('a.b')), ['a.*', 'a.>', 'a.b']);
});

test('a result stays as it is while its entries come and go', () => {
  const entries = [entry('a.b'), entry('a.*'), entry('a.b', 'q'), entry('a.*', 'q')];
  const sublist = filled(...entries);
  const { plain, queues } = sublist.match('a.b');
  for (const one of entries) sublist.remove(one);
  assert.equal(plain.length, 2);
  assert.equal(queues[0]?.length, 2);
  assert.equal(sublist.hasInterest('a.b'), false);
});

test('clear forgets entries and results', () => {
  const sublist = filled(entry('a.b'), entry('>'));
  assert.equal(sublist.hasInterest('a.b'), true);
  sublist.clear();
  assert.equal(sublist.size, 0);
  assert.deepEqual([...sublist.entries()], []);
  assert.equal(sublist.hasInterest('a.b'), false);
});

test('more subjects and more references than the cache takes are matched rightly', () => {
  const sublist = filled(...Array.from({ length: 50 }, () => entry('s.*')), entry('s.7'));
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 20_000; i++) assert.equal(sublist.match(`s.${i}`).plain.length, i === 7 ? 51 : 50);
  }
  const long = `s.${'x'.repeat(10_000)}`;
  assert.equal(sublist.match(long).plain.length, 50);
  assert.notEqual(sublist.match(long), sublist.match(long), 'a long subject is not kept');
});

test('memory: cached subjects are bounded, and removed entries leave nothing', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage: () => void = runInNewContext('gc');
  const heap = () => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const sublist = new Sublist<Entry>();
  const before = heap();
  for (let i = 0; i < 200_000; i++) sublist.match(`subject.number.${i}`);
  assert.ok(heap() - before < 6_000_000);
  const entries = Array.from({ length: 20_000 }, (_, i) => entry(`device.${i}.>`));
  for (const one of entries) sublist.insert(one);
  assert.ok(heap() - before < 20_000 * 1024);
  for (const one of entries.splice(0)) sublist.remove(one);
  assert.ok(heap() - before < 1_000_000);
  const everything = Array.from({ length: 400 }, () => entry('>'));
  for (const one of everything) sublist.insert(one);
  for (let i = 0; i < 10_000; i++) sublist.match(`subject.number.${i}`);
  assert.ok(heap() - before < 4_000_000);
  assert.equal(sublist.size, 400);
});

test('a filter with 65,536 tokens comes and goes', () => {
  const deep = entry(Array<string>(65_536).fill('/').join('.'));
  const sublist = filled(deep, entry('/.>'));
  assert.deepEqual(
    new Set(sublist.match(deep.filter).plain),
    new Set([deep, [...sublist.entries()].find((e) => e !== deep)]),
  );
  assert.equal(sublist.remove(deep), true);
  assert.equal(sublist.match(deep.filter).plain.length, 1);
});

test('property: a tree under random change matches what a list would', () => {
  const token = fc.constantFrom('a', 'b', 'c', '*');
  const filter = fc
    .tuple(fc.array(token, { maxLength: 3 }), fc.boolean())
    .filter(([tokens, isOpen]) => isOpen || tokens.length > 0)
    .map(([tokens, isOpen]) => [...tokens, ...(isOpen ? ['>'] : [])].join('.'));
  const step = fc.oneof(
    fc.record({ kind: fc.constant('insert' as const), filter, queue: fc.constantFrom('', '', 'q', 'r') }),
    fc.record({ kind: fc.constant('again' as const), pick: fc.nat() }),
    fc.record({ kind: fc.constant('remove' as const), pick: fc.nat() }),
    fc.record({ kind: fc.constant('match' as const), subject: filter }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const sublist = new Sublist<Entry>();
      const list: Entry[] = [];
      for (const one of steps) {
        if (one.kind === 'insert') {
          const added = entry(one.filter, one.queue);
          list.push(added);
          sublist.insert(added);
        } else if (one.kind === 'match') {
          const found = sublist.match(one.subject);
          const wanted = list.filter((candidate) => matches(candidate.filter, one.subject));
          assert.deepEqual(new Set(found.plain), new Set(wanted.filter(({ queue }) => queue === '')));
          assert.equal(found.plain.length, new Set(found.plain).size);
          const groups = Map.groupBy(
            wanted.filter(({ queue }) => queue !== ''),
            ({ queue }) => queue,
          );
          assert.equal(found.queues.length, groups.size);
          for (const members of found.queues) {
            assert.deepEqual(new Set(members), new Set(groups.get(members[0]?.queue ?? '')));
            assert.equal(members.length, new Set(members).size);
          }
          assert.equal(sublist.hasInterest(one.subject), wanted.length > 0);
        } else if (list.length > 0) {
          const picked = list[one.pick % list.length];
          assert.ok(picked);
          if (one.kind === 'again') sublist.insert(picked);
          else {
            list.splice(list.indexOf(picked), 1);
            assert.equal(sublist.remove(picked), true);
          }
        }
        assert.equal(sublist.size, list.length);
      }
      assert.deepEqual(new Set(sublist.entries()), new Set(list));
    }),
    { numRuns: 500 },
  );
});
