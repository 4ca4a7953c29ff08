import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '../../src/core/errors.ts';
import { connectHub, createStream } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { startUplink, type UplinkLane } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Goal: each record once and in order at the hub, whatever the link does. Method: a real hub whose stream forgets message
 * ids after 100 ms, so that only the reconcile step stands between a fault and a duplicate.
 */
const WINDOW = { duplicate_window: 100_000_000 };
const COUNT = 20_000;

const LANES: [procedure: string, lane: UplinkLane][] = [
  ['read-back', { subjects: ['t.>'] }],
  ['own-stream', { subjects: ['t.>'], stream: { name: 'T', own: true } }],
];

/** Uplink, proxy and hub, with a producer that works through all that happens. */
async function setting(scope: Scope, lane: UplinkLane) {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: BEHIND_PROXY });
  const client = await connectHub(scope, hub.clientUrl);
  await createStream(client, 'T', ['t.>'], WINDOW);
  const proxy = await startTcpProxy(scope, hub.leafPort);
  const options = { leafUrl: `nats://127.0.0.1:${proxy.port}`, lanes: [lane], window: 200, ackTimeoutMs: 500 };
  const uplink = await startUplink(scope, options);
  const produced = (async () => {
    for (let first = 1; first <= COUNT; first += 200) {
      await uplink.produce(200, (n) => `t.${n % 5}`, { first });
      await sleep(10);
    }
  })();
  const exact = async () => {
    await produced;
    await uplink.drained();
    assertExactly(await readNumbers(client, 'T'), COUNT);
  };
  /** Waits until `more` records have been acknowledged since the call. */
  const progress = (more: number) => {
    const { acknowledged } = uplink.status();
    return waitFor('progress', () => uplink.status().acknowledged >= acknowledged + more || uplink.cursor() === COUNT, {
      timeoutMs: 20_000,
    });
  };
  return { hub, client, proxy, uplink, produced, exact, progress };
}

for (const [procedure, lane] of LANES) {
  describe(`by ${procedure}, each record is there once and in order`, () => {
    it('over links that are cut at random', async (scope) => {
      const { proxy, uplink, exact, progress } = await setting(scope, lane);
      for (let cut = 0; cut < 15; cut++) {
        await progress(1 + cut * 10);
        const { reconnects } = uplink.link.status();
        proxy.cut();
        await waitFor('a new link', () => uplink.link.status().reconnects > reconnects);
      }
      await exact();
      assert(uplink.link.status().reconnects >= 15);
    });

    it('over acknowledgements that are lost with the link, for longer than the hub remembers ids', async (scope) => {
      const { proxy, uplink, exact, progress } = await setting(scope, lane);
      for (let round = 0; round < 3; round++) {
        await progress(300);
        proxy.swallow('down');
        const lost = proxy.lost.down;
        await waitFor('lost acknowledgements', () => proxy.lost.down > lost + 500 || uplink.cursor() === COUNT);
        await proxy.refuse();
        await sleep(300);
        await proxy.restore();
      }
      await exact();
      const { acknowledged } = uplink.status();
      assert(acknowledged < COUNT, 'some were found in the stream, not acknowledged');
    });

    it('over a link that goes silent and is cut for it', async (scope) => {
      const { proxy, uplink, exact, progress } = await setting(scope, lane);
      await progress(500);
      proxy.swallow('down');
      await waitFor(
        'the lane to wait in vain',
        () => uplink.status().reason?.code === 'request_timeout' || !uplink.link.up,
      );
      proxy.cut();
      await proxy.restore();
      await exact();
    });

    it('over a hub that is killed and comes back', async (scope) => {
      const { hub, exact, progress } = await setting(scope, lane);
      for (let kill = 0; kill < 3; kill++) {
        await progress(1_000);
        await hub.kill();
        await sleep(150);
        await hub.restart();
      }
      await exact();
    });

    it('over sessions that overlap: the link falls while the last fall is still looked into', async (scope) => {
      const { uplink, exact, progress } = await setting(scope, lane);
      const reason = new GatewayError('stale_connection', 'the test cuts it');
      for (let round = 0; round < 10; round++) {
        await progress(100);
        for (let i = 0; i < 3; i++) {
          await waitFor('the link', () => uplink.link.up, { intervalMs: 1 });
          await sleep(i);
          uplink.link.cut(reason);
        }
      }
      await exact();
    });
  });
}
