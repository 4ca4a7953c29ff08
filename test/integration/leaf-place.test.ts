/** Where a box stands among the hub's subjects, accounts and other leaves: prefix, denials, account, isolation. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import { type BoxConfig, startBox } from '../support/box.ts';
import { connectHub, createStream, waitForStream } from '../support/hub-stream.ts';
import { failureOf, startLeafBox, startLinkedBox } from '../support/leaf-box.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { allNatsServers } from '../support/newer-nats-server.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const NONE = Buffer.alloc(0);

/** A hub, a client there, a box below it and a client here. */
async function both(scope: Scope, upstream: BoxConfig, lanes?: unknown[]) {
  const hub = await startNatsServer(scope, { leafnodes: true, jetstream: true });
  const there = await connectHub(scope, hub.clientUrl);
  await createStream(there, 'S', ['plant1.line3.>', 'kept.>']);
  const box = await startBox(scope, {
    name: 'plant1',
    config: { upstream: { urls: [hub.leafUrl], ...upstream }, ...(lanes ? { lanes } : {}) },
  });
  const here = await connect({ servers: box.natsUrl });
  atEnd(scope, () => here.close());
  await box.logged('the link', ({ msg }) => msg === 'linked to the hub');
  return { hub, there, box, here };
}

describe('upstream.prefix', () => {
  it('mounts the box: records, live messages, requests both ways, JetStream and KV untouched', async (scope) => {
    const lanes = [{ name: 'line3', subjects: ['line3.>'] }];
    const { there, here } = await both(scope, { prefix: 'plant1' }, lanes);

    // Records: published here as line3.temp, in the stream as plant1.line3.temp.
    const ack = await jetstream(here, { checkAPI: false }).publish('line3.temp', '21.5');
    assert.equal(ack.stream, 'line3');
    await waitForStream(there, 'S', 1);
    const manager = await jetstreamManager(there);
    assert.equal((await manager.streams.getMessage('S', { seq: 1 }))?.subject, 'plant1.line3.temp');

    // Live, upwards: nobody at the hub wants it under the bare name.
    const up: string[] = [];
    there.subscribe('>', { callback: (_error, { subject }) => void (subject.startsWith('_') || up.push(subject)) });
    await there.flush();
    await waitFor('the message', () => {
      here.publish('live.x', 'y');
      return up.includes('plant1.live.x');
    });
    assert.ok(!up.includes('live.x'));

    // Downwards, and the hub's other subjects by $HUB.
    const down: string[] = [];
    here.subscribe('cmd.>', { callback: (_error, { subject }) => void down.push(subject) });
    here.subscribe('$HUB.office.>', { callback: (_error, { subject }) => void down.push(subject) });
    await here.flush();
    await waitFor('the commands', () => {
      there.publish('cmd.valve', 'not ours');
      there.publish('plant1.cmd.valve', 'open');
      there.publish('office.news', 'x');
      return down.includes('cmd.valve') && down.includes('$HUB.office.news');
    });
    assert.deepEqual([...new Set(down)].toSorted(), ['$HUB.office.news', 'cmd.valve']);

    // Requests both ways; the reply subject of an old-fashioned requester is no inbox.
    here.subscribe('ask.box', { callback: (_error, message) => void message.respond('42') });
    await here.flush();
    // The subscription above takes every request: one that is before the box's interest has no answer, and no "no responders".
    await waitFor('the answer of the box', async () => {
      return (await there.request('plant1.ask.box', '', { timeout: 1_000 })).string() === '42';
    });
    const answers: string[] = [];
    there.subscribe('office.answers', { callback: (_error, message) => void answers.push(message.string()) });
    await there.flush();
    await waitFor('the answer on an ordinary subject', () => {
      there.publish('plant1.ask.box', '', { reply: 'office.answers' });
      return answers.includes('42');
    });
    there.subscribe('office.time', { callback: (_error, message) => void message.respond('noon') });
    await there.flush();
    await waitFor('the answer of the office', async () => {
      return (await here.request('$HUB.office.time', '', { timeout: 1_000 })).string() === 'noon';
    });

    const bucket = await new Kvm(here).create('settings');
    await bucket.put('speed', '7');
    assert.equal((await bucket.get('speed'))?.string(), '7');
  });
});

describe('deny_imports, deny_exports', () => {
  it('hold both ways, and what may not go up is in no lane', async (scope) => {
    const { there, here, box } = await both(scope, { deny_imports: ['secret.>'], deny_exports: ['kept.here.>'] }, [
      { name: 'all', subjects: ['kept.>'] },
    ]);
    const down: string[] = [];
    here.subscribe('>', { callback: (_error, { subject }) => void (subject.startsWith('_') || down.push(subject)) });
    here.subscribe('secret.x', { callback: (_error, { subject }) => void down.push(subject) });
    await here.flush();
    await waitFor('what is allowed', () => {
      there.publish('secret.x', 'no');
      there.publish('open.x', 'yes');
      return down.includes('open.x');
    });
    assert.ok(!down.includes('secret.x'));
    // A refused export is live only: no PubAck, for no lane has it, and local subscribers get it.
    here.publish('kept.here.x', 'local');
    await jetstream(here, { checkAPI: false }).publish('kept.up.x', 'goes up');
    await waitForStream(there, 'S', 1);
    const manager = await jetstreamManager(there);
    assert.equal((await manager.streams.getMessage('S', { seq: 1 }))?.subject, 'kept.up.x');
    assert.ok(down.includes('kept.here.x'));
    const status = (await (await fetch(`${box.statusUrl}/status.json`)).json()) as {
      lanes: { name: string; depth: number; state?: string }[];
    };
    assert.equal(status.lanes.find(({ name }) => name === 'all')?.depth, 0);
  });

  it('ask the hub not to send at all', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: { raw: '  advertise: "127.0.0.1:1"' } });
    const proxy = await startTcpProxy(scope, hub.leafPort);
    const { link, seen } = await startLinkedBox(scope, `nats://127.0.0.1:${proxy.port}`, { denyImports: ['secret.>'] });
    const there = await connectHub(scope, hub.clientUrl);
    link.interest('>', '', 1);
    await waitFor('what is allowed', () => {
      there.publish('open', '');
      return seen.messages.length > 0;
    });
    const before = proxy.bytes.down;
    there.publish('secret.x', 'x'.repeat(100_000));
    there.publish('open', 'last');
    await waitFor('the last', () => seen.messages.some(({ payload }) => payload === 'last'));
    assert.ok(proxy.bytes.down - before < 50_000);
    assert.equal(link.status().drops.denied, 0);
  });
});

describe('a message that nobody at the hub wants', () => {
  it('costs no byte on the line', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: { raw: '  advertise: "127.0.0.1:1"' } });
    const proxy = await startTcpProxy(scope, hub.leafPort);
    const { link } = await startLinkedBox(scope, `nats://127.0.0.1:${proxy.port}`, { pingIntervalMs: 60_000 });
    await link.request('$SYS.REQ.USER.INFO', '', 300).catch(() => undefined);
    const before = proxy.bytes.up;
    for (let i = 0; i < 1_000; i++) {
      assert.equal(link.publish(`nobody.${i % 7}`, '', NONE, Buffer.alloc(100), []), 'no-interest');
    }
    const there = await connectHub(scope, hub.clientUrl);
    there.subscribe('somebody', { callback: () => {} });
    await waitFor('interest', () => link.wants('somebody'));
    link.publish('somebody', '', NONE, NONE, []);
    await waitFor('the one that is wanted', () => proxy.bytes.up > before);
    // PONGs to the hub's first PINGs may be among them.
    assert.ok(proxy.bytes.up - before < 60, `${proxy.bytes.up - before} bytes`);
  });
});

describe("the hub's account", () => {
  it('that is named is the one the box is bound to; another one is refused, and said', async (scope) => {
    const accounts = 'PLANTS: { users: [{ user: a, password: b }] }';
    const hub = await startNatsServer(scope, { leafnodes: true, accounts });
    const as = { user: 'a', password: 'b' };
    const { link } = await startLinkedBox(scope, hub.leafUrl, { ...as, account: 'PLANTS' });
    assert.equal(link.status().hub?.remoteAccount, 'PLANTS');
    const refused = await failureOf(await startLeafBox(scope, hub.leafUrl, { ...as, name: 'b', account: 'OFFICE' }));
    assert.equal(refused.code, 'wrong_account');
    assert.match(refused.message, /binds the box to account PLANTS, not OFFICE/);
  });
});

describe('upstream.isolate', () => {
  const cache = join(import.meta.dirname, '../../.cache');
  mkdirSync(cache, { recursive: true });
  for (const { path: binary, version } of allNatsServers(cache).found) {
    it(`keeps other leaves' interest away, or says that nats-server ${version} can't`, async (scope) => {
      const knows = Number(version.split('.')[1]) >= 12;
      const hub = await startNatsServer(scope, { leafnodes: true, binary });
      const alone = await startLinkedBox(scope, hub.leafUrl, { name: 'alone', isolate: true });
      const other = await startLinkedBox(scope, hub.leafUrl, { name: 'other' });
      const there = await connectHub(scope, hub.clientUrl);
      other.link.interest('from.leaf', '', 1);
      await other.link.request('$SYS.REQ.USER.INFO', '', 100).catch(() => undefined);
      there.subscribe('from.hub', { callback: () => {} });
      await waitFor("the hub's own interest", () => alone.link.wants('from.hub'));
      if (!knows) await waitFor("the other leaf's interest", () => alone.link.wants('from.leaf'));
      assert.equal(alone.link.wants('from.leaf'), !knows);
      assert.equal(alone.link.status().lastError?.code, knows ? undefined : 'hub_too_old');
    });
  }
});
