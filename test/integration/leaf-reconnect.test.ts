import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { GatewayError } from '../../src/core/errors.ts';
import { leafInfo, startFakeHub } from '../support/fake-hub.ts';
import { type LeafBox, startLeafBox, startLinkedBox } from '../support/leaf-box.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { freePort } from '../support/ports.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const NONE = Buffer.alloc(0);
/** Short waits, so that a test of many reconnects is quick. */
const QUICK = { backoff: { firstMs: 20, maxMs: 60 } };

async function clientOf(scope: Scope, url: string): Promise<NatsConnection> {
  const client = await connect({ servers: url });
  atEnd(scope, () => client.close());
  return client;
}

const relinked = (box: LeafBox, epoch: number) =>
  waitFor(`epoch ${epoch}`, () => box.link.up && box.link.epoch === epoch);

describe('the reconnect loop', () => {
  it('comes back when the hub does, announces everything again and forgets the old hub', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const box = await startLinkedBox(scope, hub.leafUrl, QUICK);
    const { link, seen } = box;
    const first = await clientOf(scope, hub.clientUrl);
    first.subscribe('old.interest');
    await waitFor('the interest of the hub', () => link.wants('old.interest'));
    link.interest('cmd.>', '', 1);
    link.interest('gone', '', 1);
    const unanswered = assert.rejects(link.request('$JS.API.INFO', '', 60_000), { code: 'not_connected' });
    await hub.kill();
    await unanswered;
    await waitFor('the loss', () => seen.downs.length === 1);
    assert.equal(seen.downs[0]?.code, 'connection_closed');
    assert.equal(link.publish('old.interest', '', NONE, NONE, []), 'not-connected');
    assert.equal(link.wants('$JS.API.INFO'), false);
    assert.equal(link.writable, false);
    link.interest('gone', '', 0);
    link.interest('new.>', '', 1);
    await waitFor('an attempt in vain', () => link.status().lastError?.code === 'connection_refused');
    assert.equal(link.status().hub, null);

    await hub.restart();
    await relinked(box, 2);
    assert.deepEqual(
      seen.ups.map(({ epoch }) => epoch),
      [1, 2],
    );
    assert.equal(link.status().lastError, null);
    assert.equal(link.status().reconnects, 1);
    assert.equal(link.wants('old.interest'), false);
    const page = await hub.monitor<{ leafs: { subscriptions_list: string[] }[] }>('/leafz?subs=1');
    const announced = page.leafs[0]?.subscriptions_list.filter((filter) => !filter.startsWith('$LDS.'));
    assert.deepEqual(announced?.toSorted(), ['_INBOX.plant1.>', 'cmd.>', 'new.>']);
    const client = await clientOf(scope, hub.clientUrl);
    client.publish('cmd.valve', 'open');
    await waitFor('the command', () => seen.messages.length === 1);
  });

  it('cuts a half-open link within two ping intervals', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const proxy = await startTcpProxy(scope, hub.leafPort);
    const pingIntervalMs = 200;
    const box = await startLinkedBox(scope, `nats://127.0.0.1:${proxy.port}`, { pingIntervalMs, ...QUICK });
    // It stands for longer than a dead link would, so PONGs do keep it up.
    const upMs = performance.now();
    await waitFor('five intervals', () => performance.now() - upMs > 5 * pingIntervalMs);
    assert.equal(box.link.epoch, 1);
    proxy.blackhole();
    const deadMs = performance.now();
    await waitFor('the cut', () => box.seen.downs.length === 1);
    const cutMs = performance.now() - deadMs;
    // The machine of the test may be late; a third interval would mean that the rule is another.
    assert.ok(cutMs < 2.5 * pingIntervalMs, `${cutMs} ms`);
    assert.equal(box.seen.downs[0]?.code, 'stale_connection');
    await proxy.restore();
    await relinked(box, 2);
  });

  it('cuts a hub that goes on talking but answers no PING, a little later', async (scope) => {
    const hub = await startFakeHub(scope);
    const box = await startLeafBox(scope, hub.url, { pingIntervalMs: 60 });
    await hub.shakeHands();
    hub.say('PONG\r\n');
    const talk = setInterval(() => hub.say('+OK\r\n'), 5);
    scope.after(() => clearInterval(talk));
    const reason = await waitFor('the cut', () => box.seen.downs.at(0));
    assert.equal(reason.code, 'stale_connection');
  });

  it('survives 20 cuts, each with a new epoch and the whole interest', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const client = await clientOf(scope, hub.clientUrl);
    const box = await startLinkedBox(scope, hub.leafUrl, QUICK);
    box.link.interest('ping', '', 1);
    box.seen.answer = ({ reply }) => box.link.publish(reply, '', NONE, NONE, []);
    for (let epoch = 2; epoch <= 21; epoch++) {
      box.link.cut(new GatewayError('request_timeout', 'PubAcks stopped'));
      assert.equal(box.link.up, false);
      await relinked(box, epoch);
      await client.request('ping', '', { timeout: 2_000 });
    }
    assert.ok(box.seen.downs.every(({ code }) => code === 'request_timeout'));
    const page = await hub.monitor<{ leafnodes: number }>('/leafz');
    assert.equal(page.leafnodes, 1);
  });

  it('tells that another box has its name', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const first = await startLinkedBox(scope, hub.leafUrl);
    await startLinkedBox(scope, hub.leafUrl);
    await waitFor('the eviction', () => first.seen.downs.length === 1);
    const { lastError, retryInMs } = first.link.status();
    assert.equal(lastError?.code, 'hub_duplicate');
    assert.match(lastError?.hint ?? '', /gateway\.name/);
    assert.ok((retryInMs ?? 0) > 29_000);
  });

  it('tries the other addresses, configured and announced, without a long wait', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const dead = `nats://127.0.0.1:${await freePort()}`;
    await startLinkedBox(scope, [dead, hub.leafUrl], { name: 'plant1' });

    const fake = await startFakeHub(scope);
    const box = await startLeafBox(scope, fake.url, { name: 'plant2', ...QUICK });
    await fake.shakeHands({ ...leafInfo, leafnode_urls: [`127.0.0.1:${hub.leafPort}`, 'not a:url', 'x'.repeat(300)] });
    fake.say('PONG\r\n');
    await relinked(box, 1);
    await waitFor('the link to the announced hub', () => {
      fake.sockets.at(-1)?.destroy();
      return box.link.status().hub?.serverName === 'hub';
    });
  });

  it('follows a change of permissions without a new connection', async (scope) => {
    const hub = await startFakeHub(scope);
    const { link } = await startLeafBox(scope, hub.url);
    link.interest('secret.a', '', 1);
    await hub.hears(/CONNECT .*\r\n/);
    const info = { ...leafInfo, connect_info: true };
    hub.say(`INFO ${JSON.stringify({ ...info, import: { deny: ['secret.>'] } })}\r\n`);
    await hub.hears(/PING\r\n/);
    hub.say('PONG\r\n');
    await waitFor('up', () => link.up);
    assert.equal(link.status().interest.announced, 1);
    hub.say(`INFO ${JSON.stringify(info)}\r\n`);
    await hub.hears(/LS\+ secret\.a\r\n/);
    hub.say(`INFO ${JSON.stringify({ ...info, import: { deny: ['secret.>'] }, export: { deny: ['x'] } })}\r\n`);
    await hub.hears(/LS- secret\.a\r\n/);
    assert.equal(link.mayPublish('x'), false);
    assert.equal(link.epoch, 1);
  });

  it('takes a message ahead of the first PONG, and can answer it', async (scope) => {
    const hub = await startFakeHub(scope);
    const box = await startLeafBox(scope, hub.url);
    box.link.interest('ask', '', 1);
    box.seen.answer = ({ reply }) => box.link.publish(reply, '', NONE, Buffer.from('here'), []);
    await hub.shakeHands();
    hub.say('LS+ back.>\r\nLMSG ask back.1 0\r\n\r\nPONG\r\n');
    await hub.hears(/LMSG back\.1 4\r\nhere\r\n/);
    assert.equal(box.seen.ups.length, 1);
  });

  it('announces an inbox ahead of the question that names it', async (scope) => {
    const hub = await startFakeHub(scope);
    const { link } = await startLeafBox(scope, hub.url);
    await hub.shakeHands();
    hub.say('PONG\r\nLS+ ask\r\n');
    await waitFor('the interest of the hub', () => link.wants('ask'));
    link.interest('_INBOX.local.1', '', 1);
    link.publish('ask', '_INBOX.local.1', NONE, NONE, []);
    await hub.hears(/LS\+ _INBOX\.local\.1\r\nLMSG ask _INBOX\.local\.1 0\r\n/);
  });

  it('announces what local parties ask for during the handshake', async (scope) => {
    const hub = await startFakeHub(scope);
    const { link } = await startLeafBox(scope, hub.url);
    await hub.shakeHands();
    link.interest('late', '', 1);
    hub.say('PONG\r\n');
    await hub.hears(/LS\+ late\r\n/);
  });
});

describe('a line that takes nothing', () => {
  it('fills to its bounds, refuses live messages first, and drains in order', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const proxy = await startTcpProxy(scope, hub.leafPort);
    const { link, seen } = await startLinkedBox(scope, `nats://127.0.0.1:${proxy.port}`);
    const client = await clientOf(scope, hub.clientUrl);
    const got: number[] = [];
    client.subscribe('n', {
      callback: (_error, message) => void got.push(Number(message.headers?.get('N') ?? message.data.length)),
    });
    await waitFor('the interest of the hub', () => link.wants('n'));
    assert.equal(link.writable, true);
    proxy.blackhole('up');
    const payload = Buffer.alloc(60_000, 1);
    const numbered = (n: number) => Buffer.from(`NATS/1.0\r\nN: ${n}\r\n\r\n`);
    let sent = 0;
    let result = 'sent';
    for (; sent < 2_000 && result === 'sent'; sent += result === 'sent' ? 1 : 0) {
      result = link.publish('n', '', numbered(sent), payload, []);
      // The kernel takes some in between, as it would on a real line.
      if (sent % 20 === 0) await new Promise(setImmediate);
    }
    assert.equal(result, 'full');
    assert.equal(link.writable, false);
    assert.equal(link.forward('n', '', numbered(sent++), payload, []), 'sent');
    const { queuedBytes, drops } = link.status();
    assert.ok(queuedBytes > 4 * 1024 * 1024 && queuedBytes < 5 * 1024 * 1024, `${queuedBytes}`);
    assert.equal(drops.full, 1);
    for (let i = 0; i < 200 && result !== 'over'; i++) {
      if (link.forward('n', '', numbered(sent), payload, []) === 'sent') sent++;
      else result = 'over';
    }
    assert.equal(result, 'over');
    assert.equal(seen.drains, 0);
    await proxy.restore();
    await waitFor('all that was taken', () => got.length === sent);
    assert.deepEqual(got, [...Array(sent).keys()]);
    // The hub says by a PONG that it has read it.
    await waitFor('room for a backlog', () => seen.drains > 0);
    assert.equal(seen.drains, 1);
    assert.equal(link.writable, true);
  });
});

describe('stop', () => {
  it('sends what is queued, closes, and everyone waits for the same end', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const client = await clientOf(scope, hub.clientUrl);
    let got = 0;
    client.subscribe('last', { callback: () => void got++ });
    const { link, seen } = await startLinkedBox(scope, hub.leafUrl);
    await waitFor('the interest of the hub', () => link.wants('last'));
    const unanswered = assert.rejects(link.request('$JS.API.INFO', '', 60_000), GatewayError);
    for (let i = 0; i < 500; i++) link.publish('last', '', NONE, NONE, []);
    const stopped = link.stop();
    assert.equal(link.stop(), stopped);
    assert.equal(link.up, false);
    await stopped;
    await unanswered;
    await waitFor('the last messages', () => got === 500);
    assert.equal(link.status().state, 'stopped');
    assert.deepEqual(
      seen.downs.map(({ code }) => code),
      ['stopping'],
    );
    await waitFor(
      'the hub to see it go',
      async () => (await hub.monitor<{ leafnodes: number }>('/leafz')).leafnodes === 0,
    );
  });

  it('leaves every wait at once: TCP, INFO, the answer to CONNECT, the pause between attempts', async (scope) => {
    const silent = await startFakeHub(scope, '');
    const mute = await startFakeHub(scope);
    const closed = `nats://127.0.0.1:${await freePort()}`;
    for (const url of [silent.url, mute.url, closed, 'nats://192.0.2.1']) {
      const { link } = await startLeafBox(scope, url, { backoff: { firstMs: 60_000, maxMs: 60_000 } });
      if (url === silent.url) await waitFor('a connection', () => silent.sockets.length === 1);
      if (url === mute.url) await mute.hears(/CONNECT/);
      if (url === closed) await waitFor('the pause', () => link.status().state === 'waiting');
      await link.stop();
      assert.equal(link.status().state, 'stopped');
    }
  });
});
