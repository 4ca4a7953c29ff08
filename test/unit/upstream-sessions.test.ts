import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { Forwarder } from '../../src/upstream/forwarder.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { ScriptedHub } from '../support/scripted-hub.ts';
import { batchOf, ScriptedRecords } from '../support/scripted-records.ts';
import { waitFor } from '../support/wait-for.ts';

const NONE = Buffer.alloc(0);
const PREFIX = '_INBOX.box';

/** A forwarder of one lane with three records, whose far end answers when the test says so. */
async function setting(scope: Scope) {
  const hub = new ScriptedHub();
  hub.streams.set('S', { last: 0, messages: new Map() });
  const records = new ScriptedRecords();
  records.lastSequence = 3;
  records.read = (_lane, after) => Promise.resolve({ batches: after < 3 ? [batchOf(1, 3)] : [], end: 3 });
  const forwarder = new Forwarder(
    {
      gateway: 'box',
      inboxPrefix: PREFIX,
      lanes: [{ index: 0, name: 'lane', priority: 1, subjects: ['s'], stream: null }],
      window: 10,
      ackTimeoutMs: 100,
      limit: { messagesPerSecond: 0, bytesPerSecond: 0 },
      drain: { share: 0.1, windows: [], overridePriority: 1, historicalAfterMs: 10_000 },
    },
    { hub, records, served: () => [] },
    silentLog,
  );
  hub.fetched = (reply, headers, payload) => forwarder.answer(reply.slice(PREFIX.length + 1), headers, payload);
  await forwarder.start();
  atEnd(scope, async () => {
    hub.up = false;
    await forwarder.stop();
  });
  const tokens = () => hub.sent.map(({ reply }) => reply.slice(PREFIX.length + 1));
  const answer = (token: string, sequence: number) =>
    forwarder.answer(token, NONE, Buffer.from(JSON.stringify({ stream: 'S', seq: sequence })));
  return { hub, records, forwarder, tokens, answer };
}

describe('sessions of a lane', () => {
  it('do not take answers that are meant for an earlier pass', async (scope) => {
    const { hub, records, forwarder, tokens, answer } = await setting(scope);
    forwarder.linkUp({ headers: true });
    await waitFor('the first pass', () => hub.sent.length === 3);
    const first = tokens();
    await waitFor('the second pass, after a timeout', () => hub.sent.length === 6);
    for (const [i, token] of first.entries()) answer(token, i + 1);
    assert.equal(forwarder.status()[0]?.inFlight, 3);
    for (const [i, token] of tokens().slice(3).entries()) answer(token, i + 1);
    await waitFor('the cursor', () => records.cursor === 3);
    assert.equal(forwarder.status()[0]?.acknowledged, 3);
  });

  it('are not disturbed by one before them that wakes up late', async (scope) => {
    const { hub, records, forwarder, tokens, answer } = await setting(scope);
    records.positions = [{ stream: 'S', created: 'monday', sequence: 0 }];
    const prompt = hub.request.bind(hub);
    let wake = (): void => {};
    hub.request = (subject, payload) => {
      hub.request = prompt;
      const held = new Promise<void>((resolve) => {
        wake = resolve;
      });
      return held.then(() => prompt(subject, payload));
    };
    forwarder.linkUp({ headers: true });
    forwarder.linkDown();
    forwarder.linkUp({ headers: true });
    await waitFor('the second session', () => hub.sent.length === 3);
    wake();
    await waitFor('the first one to see its answer', () => hub.calls.length > 1);
    await new Promise(setImmediate);
    assert.equal(hub.sent.length, 3);
    for (const [i, token] of tokens().entries()) answer(token, i + 1);
    await waitFor('the cursor', () => records.cursor === 3);
    await waitFor('idle', () => forwarder.status()[0]?.state === 'idle');
  });
});
