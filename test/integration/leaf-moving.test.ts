/** Hubs that move: a name with a new address, a hub that shuts down, members that come and go. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { startBox } from '../support/box.ts';
import { leafInfo, startFakeHub } from '../support/fake-hub.ts';
import { startLeafBox, startLinkedBox } from '../support/leaf-box.ts';
import { NameService } from '../support/name-service.ts';
import { startNatsCluster } from '../support/nats-cluster.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { allNatsServers } from '../support/newer-nats-server.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const WAIT = { timeoutMs: 60_000 };

/** Passes what comes to `port` of another loopback address on to `target` of the usual one. */
async function startDoor(scope: Scope, host: string, port: number, target: number): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    near.pipe(far).pipe(near);
  });
  server.listen(port, host);
  await once(server, 'listening');
  atEnd(scope, async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
}

describe('a name whose address changes', () => {
  it('is looked up anew at each attempt', async (scope) => {
    const raw = { raw: '  advertise: "127.0.0.1:1"' };
    const first = await startNatsServer(scope, { name: 'first', leafnodes: raw });
    const second = await startNatsServer(scope, { name: 'second', leafnodes: raw });
    await startDoor(scope, '127.0.0.2', first.leafPort, second.leafPort);
    const names = new NameService(scope);
    names.answer({ 'hub.example.test': '127.0.0.1' });
    const box = await startBox(scope, {
      config: { upstream: { urls: [`nats://hub.example.test:${first.leafPort}`] } },
      env: names.env,
    });
    await box.logged('the first hub', ({ msg, hub }) => msg === 'linked to the hub' && hub === 'first');
    // The first one still runs: only the name says that the hub is elsewhere now.
    names.answer({ 'hub.example.test': '127.0.0.2' });
    await first.restart();
    await box.logged('the second hub', ({ msg, hub }) => msg === 'linked to the hub' && hub === 'second', 60_000);
  });
});

describe('a hub in lame duck', () => {
  it('that says so is left at once for another address, and tried last', async (scope) => {
    const leaving = await startFakeHub(scope);
    const staying = await startNatsServer(scope, { leafnodes: true });
    const { link, seen } = await startLeafBox(scope, [leaving.url, staying.leafUrl]);
    // In random order: whichever comes first, the box gets to the one that leaves once the other one is away.
    await staying.kill();
    await leaving.shakeHands();
    leaving.say('PONG\r\n');
    await waitFor('the link', () => link.up);
    await staying.restart();
    leaving.say(`INFO ${JSON.stringify({ ...leafInfo, ldm: true })}\r\n`);
    await waitFor('the other hub', () => link.up && link.status().url === staying.leafUrl, WAIT);
    assert.ok(seen.downs.some(({ code }) => code === 'hub_leaving'));
  });

  it('with no other address the box stays to the end', async (scope) => {
    const leaving = await startFakeHub(scope);
    const { link } = await startLeafBox(scope, leaving.url);
    await leaving.shakeHands();
    leaving.say(`PONG\r\nINFO ${JSON.stringify({ ...leafInfo, ldm: true })}\r\nLS+ still.here\r\n`);
    await waitFor('what it says after that', () => link.wants('still.here'));
    assert.equal(link.epoch, 1);
  });

  it('of nats-server, which does not say so, is left before it cuts the link', async (scope) => {
    const newest = allNatsServers(`${import.meta.dirname}/../../.cache`).found.at(-1);
    // Older ones keep their listener: there is no sign, and the link ends with the hub.
    if (!newest || Number(newest.version.split('.')[1]) < 11) return scope.skip('needs a nats-server from 2.11 on');
    const cluster = await startNatsCluster(scope, { binary: newest.path });
    await cluster.createStream('S', ['s.>'], { num_replicas: 1 });
    const name = await waitFor('a leader', () => cluster.leaderOf('S'), WAIT);
    const leader = cluster.servers[Number(name.slice(3)) - 1] ?? assert.fail();
    const { link, seen } = await startLinkedBox(scope, leader.leafUrl);
    await waitFor("the stream's interest", () => link.wants('s.x'), WAIT);
    process.kill(leader.pid, 'SIGUSR2');
    await waitFor('another hub', () => link.up && link.status().url !== leader.leafUrl, WAIT);
    assert.equal(seen.downs.at(0)?.code, 'hub_leaving');
    assert.ok(leader.running, 'it was left in time');
  });
});

describe('members of a cluster', () => {
  it('that come later are announced, and are where the box goes when the one it knew dies', async (scope) => {
    const cluster = await startNatsCluster(scope);
    const [first] = cluster.servers;
    const { link } = await startLinkedBox(scope, first?.leafUrl ?? '');
    await first?.kill();
    await waitFor('another one', () => link.up && link.status().url !== first?.leafUrl, WAIT);
    assert.ok(cluster.leafUrls.includes(link.status().url ?? ''));
  });
});
