import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readDelivery } from '../../src/upstream/command-delivery.ts';
import { CommandProgress } from '../../src/upstream/command-progress.ts';

describe('readDelivery', () => {
  it('reads both forms of an acknowledgement subject', () => {
    const expected = {
      deliveries: 2,
      streamSequence: 41,
      consumerSequence: 7,
      storedAtMs: 1_700_000_000_123,
      pending: 3,
    };
    assert.deepEqual(readDelivery('$JS.ACK.C.petiole-x.2.41.7.1700000000123456789.3'), expected);
    assert.deepEqual(readDelivery('$JS.ACK.hub.hash.C.petiole-x.2.41.7.1700000000123456789.3.rnd'), expected);
  });

  it('refuses what is none', () => {
    for (const reply of [
      '',
      '_INBOX.a.b',
      '$JS.ACK',
      '$JS.ACK.C.x.2.41.7.1',
      '$JS.ACK.C.x.2.41.7.1700.-3',
      '$JS.ACK.C.x.a.41.7.1700.3',
      '$JS.ACK.C.x.2.41.7.99999999999999999999999.3',
    ]) {
      assert.equal(readDelivery(reply), null, reply);
    }
  });
});

describe('CommandProgress', () => {
  it('remembers over a restart what is settled, below its floor and beyond it', () => {
    const first = new CommandProgress(null);
    assert.equal(first.begin('2026', 10), 'new');
    for (const sequence of [1, 2, 5]) first.settle(sequence);
    first.raise(2);
    const second = new CommandProgress(first.text());
    assert.equal(second.begin('2026', 10), 'same');
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map((sequence) => second.isSettled(sequence)),
      [true, true, false, false, true, false],
    );
    second.raise(1);
    assert.equal(second.floor, 2);
  });

  it('counts anew for another stream, and from the end of one that was restored from an older state', () => {
    const progress = new CommandProgress(null);
    progress.begin('2026', 0);
    for (const sequence of [1, 2, 3, 4]) progress.settle(sequence);
    assert.equal(progress.begin('2026', 2), 'rolled-back');
    assert.ok(progress.isSettled(2));
    // The next command bears a number that was used before.
    assert.ok(!progress.isSettled(3));
    assert.equal(progress.begin('2027', 100), 'new');
    assert.ok(!progress.isSettled(1));
  });

  it('begins anew with a mark that is not its own', () => {
    for (const text of [
      '',
      'x',
      '[]',
      '{"created":1,"floor":2,"done":[]}',
      '{"created":"a","floor":"b","done":[]}',
      'null',
    ]) {
      const progress = new CommandProgress(text);
      assert.equal(progress.floor, 0, text);
      assert.equal(progress.begin('2026', 5), 'new');
    }
  });
});
