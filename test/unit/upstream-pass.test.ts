import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { GatewayError } from '../../src/core/errors.ts';
import { Headroom } from '../../src/core/headroom.ts';
import { Drain, type Sender } from '../../src/upstream/drain.ts';
import { JetStream, type StreamInfo } from '../../src/upstream/jetstream.ts';
import { Pace } from '../../src/upstream/pace.ts';
import { Pass } from '../../src/upstream/pass.ts';
import { RecordSource } from '../../src/upstream/record-source.ts';
import { Routes } from '../../src/upstream/routes.ts';
import { UploadHeaders } from '../../src/upstream/upload-headers.ts';
import { ScriptedHub } from '../support/scripted-hub.ts';
import { batchOf, ScriptedRecords } from '../support/scripted-records.ts';

const STREAM: StreamInfo = {
  name: 'S',
  created: 'monday',
  subjects: ['>'],
  firstSequence: 1,
  lastSequence: 500,
  messageBytesMax: Infinity,
  atomic: null,
};
const LATE = new GatewayError('not_connected', 'the link fell');

interface Choices {
  own?: boolean;
  /** Records without an answer, and those between two that are looked at. */
  unanswered?: { most: number; apart: number };
  stored?: number[];
  skip?: number;
  last?: number;
  window?: number;
  broken?: number;
}

/** A pass over records 1 to `last`; the streams of the lane end at 500. */
async function setting({
  own = false,
  stored = [],
  skip = 0,
  last = 10,
  window = 100,
  unanswered,
  broken,
}: Choices = {}) {
  const { most, apart } = unanswered ?? { most: window, apart: 1 };
  const hub = new ScriptedHub();
  hub.streams.set('S', { last: 500, messages: new Map() });
  const records = new ScriptedRecords();
  records.positions = [{ stream: 'S', created: 'monday', sequence: 400 }];
  records.lastSequence = last;
  const source = new RecordSource(records, 0, {
    arrived: () => pass.schedule(),
    undecodable: (first, end, detail) => pass.undecodable(first, end, detail),
  });
  const routes = new Routes(null, (subject) => subject);
  routes.learn(STREAM);
  const lost: string[] = [];
  const ends = new Map<string, number>();
  const pace = new Pace({ messagesPerSecond: 0, bytesPerSecond: 0 });
  const drain = new Drain({ pace, share: 0.1, writable: () => hub.writable, isShared: () => hub.isShared });
  const sender: Sender = { rank: 0, open: true, send: (count) => pass.send(count) };
  drain.join(sender);
  const pass: Pass = new Pass(
    {
      index: 0,
      own,
      isForeign: false,
      window,
      unanswered: new Headroom({ first: most, min: most, max: most, apart, slackMs: 1_000, aloneSlackMs: 1_000 }),
      ackTimeoutMs: 1_000,
      hub,
      records,
      proofs: new Map(),
      ends,
      jetStream: new JetStream(hub),
      routes,
      source,
      headers: new UploadHeaders('box.e.lane', Infinity),
      drain,
      sender,
      served: () => [],
      acknowledged: () => {},
      idle: () => {},
      batchesRefused: () => {},
      lose: (first, end, reason) => lost.push(`${reason} ${first}-${end}`),
    },
    'ack.1',
    { stored: new Set(stored), upTo: 0, skip, streams: [STREAM] },
  );
  source.begin(0);
  source.peek();
  records.reads[0]?.resolve({ batches: [batchOf(1, last, broken)], end: last });
  const end = pass.run();
  await turn();
  await turn();
  const ack = (slot: number, sequence: number, duplicate = false) =>
    pass.answered(slot, { stream: 'S', sequence, duplicate, batched: 0, error: null });
  const refuse = (slot: number, errorCode: number) =>
    pass.answered(slot, {
      stream: 'S',
      sequence: 0,
      duplicate: false,
      batched: 0,
      error: { code: 0, errorCode, description: '' },
    });
  const sentRecords = () => hub.sent.map(({ headers }) => Number(/box\.e\.lane\.(\d+)/.exec(headers)?.[1]));
  return { hub, records, pass, end, ack, refuse, lost, ends, sentRecords };
}

describe('a pass', () => {
  it('moves cursor and position together, in the order of the lane', async () => {
    const { records, ack, ends, sentRecords } = await setting();
    assert.deepEqual(sentRecords(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.deepEqual(records.said, ['S 500'], 'nothing of the lane lies before the end of the stream');
    ack(1, 502);
    ack(2, 503);
    await turn();
    assert.equal(records.cursor, 0);
    ack(0, 501);
    assert.equal(ends.get('S'), 503, 'how far the stream has been, whatever the cursor is at');
    await turn();
    assert.deepEqual(records.said.slice(1), ['cursor 3 (3)', 'S 503']);
  });

  it('keeps the position before records that the stream has from an earlier pass', async () => {
    const { records, ack, sentRecords } = await setting({ stored: [2, 5] });
    assert.deepEqual(sentRecords(), [1, 3, 4, 6, 7, 8, 9, 10]);
    ack(0, 501);
    await turn();
    assert.deepEqual(records.said, ['cursor 2 (2)', 'S 400 to 501'], 'record 5 lies somewhere before 500');
    ack(2, 502);
    ack(3, 503);
    await turn();
    assert.deepEqual(records.said.slice(2), ['cursor 5 (3)', 'S 503']);
  });

  it('keeps the cursor of an own stream with the position, and forgets nothing that was settled', async () => {
    const { records, pass, ack, end, sentRecords } = await setting({ own: true, stored: [1, 2, 3, 6] });
    assert.deepEqual(sentRecords(), [4]);
    ack(3, 501);
    await turn();
    await turn();
    assert.deepEqual(sentRecords(), [4, 5, 7, 8, 9, 10]);
    assert.deepEqual(records.said, []);
    pass.abort(LATE);
    assert.equal(await end, LATE);
    const { stored, doubt } = pass.leftover();
    assert.deepEqual([...stored].toSorted(), [1, 2, 3, 4, 6]);
    assert.deepEqual([...doubt], [5, 7, 8, 9, 10]);
    assert.deepEqual(records.said, []);
  });

  it('skips what was counted, and only then moves', async () => {
    const { records, ack, sentRecords } = await setting({ own: true, skip: 4, stored: [4] });
    assert.deepEqual(sentRecords(), [5]);
    await turn();
    assert.deepEqual(records.said, ['cursor 4 (4)', 'S 500']);
    ack(4, 501);
    await turn();
    await turn();
    assert.deepEqual(sentRecords(), [5, 6, 7, 8, 9, 10]);
    assert.deepEqual(records.said.slice(2), ['cursor 5 (1)', 'S 501']);
  });

  it('predicts the sequence of an own stream and stops at once where it is wrong', async () => {
    const { hub, pass, refuse, ack, end } = await setting({ own: true, last: 3 });
    ack(0, 501);
    await turn();
    await turn();
    assert.match(hub.sent[2]?.headers ?? '', /Nats-Expected-Last-Sequence: 502\r\n/);
    assert.doesNotMatch(hub.sent[2]?.headers ?? '', /Nats-Msg-Id/);
    refuse(1, 10071);
    refuse(2, 10071);
    assert.equal((await end).code, 'hub_error');
    const { stored, doubt } = pass.leftover();
    assert.deepEqual([stored.size, doubt.size], [0, 0], 'a refusal leaves no doubt');
  });

  it('sends the first record of an own stream alone: were it refused, none behind it may be taken', async () => {
    const { sentRecords, refuse, end } = await setting({ own: true });
    assert.deepEqual(sentRecords(), [1]);
    refuse(0, 10071);
    assert.equal((await end).code, 'hub_error');
    assert.deepEqual(sentRecords(), [1]);
  });

  it('waits for what is in flight before it ends, and takes late answers of what timed out', async () => {
    const { pass, ack, end } = await setting({ last: 3 });
    pass.disturb(new GatewayError('hub_error', 'look again'));
    ack(2, 503);
    ack(0, 501);
    pass.tick(performance.now() + 900);
    assert.equal(pass.inFlight, 1);
    pass.tick(performance.now() + 1_100);
    assert.equal((await end).message, 'look again');
    const { stored, doubt } = pass.leftover();
    assert.deepEqual([[...stored], [...doubt]], [[3], [2]]);
    ack(1, 502);
    assert.equal(pass.inFlight, 0, 'after the end nobody is there');
  });

  it('doubts an acknowledgement without a sequence and an error that it does not know', async () => {
    for (const answer of ['duplicate', 'error'] as const) {
      const { pass, ack, refuse, end } = await setting({ last: 1 });
      if (answer === 'duplicate') ack(0, 0, true);
      else refuse(0, 10008);
      await end;
      assert.deepEqual([...pass.leftover().doubt], [1]);
    }
  });

  it('loses what the stream never takes, and goes on behind it', async () => {
    const { records, refuse, ack, lost } = await setting({ last: 3 });
    refuse(1, 10054);
    ack(0, 501);
    ack(2, 502);
    await turn();
    assert.deepEqual(lost, ['oversize 2-2']);
    assert.deepEqual(records.said.slice(1), ['cursor 3 (3)', 'S 502']);
  });

  it('passes over what can not be decoded', async () => {
    const { records, ack, lost, sentRecords } = await setting({ last: 5, broken: 3 });
    assert.deepEqual(sentRecords(), [1, 2]);
    ack(0, 501);
    ack(1, 502);
    await turn();
    assert.deepEqual(lost, ['undecodable 3-5']);
    assert.equal(records.cursor, 5);
  });

  it('holds its window', async () => {
    const { ack, sentRecords } = await setting({ window: 4 });
    assert.deepEqual(sentRecords(), [1, 2, 3, 4]);
    ack(0, 501);
    ack(1, 502);
    await turn();
    await turn();
    assert.deepEqual(sentRecords(), [1, 2, 3, 4, 5, 6]);
  });

  it('passes over more than may be unanswered', async () => {
    const stored = Array.from({ length: 50 }, (_, i) => i + 1);
    const { ack, sentRecords } = await setting({ unanswered: { most: 4, apart: 4 }, stored, last: 60 });
    for (let turns = 0; turns < 20; turns++) await turn();
    assert.deepEqual(sentRecords(), [51, 52, 53, 54]);
    for (let slot = 50; slot < 60; slot++) {
      ack(slot, 501 + slot);
      await turn();
      await turn();
    }
    assert.equal(sentRecords().at(-1), 60);
  });

  it('keeps fewer unanswered than its window where the hub is busy, and goes on with the answers', async () => {
    const { ack, sentRecords } = await setting({ unanswered: { most: 4, apart: 2 }, last: 9 });
    assert.deepEqual(sentRecords(), [1, 2, 3, 4]);
    for (const [slot, count] of [4, 6, 6, 8, 8, 9, 9, 9, 9].entries()) {
      ack(slot, 501 + slot);
      await turn();
      await turn();
      assert.equal(sentRecords().length, count, `after ${slot + 1} answers`);
    }
  });
});
