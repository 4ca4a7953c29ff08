import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Audit } from '../../src/upstream/audit.ts';
import { JetStream } from '../../src/upstream/jetstream.ts';
import { ScriptedHub } from '../support/scripted-hub.ts';

function setting(streams: Record<string, number[]>) {
  const hub = new ScriptedHub();
  for (const [name, records] of Object.entries(streams)) {
    const messages = new Map(records.map((n, i) => [i + 1, `box.e.t.${n}`] as const));
    hub.streams.set(name, { last: records.length, messages });
  }
  const audit = new Audit({ hub, jetStream: new JetStream(hub), inbox: hub.inbox }, 'box', 'e');
  const run = async (lastSequence: number, stream: string | null = 'S') => {
    const lane = { name: 't', subjects: ['>'], stream, lastSequence, cursor: lastSequence };
    const [found] = await audit.run([lane], 'petiole.box.ledger', []);
    assert(found);
    const { received, missingCount, duplicates, outOfOrder } = found;
    return { received, missingCount, duplicates, outOfOrder };
  };
  return { hub, run };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('the audit', () => {
  it('reads again where the hub ends before what it had promised, and counts nothing twice by that', async () => {
    const { hub, run } = setting({ S: numbers(1, 367) });
    hub.endsAt = 306;
    assert.deepEqual(await run(367), { received: 367, missingCount: 0, duplicates: 0, outOfOrder: 0 });
  });

  it('sees what is twice or out of order within a stream, and what two streams have both', async () => {
    const { run } = setting({ S: [1, 2, 2, 4, 3] });
    assert.deepEqual(await run(5), { received: 4, missingCount: 1, duplicates: 1, outOfOrder: 1 });
    const two = setting({ S: [3, 4, 5], R: [1, 2, 3] });
    assert.deepEqual(await two.run(5, null), { received: 5, missingCount: 0, duplicates: 1, outOfOrder: 0 });
  });
});
