import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Doubt, reconcile } from '../../src/upstream/doubt.ts';
import { JetStream } from '../../src/upstream/jetstream.ts';
import { ScriptedHub, type ScriptedStream } from '../support/scripted-hub.ts';
import { ScriptedRecords } from '../support/scripted-records.ts';

const ID_END = '.e.lane.';
const mine = (sequence: number) => `box${ID_END}${sequence}`;

/** A stream whose messages, from `first` on, are the lane's records of these numbers; null: of somebody else. */
function streamOf(first: number, records: (number | null)[], more: Partial<ScriptedStream> = {}): ScriptedStream {
  const messages = new Map(records.map((n, i) => [first + i, n === null ? null : mine(n)] as const));
  return { last: first + records.length - 1, messages, ...more };
}

function setting(stream: ScriptedStream | null, position: number, cursor: number) {
  const hub = new ScriptedHub();
  if (stream) hub.streams.set('S', stream);
  const records = new ScriptedRecords();
  records.cursor = cursor;
  records.positions = [{ stream: 'S', created: 'monday', sequence: position }];
  const ends = new Map<string, number>();
  let forgotten = 0;
  const formers = [{ idEnd: '.d.lane.', last: 60 }];
  const lane = { index: 0, idEnd: ID_END, formers, proofs: new Map(), ends, filters: [], watermarkIn: () => null };
  const forget = () => {
    forgotten++;
  };
  const run = (doubt: Doubt, own = false) =>
    reconcile(
      { hub, jetStream: new JetStream(hub), inbox: hub.inbox, records },
      { ...lane, own: own ? 'S' : null, forget },
      doubt,
    );
  return { hub, records, run, ends, forgotten: () => forgotten };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('reconciling a shared stream', () => {
  it('finds the lane among others, and only behind its cursor', async () => {
    const others = [`box.e.other.60`, `box.f.lane.61`, `e.lane.62`, mine(0), `box${ID_END}x`];
    const stream = streamOf(101, [50, 51, null, 52]);
    for (const [i, id] of others.entries()) stream.messages.set(105 + i, id);
    stream.last = 109;
    const { stored, skip, missing, alarms } = await setting(stream, 100, 50).run(null);
    assert.deepEqual([...stored], [51, 52]);
    assert.deepEqual([skip, missing, alarms], [0, false, []]);
  });

  it('reads nothing back where nothing is in doubt, and everything where nobody knows', async () => {
    const known = setting(streamOf(1, [1, 2]), 0, 0);
    assert.equal((await known.run(new Set())).stored.size, 0);
    assert.deepEqual(known.hub.calls, ['STREAM.INFO.S']);
    assert.equal((await setting(streamOf(1, [1, 2]), 0, 0).run(new Set([7]))).stored.size, 2);
    assert.equal((await setting(streamOf(1, [1, 2]), 0, 0).run(null)).stored.size, 2);
  });

  it('knows records by the epoch that they had, but not those whose numbers were given again', async () => {
    const stream = streamOf(101, [61, 62]);
    for (const [i, n] of [59, 60, 61].entries()) stream.messages.set(98 + i, `box.d.lane.${n}`);
    const shared = await setting(stream, 97, 58).run(null);
    assert.deepEqual([...shared.stored], [61, 62, 59, 60]);
    const own = await setting(stream, 97, 58).run(null, true);
    assert.deepEqual([own.stored.size, own.skip, own.alarms], [4, 0, []], 'no foreign writer');
    assert.deepEqual([...(await setting(streamOf(101, [null]), 97, 58).run(null)).stored], []);
  });

  it('believes nothing that was known before where the stream has been further, though the cursor had not', async () => {
    for (const own of [false, true]) {
      const { ends, run, forgotten } = setting(streamOf(5, [1, 2, 3]), 4, 0);
      ends.set('S', 10);
      const { stored, alarms } = await run(new Set(), own);
      assert.equal(forgotten(), 1);
      assert.deepEqual([...stored], [1, 2, 3]);
      assert.match(
        alarms[0]?.message ?? '',
        /ends 3 messages before what it had acknowledged: records behind the cursor/,
      );
      assert.equal(ends.get('S'), 7);
      await run(new Set(), own);
      assert.equal(forgotten(), 1, 'once');
    }
  });

  it('sees it where the stream has the position, but not all that the cursor had passed beyond', async () => {
    const { records, run, forgotten } = setting(streamOf(5, [1, 2, 3]), 4, 3);
    records.positions = [{ stream: 'S', created: 'monday', sequence: 4, reach: 7 }];
    assert.deepEqual([(await run(null)).alarms, forgotten()], [[], 0]);
    records.positions = [{ stream: 'S', created: 'monday', sequence: 4, reach: 9 }];
    const { alarms } = await run(null);
    assert.match(alarms[0]?.message ?? '', /ends 2 messages before what it had acknowledged/);
    assert.equal(forgotten(), 1);
  });

  it('reads again where the hub ends before what it had promised', async () => {
    for (const own of [false, true]) {
      const { hub, run } = setting(streamOf(1, numbers(1, 367)), 0, 0);
      hub.endsAt = 306;
      const { stored, skip } = await run(new Set(numbers(1, 367)), own);
      assert.deepEqual([stored.size, skip], [367, 0]);
    }
  });

  it('finds what the hub stores only after it was asked how far the stream is', async () => {
    for (const before of [[], [1, 2]]) {
      const stream = streamOf(1, before);
      const { hub, run } = setting(stream, 0, 0);
      let fetches = 0;
      hub.beforeFetch = () => {
        if (++fetches === 1) for (const n of [3, 4]) stream.messages.set(n, mine(n));
      };
      assert.deepEqual([...(await run(new Set([1, 2, 3, 4]))).stored], [...before, 3, 4]);
    }
  });

  it('asks again and again for a long stretch', async () => {
    const { stored } = await setting(streamOf(1, numbers(1, 1_701)), 0, 0).run(null);
    assert.equal(stored.size, 1_701);
  });

  it('comes to an end where messages are deleted while they are read back', async () => {
    for (const deleted of [1, 250, 1_200]) {
      const stream = streamOf(1, numbers(1, 1_200));
      const { hub, run } = setting(stream, 0, 0);
      let fetches = 0;
      hub.beforeFetch = () => {
        fetches++;
        if (fetches === 2) for (let i = 0; i < deleted; i++) stream.messages.delete(1_200 - i);
      };
      const { stored } = await run(null);
      assert.equal(stored.size, Math.max(500, 1_200 - deleted));
      assert(fetches <= 9);
    }
  });

  it('reads a work queue message by message, without those that are gone', async () => {
    const stream = streamOf(1, numbers(1, 200), { workQueue: true });
    for (const gone of [3, 77, 200]) stream.messages.delete(gone);
    const { stored, skip } = await setting(stream, 0, 0).run(null);
    assert.equal(stored.size, 197);
    assert.equal(skip, 0, 'among others nobody can tell whose they were');
  });

  it('keeps the doubt where the stream is missing', async () => {
    const { missing, streams } = await setting(null, 10, 0).run(new Set([1]));
    assert.deepEqual([missing, streams], [true, []]);
  });

  it('reads a stream that was made anew from its beginning, once that is on disk', async () => {
    const { records, run } = setting(streamOf(1, [8, 9], { created: 'tuesday' }), 5_000, 7);
    const { stored } = await run(new Set([8, 9]));
    assert.deepEqual([...stored], [8, 9]);
    assert.deepEqual(records.positions, [{ stream: 'S', created: 'tuesday', sequence: 0 }]);
  });

  it('says so where the hub has less than it had acknowledged', async () => {
    const { alarms } = await setting(streamOf(1, [1, 2]), 5, 2).run(new Set());
    assert.match(alarms[0]?.message ?? '', /ends 3 messages before/);
  });
});

describe('reconciling an own stream', () => {
  it('looks whenever there is more than was settled', async () => {
    const { stored, skip } = await setting(streamOf(11, [5, 6, 7]), 10, 4).run(new Set(), true);
    assert.deepEqual([...stored], [5, 6, 7]);
    assert.equal(skip, 0);
  });

  it('counts what was consumed', async () => {
    for (const gone of [[11], [13], [11, 12, 13]]) {
      const stream = streamOf(11, [5, 6, 7], { workQueue: true });
      for (const sequence of gone) stream.messages.delete(sequence);
      assert.equal((await setting(stream, 10, 4).run(null, true)).skip, 3);
    }
  });

  it('counts what a limit of the stream threw away', async () => {
    const stream = streamOf(11, [5, 6, 7]);
    stream.messages.delete(11);
    assert.equal((await setting(stream, 10, 4).run(null, true)).skip, 3);
  });

  it('rather sends again than skips where somebody else wrote there, and sounds the alarm', async () => {
    const stream = streamOf(11, [5, null, 6, 7], { workQueue: true });
    stream.messages.delete(14);
    const { stored, skip, alarms } = await setting(stream, 10, 4).run(null, true);
    assert.deepEqual([...stored], [5, 6]);
    assert.equal(skip, 0);
    assert.match(alarms[0]?.message ?? '', /1 messages of others/);
  });

  it('never counts in a stream that was made anew', async () => {
    const stream = streamOf(1, [1, 2, 3, 4], { created: 'tuesday' });
    stream.messages.delete(1);
    assert.equal((await setting(stream, 2, 4).run(null, true)).skip, 0);
  });
});

describe('answers of a hub that make no sense', () => {
  for (const answer of ['null', '7', '"x"', '[]', '{"state":null}', '{"config":{"subjects":"a"},"state":7}']) {
    it(`are values, not accidents: ${answer}`, async () => {
      const hub = new ScriptedHub();
      hub.request = () => Promise.resolve({ headers: Buffer.alloc(0), payload: Buffer.from(answer) });
      const jetStream = new JetStream(hub);
      const info = await jetStream.streamInfo('S');
      assert.deepEqual([info?.subjects, info?.lastSequence], [[], 0]);
      assert.equal(await jetStream.streamOf('s'), null);
    });
  }

  it('are a protocol violation where they are no JSON', async () => {
    const hub = new ScriptedHub();
    hub.request = () => Promise.resolve({ headers: Buffer.alloc(0), payload: Buffer.from('{') });
    await assert.rejects(new JetStream(hub).streamInfo('S'), { code: 'protocol_violation' });
  });
});
