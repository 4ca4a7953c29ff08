import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cursors } from '../../src/store/cursors.ts';
import type { Loss } from '../../src/store/losses.ts';
import type { Position, Watermark } from '../../src/store/protocol.ts';

const at = (sequence: number, created = 'monday', stream = 'S'): Position => ({ stream, created, sequence });
const mark = (watermark: Partial<Watermark> = {}): Watermark => ({
  lane: 0,
  cursor: 0,
  positions: [],
  losses: [],
  ...watermark,
});
const loss = (first: number, last = first): Loss => ({
  lane: 0,
  reason: 'oversize',
  count: last - first + 1,
  first,
  last,
  detail: '',
});

describe('cursors', () => {
  it('go to disk with messages after a thousand records, alone after four thousand, and in time', () => {
    const cursors = new Cursors([mark()], 0);
    assert.equal(cursors.acknowledge(0, 999, 999), false);
    assert.deepEqual(cursors.due(true, 1), []);
    assert.equal(cursors.acknowledge(0, 1000, 1), false);
    assert.deepEqual(cursors.due(false, 1), []);
    assert.deepEqual(cursors.due(true, 1), [mark({ cursor: 1000 })]);
    assert.deepEqual(cursors.due(true, 1), [], 'once');
    assert.equal(cursors.acknowledge(0, 5096, 4096), true);
    assert.deepEqual(cursors.due(false, 1), [mark({ cursor: 5096 })]);
    cursors.acknowledge(0, 5097, 1);
    assert.deepEqual(cursors.due(true, 60_000), []);
    assert.deepEqual(cursors.due(true, 60_002), [mark({ cursor: 5097 })]);
    cursors.acknowledge(0, 5098, 1);
    assert.deepEqual(cursors.due(false, 180_000), []);
    assert.deepEqual(cursors.due(false, 180_003), [mark({ cursor: 5098 })]);
    assert.deepEqual(cursors.due(false, 900_000), [], 'nothing new, nothing written');
  });

  it('put the position in a new stream on disk at once, later ones with the cursor', () => {
    const cursors = new Cursors([mark()], 0);
    assert.equal(cursors.place(0, at(7)), true);
    assert.deepEqual(cursors.due(false, 1), [mark({ positions: [at(7)] })]);
    assert.equal(cursors.place(0, at(9)), false);
    assert.deepEqual(cursors.due(false, 1), []);
    assert.equal(cursors.place(0, at(1, 'tuesday')), true, 'made anew');
    assert.equal(cursors.place(0, at(3, 'monday', 'T')), true);
    assert.deepEqual(cursors.due(false, 1), [mark({ positions: [at(1, 'tuesday'), at(3, 'monday', 'T')] })]);
  });

  it('take a position back that did not get to disk', () => {
    const cursors = new Cursors([mark({ positions: [at(5), at(2, 'monday', 'T')] })], 0);
    cursors.place(0, at(0, 'tuesday'));
    cursors.displace(0, 'S', at(5));
    assert.deepEqual(cursors.of(0).positions, [at(2, 'monday', 'T'), at(5)]);
    assert.equal(cursors.place(0, at(0, 'tuesday')), true, 'and ask for it again');
    cursors.displace(0, 'S', undefined);
    assert.deepEqual(cursors.of(0).positions, [at(2, 'monday', 'T')]);
  });

  it('write again what a failed commit carried', () => {
    const cursors = new Cursors([mark()], 0);
    cursors.lose(loss(10));
    cursors.acknowledge(0, 2000, 2000);
    const [sent] = cursors.due(true, 1);
    assert(sent);
    assert.deepEqual(cursors.due(true, 1), []);
    cursors.restore([sent]);
    assert.deepEqual(cursors.due(false, 1), [sent], 'without waiting for company');
  });

  it('hand a loss over in the watermark that passes it, once', () => {
    const cursors = new Cursors([mark()], 0);
    cursors.lose(loss(5, 8));
    cursors.lose(loss(5, 8));
    assert.equal(cursors.acknowledge(0, 7, 7), false);
    assert.deepEqual(cursors.all(0)[0]?.losses, []);
    assert.equal(cursors.acknowledge(0, 8, 1), true, 'it is worth a write of its own');
    assert.deepEqual(cursors.due(false, 0), [mark({ cursor: 8, losses: [loss(5, 8)] })]);
    cursors.acknowledge(0, 9, 1);
    assert.deepEqual(cursors.all(0)[0]?.losses, []);
  });

  it('hurry where a reader waits for the window to move', () => {
    const cursors = new Cursors([mark()], 0);
    assert.equal(cursors.urge(0), false, 'nothing would move');
    cursors.acknowledge(0, 1, 1);
    assert.equal(cursors.urge(0), true);
    assert.deepEqual(cursors.due(false, 0), [mark({ cursor: 1 })]);
  });

  it('count the records between disk and memory over holes in the sequence', () => {
    const cursors = new Cursors([mark({ cursor: 100 })], 0);
    cursors.acknowledge(0, 150, 50);
    assert.equal(cursors.unsaved(0), 50);
    cursors.all(0);
    cursors.acknowledge(0, 9_000, 10);
    assert.equal(cursors.unsaved(0), 60, 'on its way is not there');
    cursors.persisted(0, 150);
    assert.equal(cursors.unsaved(0), 10);
    cursors.restore(cursors.all(0));
    assert.equal(cursors.unsaved(0), 10);
  });
});
