/**
 * Goal: a message that two persistent sessions exchange at QoS 2 arrives once and in order, whenever the box is killed and
 * whether a lane takes it or not; and the rig would see it if it were not so. Method: a sender, a receiver that is there and
 * one that is away half of the time; SIGKILL at random moments of a fixed seed; then numbers are counted. On builds that
 * break one promise each, numbers come twice.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Box, startBox } from '../support/box.ts';
import { type Break, changeBuild } from '../support/broken-build.ts';
import { drain, openJournal } from '../support/journal.ts';
import { Qos2Receiver, Qos2Sender } from '../support/qos2-client.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { waitFor } from '../support/wait-for.ts';

const MESSAGES = 3_000;
const KILLS = 6;
const WINDOW = 20;
const TOPICS = ['lane/a', 'live/b'];
const LANE = { name: 'lane', subjects: ['lane.>'], full: 'refuse' };

interface Outcome {
  box: Box;
  sender: Qos2Sender;
  receivers: readonly Qos2Receiver[];
}

async function run(scope: Scope, seed: number, kills: number, dist?: string): Promise<Outcome> {
  const box = await startBox(scope, {
    config: { mqtt: { listeners: [{ listen: '127.0.0.1:0' }], session_queue_max: 65_535 }, lanes: [LANE] },
    ...(dist !== undefined && { dist }),
  });
  // The port stays the same over restarts, so that clients find the box again.
  box.configure({
    mqtt: { listeners: [{ listen: `127.0.0.1:${box.mqttPort}` }], session_queue_max: 65_535 },
    lanes: [LANE],
  });
  const random = new SeededRandom(seed);
  const present = new Qos2Receiver(box.mqttPort, 'present', '#');
  const sleeper = new Qos2Receiver(box.mqttPort, 'sleeper', '#');
  const sender = new Qos2Sender(box.mqttPort, TOPICS, MESSAGES, WINDOW);
  const clients = [present, sleeper, sender];
  atEnd(scope, () => {
    for (const client of clients) client.stop();
  });
  for (const receiver of [present, sleeper]) {
    receiver.start();
    await waitFor('the SUBACK', () => receiver.isSubscribed);
  }
  sender.start();
  for (let kill = 0; kill < kills; kill++) {
    if (kill % 2 === 0) sleeper.stop();
    else sleeper.start();
    const before = sender.promised.size;
    await waitFor('some messages', () => sender.promised.size > before + 50 || sender.isDone, { timeoutMs: 60_000 });
    // Not a wait for anything: the kill must fall anywhere.
    await sleep(random.between(0, 60));
    await box.kill9();
    await box.start();
  }
  sleeper.start();
  await waitFor('the sender to be done', () => sender.isDone, { timeoutMs: 60_000 });
  await waitFor('the receivers to have them', () => [present, sleeper].every(({ count }) => count >= MESSAGES), {
    timeoutMs: 60_000,
  });
  return { box, sender, receivers: [present, sleeper] };
}

/** How often a number came again, or before one that is lower. */
function faults({ receivers }: Outcome): number {
  let count = 0;
  for (const { taken } of receivers) {
    for (const numbers of taken.values()) {
      numbers.forEach((number, i) => {
        if (i > 0 && number <= (numbers[i - 1] ?? 0)) count++;
      });
    }
  }
  return count;
}

describe('QoS 2 between persistent sessions', { timeout: 240_000, concurrency: 2 }, () => {
  it(`is exactly once and in order over ${KILLS} kills, in a lane and live`, async (scope) => {
    const outcome = await run(scope, 1, KILLS);
    const { box, sender, receivers } = outcome;
    assert.ok(sender.connects > KILLS / 2, 'the kills hit publishes under way');
    const wanted = TOPICS.map((topic, i) => {
      const all = Array.from({ length: MESSAGES }, (_, n) => n + 1);
      return [topic, all.filter((n) => n % TOPICS.length === i)] as const;
    });
    for (const { taken } of receivers) {
      for (const [topic, numbers] of wanted) assert.deepEqual(taken.get(topic), numbers, topic);
    }
    for (const client of [sender, ...receivers]) client.stop();
    await box.stop();
    const journal = await openJournal(scope, {
      folder: box.dataDir,
      gateway: 'box',
      lanes: [{ name: 'lane', subjects: ['lane.>'] }],
    });
    const kept = (await drain(journal, 0)).map(({ payload }) => Number(payload));
    assert.deepEqual(kept, wanted[0]?.[1], 'the lane has each once');
  });

  const breaks: Record<string, Break> = {
    'PUBRECs of messages that are not noted': {
      file: 'mqtt/received.js',
      line: 'if (store === null) {',
      instead: 'if (true) {',
    },
    'PUBRELs of PUBRECs that are not noted': {
      file: 'mqtt/outgoing.js',
      line: 'this.#store.release(this.id, delivery.sequence);',
      instead: '',
    },
  };
  for (const [index, [what, change]] of Object.entries(breaks).entries()) {
    it(`teeth: a build with ${what} is seen`, async (scope) => {
      const dist = changeBuild(scope, `broken-${index}`, change);
      // A kill need not fall into the gap: a few tries.
      for (let seed = 1; seed <= 5; seed++) if (faults(await run(scope, seed, KILLS, dist)) > 0) return;
      assert.fail('no number came twice');
    });
  }
});
