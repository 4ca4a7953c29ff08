/**
 * Goal: a cluster that loses servers while a box syncs into its three-fold stream costs nothing: no message lost, none
 * stored twice, none out of order. Method: senders at a steady rate; the server that the box is linked to and the one
 * that leads the stream are killed in turn, the leader steps down, and everything comes back. At the end the whole stream
 * is compared with what the senders saw acknowledged.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startBox } from '../support/box.ts';
import { auditStream, streamState } from '../support/hub-stream.ts';
import { startLoad } from '../support/mqtt-load.ts';
import { type NatsCluster, startNatsCluster } from '../support/nats-cluster.ts';
import type { NatsServer } from '../support/nats-server.ts';
import { procedures, serversFor, statusNames, streamFor } from '../support/procedures.ts';
import { waitFor } from '../support/wait-for.ts';

const STREAM = 'BENCH';
const PER_S = 1_000;
const WAIT = { timeoutMs: 90_000, intervalMs: 50 };
/** Shorter than any fault lasts, so that the hub's own memory of ids can hide nothing. */
const DUPLICATE_WINDOW_NS = 200_000_000;

/** `npm run test:cluster` takes every version, of which each procedure gets those that it works on. */
const all = process.env.PETIOLE_TEST_CLUSTER === 'all';
const runs = procedures.flatMap((procedure) => {
  const servers = all ? serversFor(procedure) : serversFor(procedure).slice(-1);
  return servers.map((program) => ({ ...program, procedure }));
});

async function untilFlowing(cluster: NatsCluster): Promise<void> {
  const { messages } = await waitFor('the stream to answer', () => streamState(cluster.client, STREAM), WAIT);
  const grows = async () => (await streamState(cluster.client, STREAM)).messages > messages + PER_S / 10;
  await waitFor('records to reach the stream', grows, WAIT);
}

// Mostly waits: for elections, and between attempts to reconnect.
describe('a cluster of three', { concurrency: 2, timeout: 300_000 }, () => {
  it('every procedure has a hub', () => {
    for (const procedure of procedures) assert.ok(runs.some((run) => run.procedure === procedure));
  });

  for (const { path: binary, version, procedure } of runs) {
    it(`keeps ${procedure} exact while its servers die (${version})`, async (scope) => {
      const cluster = await startNatsCluster(scope, { binary });
      const { subjects, config } = streamFor(procedure, STREAM, ['bench.>']);
      await cluster.createStream(STREAM, subjects, {
        num_replicas: 3,
        duplicate_window: DUPLICATE_WINDOW_NS,
        ...config,
      });
      await cluster.untilWell(STREAM);
      const box = await startBox(scope, {
        config: {
          lanes: [{ name: 'bench', subjects: ['bench.>'], stream: { name: STREAM, own: procedure === 'own' } }],
          // One address: the others are those that the cluster announces.
          upstream: {
            urls: cluster.leafUrls.slice(0, 1),
            ping_interval: '1s',
            ack_timeout: '2s',
            connect_timeout: '2s',
          },
        },
      });
      const load = startLoad(scope, {
        port: box.mqttPort,
        connections: 5,
        clientPrefix: 'c',
        reconnect: true,
        messages: 100_000_000,
        messagesPerSecond: PER_S,
        timeoutMs: 300_000,
      });
      await untilFlowing(cluster);
      const linked = async (): Promise<NatsServer> => {
        const { link } = await box.status();
        return cluster.servers.find(({ leafUrl }) => leafUrl === link.url) ?? assert.fail(`linked to ${link.url}`);
      };
      const leader = async (): Promise<NatsServer> => {
        const name = await waitFor('a leader', () => cluster.leaderOf(STREAM), WAIT);
        return cluster.servers[Number(name.slice(3)) - 1] ?? assert.fail(`led by ${name}`);
      };
      for (const [what, victimOf] of [
        ['the linked one', linked],
        ['the leader', leader],
      ] as const) {
        const victim = await victimOf();
        await victim.kill();
        scope.diagnostic(`killed ${what}`);
        await untilFlowing(cluster);
        await victim.restart();
        await cluster.untilWell(STREAM);
      }
      // The leader changes while everybody is there.
      await cluster.client.request(`$JS.API.STREAM.LEADER.STEPDOWN.${STREAM}`, '', { timeout: 5_000 });
      await untilFlowing(cluster);
      // Two of three are gone: nothing can be stored, and nothing may be lost.
      const [first, second] = cluster.servers;
      await Promise.all([first?.kill(), second?.kill()]);
      await waitFor('records to pile up', async () => (await box.status()).lanes[0].depth > PER_S, WAIT);
      await Promise.all([first?.restart(), second?.restart()]);
      await untilFlowing(cluster);

      assert.equal((await box.status()).lanes[0].procedure, statusNames[procedure]);
      const { ackedRanges, acked } = await load.stop();
      const empty = async () => {
        const [lane] = (await box.status()).lanes;
        return lane.depth === 0 && lane.inFlight === 0;
      };
      await waitFor('the lane to be empty', empty, WAIT);
      await cluster.untilWell(STREAM);
      const { lost, duplicated, outOfOrder, messages } = await auditStream(cluster.client, STREAM, ackedRanges);
      scope.diagnostic(`${acked} acknowledged, ${messages} in the stream`);
      assert.deepEqual({ lost, duplicated, outOfOrder }, { lost: 0, duplicated: 0, outOfOrder: 0 });
      assert.ok(acked > 3 * PER_S && messages >= acked);
    });
  }
});
