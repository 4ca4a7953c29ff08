import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectHub, createStream } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { readNumbers } from '../support/sent-numbers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { startUplink, startUplinkProcess, type UplinkLane } from '../support/uplink.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Goal: exactly once though both ends die, for longer than the hub remembers ids. Method: a process with journal and
 * forwarder is killed while records are in flight whose acknowledgements are lost; the hub is killed too; the box comes
 * back after the duplicate window.
 */
const KILLS = 5;
const LANES: [procedure: string, lane: UplinkLane][] = [
  ['read-back', { subjects: ['t.>'] }],
  ['own-stream', { subjects: ['t.>'], stream: { name: 'T', own: true } }],
];

for (const [procedure, lane] of LANES) {
  describe(`a box that goes up by ${procedure} and is killed`, () => {
    it('leaves each acknowledged record once and in order in the stream', async (scope) => {
      const hub = await startNatsServer(scope, { jetstream: true, leafnodes: BEHIND_PROXY });
      const client = await connectHub(scope, hub.clientUrl);
      await createStream(client, 'T', ['t.>'], { duplicate_window: 100_000_000 });
      const proxy = await startTcpProxy(scope, hub.leafPort);
      const folder = tempDir(scope, 'uplink');
      const options = { folder, leafUrl: `nats://127.0.0.1:${proxy.port}`, lanes: [lane], window: 500 };
      const acked: number[] = [];
      let first = 1;
      for (let kill = 0; kill < KILLS; kill++) {
        const child = startUplinkProcess({ ...options, first, limitPerTurn: 40 });
        const received = proxy.bytes.up;
        await waitFor('records on their way', () => proxy.bytes.up > received + 100_000, { timeoutMs: 20_000 });
        proxy.swallow('down');
        const lost = proxy.lost.down;
        await waitFor('lost acknowledgements', () => proxy.lost.down > lost + 200);
        await child.kill();
        if (kill % 2 === 1) await hub.kill();
        proxy.cut();
        await sleep(300);
        if (kill % 2 === 1) await hub.restart();
        await proxy.restore();
        const last = child.lines.findLast((line) => line.startsWith('acked '));
        for (let n = first; n <= Number(last?.slice(6) ?? 0); n++) acked.push(n);
        first = (acked.at(-1) ?? 0) + 100_000;
      }
      const uplink = await startUplink(scope, options);
      await uplink.drained();
      const found = await readNumbers(client, 'T');
      const wrong = found.find(({ sequence }, i) => sequence !== i + 1);
      assert.equal(wrong, undefined, `at ${wrong && found.indexOf(wrong)}: ${JSON.stringify(wrong)}`);
      assert(new Set(found.map(({ lane: name }) => name)).size === 1, 'one epoch');
      const kept = new Set(found.map(({ n }) => n));
      assert.deepEqual(
        acked.filter((n) => !kept.has(n)),
        [],
      );
      assert(acked.length > 1_000);
    });
  });
}
