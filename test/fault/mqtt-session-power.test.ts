/**
 * Goal: after a power cut the session of an absent client has every message whose publisher got a PUBACK before the cut,
 * though no lane takes it. Method: the box on a disk that logs its writes; the log is cut at random moments, what was not
 * synced by then is dropped, torn or reordered, and the store is opened on what is left. A build that sends PUBACKs before
 * the commit is seen.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import mqtt from 'mqtt';
import { Box } from '../support/box.ts';
import { changeBuild } from '../support/broken-build.ts';
import { openJournal } from '../support/journal.ts';
import { fates, PowerCut } from '../support/power-cut.ts';
import { RuledDisk } from '../support/ruled-disk.ts';
import { atEnd, Lifetime, type Scope } from '../support/scope.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const CUTS = 40;
const ACKED = 400;
const AHEAD = 5;

/** Publishes for an absent session, cuts, and says what was missing at each cut. */
async function cutSessions(scope: Scope, random: SeededRandom, dist?: string): Promise<string[]> {
  const root = tempDir(scope, 'power');
  const disk = join(root, 'disk');
  const before = join(root, 'before');
  for (const folder of [disk, before]) mkdirSync(folder);
  const ruled = new RuledDisk(scope, disk, root, { logged: true });
  const config = { lanes: [{ name: 'd', subjects: ['d.>'] }] };
  const box = new Box({ dataDir: join(disk, 'data'), env: ruled.env, config, ...(dist && { dist }) }, root);
  atEnd(scope, () => box.kill9());
  await box.start();
  const sleeper = await mqtt.connectAsync(box.mqttUrl, { clientId: 'sleeper', clean: false });
  await sleeper.subscribeAsync('live/#', { qos: 1 });
  const subscribed = ruled.logged;
  await sleeper.endAsync();
  const acked: { text: string; logged: number }[] = [];
  const sender = await mqtt.connectAsync(box.mqttUrl, { clientId: 'sender', reconnectPeriod: 0 });
  sender.on('error', () => undefined);
  let next = 0;
  const one = (): void => {
    const text = String(next++);
    sender.publishAsync('live/x', text.padEnd(random.between(10, 500), ' '), { qos: 1 }).then(
      () => {
        acked.push({ text, logged: ruled.logged });
        if (next < ACKED) one();
      },
      () => undefined,
    );
  };
  for (let i = 0; i < AHEAD; i++) one();
  await waitFor('the PUBACKs', () => acked.length >= ACKED - AHEAD, { timeoutMs: 30_000 });
  await box.kill9();
  sender.end(true);

  const cut = new PowerCut(readFileSync(ruled.log), disk, before);
  const marks = acked.map(({ logged }) => logged);
  const moments = random.moments(CUTS, 0, marks.length).map((i) => Math.max(subscribed, marks[Math.floor(i)] ?? 0));
  const faults: string[] = [];
  for (const moment of moments.sort((a, b) => a - b)) {
    const folder = join(root, 'cut');
    const fate = fates[Math.floor(random.next() * fates.length)] ?? 'dropped';
    cut.advance(moment);
    cut.cut(folder, fate, random);
    const promised = acked.filter(({ logged }) => logged <= moment).map(({ text }) => text);
    const missing = await missingOf(join(folder, 'data'), promised);
    if (missing > 0) faults.push(`at ${moment}, ${fate}: ${missing} of ${promised.length} are missing`);
    rmSync(folder, { recursive: true, force: true });
  }
  return faults;
}

async function missingOf(folder: string, promised: readonly string[]): Promise<number> {
  await using life = new Lifetime();
  const copy = tempDir(life, 'look');
  cpSync(folder, copy, { recursive: true });
  const { sessions } = await openJournal(life, { folder: copy, sessions: { bytesMax: 64 * 1024 * 1024 } });
  assert(sessions);
  const session = sessions.takeStored().find(({ clientId }) => clientId === 'sleeper');
  const kept = new Set<string>();
  for (let after = 0, isEnd = session === undefined; !isEnd; ) {
    const page = await sessions.read(session?.id ?? 0, after);
    for (const { content } of page.deliveries) kept.add(content.payload.toString().trim());
    after = page.through;
    isEnd = page.isEnd;
  }
  return promised.filter((text) => !kept.has(text)).length;
}

describe('a power cut amid messages for an absent session', { timeout: 120_000 }, () => {
  it(`loses none that was acknowledged, ${CUTS} times`, async (scope) => {
    assert.deepEqual(await cutSessions(scope, new SeededRandom(3)), []);
  });

  it('is seen on a build whose PUBACKs do not wait for the session', async (scope) => {
    const dist = changeBuild(scope, 'early', {
      file: 'core/router.js',
      line: 'if (queues === null || queues.enqueued === enqueuedBefore)',
      instead: 'if (true)',
    });
    const faults = await cutSessions(scope, new SeededRandom(3), dist);
    assert.ok(faults.length > 0);
  });
});
