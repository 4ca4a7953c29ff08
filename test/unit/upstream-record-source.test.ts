import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { RecordSource } from '../../src/upstream/record-source.ts';
import { batchOf, ScriptedRecords } from '../support/scripted-records.ts';

function setting(lastSequence = 0) {
  const records = new ScriptedRecords();
  records.lastSequence = lastSequence;
  const holes: [number, number][] = [];
  let arrivals = 0;
  const source = new RecordSource(records, 0, {
    arrived: () => arrivals++,
    undecodable: (first, last) => holes.push([first, last]),
  });
  return { records, source, holes, arrivals: () => arrivals };
}

/** All that it has now. */
function takeAll(source: RecordSource): number[] {
  const sequences: number[] = [];
  for (let record = source.peek(); record; record = source.peek()) {
    sequences.push(record.sequence);
    source.take();
  }
  return sequences;
}

describe('the source of records', () => {
  it('takes what is committed while it stands at the end, and gives the memory back', () => {
    const { records, source } = setting(4);
    assert.equal(records.tail.wants(), 0, 'not before it begins');
    source.begin(4);
    const session = records.tail.wants();
    assert(session > 0);
    const batch = batchOf(5, 7);
    records.tail.take(batch, session);
    assert.deepEqual(takeAll(source), [5, 6, 7]);
    assert(batch.given);
    assert(source.exhausted);
    assert.equal(records.reads.length, 0);
  });

  it('drops a batch that an earlier session wanted, and reads it from disk', async () => {
    const { records, source } = setting(4);
    source.begin(4);
    const session = records.tail.wants();
    source.end();
    assert.equal(records.tail.wants(), 0);
    source.begin(4);
    const batch = batchOf(5, 7);
    records.tail.take(batch, session);
    assert(batch.given, 'the journal may evict it by now');
    assert.equal(records.tail.wants(), 0, 'there is a gap');
    assert.deepEqual(takeAll(source), []);
    assert.equal(records.reads[0]?.after, 4);
    records.reads[0]?.resolve({ batches: [batchOf(5, 7)], end: 7 });
    await turn();
    assert.deepEqual(takeAll(source), [5, 6, 7]);
  });

  it('drops a read that comes after its session', async () => {
    const { records, source } = setting(9);
    source.begin(4);
    assert.deepEqual(takeAll(source), []);
    source.end();
    source.begin(6);
    assert.deepEqual(takeAll(source), []);
    records.reads[0]?.resolve({ batches: [batchOf(5, 9)], end: 9 });
    await turn();
    assert.deepEqual(takeAll(source), []);
    records.reads[1]?.resolve({ batches: [batchOf(5, 9)], end: 9 });
    await turn();
    assert.deepEqual(takeAll(source), [7, 8, 9], 'without what the cursor has passed in the batch');
  });

  it('goes on behind what was evicted, also at the end of the lane', async () => {
    const { records, source, arrivals } = setting(100);
    source.begin(10);
    source.peek();
    records.reads[0]?.resolve({ batches: [batchOf(51, 60)], end: 60 });
    await turn();
    assert.equal(takeAll(source).length, 10);
    assert.equal(source.exhausted, false);
    const before = arrivals();
    records.reads[1]?.resolve({ batches: [], end: 100 });
    await turn();
    assert(source.exhausted);
    assert(arrivals() > before, 'somebody has to notice that there is no more');
    assert(records.tail.wants() > 0);
  });

  it('asks again only when told, where the doubt window was full', async () => {
    const { records, source } = setting(10);
    source.begin(0);
    source.peek();
    records.reads[0]?.resolve({ batches: [], end: 0 });
    await turn();
    assert.equal(records.reads.length, 1);
    source.retry();
    assert.deepEqual(
      records.reads.map(({ after }) => after),
      [0, 0],
    );
    source.retry();
    assert.equal(records.reads.length, 2, 'one at a time');
  });

  it('reads ahead while it still has some to give', async () => {
    const { records, source } = setting(10_000);
    source.begin(0);
    source.peek();
    records.reads[0]?.resolve({ batches: [batchOf(1, 4_000)], end: 4_000 });
    await turn();
    for (let i = 0; i < 1_900; i++) {
      source.peek();
      source.take();
    }
    assert.equal(records.reads.length, 1, 'not while it has many');
    for (let i = 0; i < 500; i++) {
      source.peek();
      source.take();
    }
    assert.deepEqual(
      records.reads.map(({ after }) => after),
      [0, 4_000],
    );
    records.reads[1]?.resolve({ batches: [], end: 4_000 });
    await turn();
    for (let i = 0; i < 1_599; i++) {
      source.peek();
      source.take();
    }
    assert.equal(records.reads.length, 2, 'there was nothing: it is asked for again when it is needed');
    assert.notEqual(source.peek(), null);
    source.take();
    assert.equal(source.peek(), null);
    records.reads[2]?.resolve({ batches: [batchOf(4_001, 10_000)], end: 10_000 });
    await turn();
    assert.equal(takeAll(source).length, 6_000);
    assert.equal(records.reads.length, 3);
  });

  it('wants no more than it can hold', () => {
    const { records, source } = setting();
    source.begin(0);
    const session = records.tail.wants();
    records.tail.take(batchOf(1, 4_096), session);
    assert.equal(records.tail.wants(), 0);
    for (let i = 0; i < 4_096; i++) {
      source.peek();
      source.take();
    }
    source.peek();
    assert.equal(records.tail.wants(), session);
  });

  it('reports what it can not decode as one hole, without what was evicted before it', async () => {
    const { records, source, holes } = setting(30);
    source.begin(5);
    source.peek();
    records.reads[0]?.resolve({ batches: [batchOf(11, 15, 11), batchOf(16, 20, 18), batchOf(21, 30)], end: 30 });
    await turn();
    assert.deepEqual(takeAll(source), [16, 17, ...Array.from({ length: 10 }, (_, i) => 21 + i)]);
    assert.deepEqual(holes, [
      [11, 15],
      [18, 20],
    ]);
  });
});
