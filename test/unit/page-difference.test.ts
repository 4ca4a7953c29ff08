import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { difference } from '../../src/ops/page/difference.ts';

const shown = (before: string, after: string, around?: number): string[] =>
  difference(before, after, around).map((line) =>
    line === null ? '…' : `${{ same: ' ', gone: '-', new: '+' }[line.kind]}${line.text}`,
  );

test('shows what changed with the lines around it', () => {
  const before = 'gateway:\n  name: a\nmqtt:\n  x: 1\n  y: 2\n  z: 3\nstatus:\n  listen: 1';
  const after = before.replace('name: a', 'name: b').replace('listen: 1', 'listen: 1\n  viewer: true');
  assert.deepEqual(shown(before, after, 1), [
    ' gateway:',
    '-  name: a',
    '+  name: b',
    ' mqtt:',
    '…',
    '   listen: 1',
    '+  viewer: true',
  ]);
  assert.deepEqual(shown('a\nb\nc', 'a\nc'), [' a', '-b', ' c']);
  assert.deepEqual(shown('same', 'same'), ['…']);
});

test('both texts can be read back from it', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 12 }).map((lines) => lines.join('\n'));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const lines = difference(before, after, 100).filter((line) => line !== null);
      if (before === after) return;
      const side = (kind: 'gone' | 'new') =>
        lines.filter((line) => line.kind === 'same' || line.kind === kind).map((line) => line.text);
      assert.equal(side('gone').join('\n'), before);
      assert.equal(side('new').join('\n'), after);
    }),
  );
});
