import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matches } from '../../src/core/subject.ts';
import { SubjectTree } from '../../src/core/subject-tree.ts';

interface Value {
  subject: string;
}

const token = fc.constantFrom('a', 'b', 'c', '/', '*', '>');
const subject = fc.array(token, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join('.'));
const filter = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '/', '*'), { maxLength: 3 }), fc.constantFrom('a', '*', '>'))
  .map(([tokens, last]) => [...tokens, last].join('.'));

function found(tree: SubjectTree<Value>, wanted: string): string[] {
  const subjects: string[] = [];
  for (const value of tree.matching(wanted)) if (value !== null) subjects.push(value.subject);
  return subjects.sort();
}

test('finds what the filter matches, each once, whatever was set and deleted before', () => {
  const change = fc.tuple(subject, fc.boolean());
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), filter, (changes, wanted) => {
      const tree = new SubjectTree<Value>();
      const model = new Map<string, Value>();
      for (const [name, isSet] of changes) {
        if (isSet) {
          const value = { subject: name };
          tree.set(name, value);
          model.set(name, value);
        } else assert.equal(tree.delete(name), model.delete(name));
        assert.equal(tree.get(name), model.get(name) ?? null);
      }
      assert.equal(tree.size, model.size);
      assert.deepEqual(found(tree, wanted), [...model.keys()].filter((name) => matches(wanted, name)).sort());
      for (const name of model.keys()) assert.ok(tree.delete(name));
      // Nothing is left of the branches either: the walk is one step.
      assert.deepEqual([...tree.matching('>')], [null]);
    }),
  );
});

test('a walk goes on while values come and go', () => {
  const tree = new SubjectTree<Value>();
  for (let i = 0; i < 100; i++) tree.set(`s.${i}.x`, { subject: `s.${i}.x` });
  const walk = tree.matching('s.>');
  const seen: string[] = [];
  let steps = 0;
  for (const value of walk) {
    if (value !== null) seen.push(value.subject);
    if (++steps !== 50) continue;
    for (let i = 0; i < 100; i += 2) tree.delete(`s.${i}.x`);
    tree.set('s.1.x', { subject: 's.1.x' });
  }
  for (let i = 1; i < 100; i += 2) assert.equal(seen.filter((name) => name === `s.${i}.x`).length, 1, `s.${i}.x`);
  assert.equal(new Set(seen).size, seen.length);
});
