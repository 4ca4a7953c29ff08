import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { OwnHeap } from '../../src/store/own-heap.ts';

/** V8's own, as `--expose-gc` gives it. */
function exposedGc(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

test('a heap is collected once it has grown, and only then', (t) => {
  const collect = exposedGc();
  let collections = 0;
  globalThis.gc = (() => {
    collections++;
    collect();
  }) as typeof globalThis.gc;
  t.after(() => {
    globalThis.gc = undefined;
  });
  const heap = new OwnHeap();
  heap.collect();
  const before = getHeapStatistics().used_heap_size;
  heap.look();
  assert.equal(collections, 1);
  let garbage: object[] = Array.from({ length: 100_000 }, (_, n) => ({ n, text: `record ${n}` }));
  assert(garbage.length > 0 && getHeapStatistics().used_heap_size > before + 2 * 1024 * 1024);
  garbage = [];
  heap.look();
  assert.equal(collections, 2);
  assert(getHeapStatistics().used_heap_size < before + 1024 * 1024);
});
