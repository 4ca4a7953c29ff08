import type { NatsConnection } from '@nats-io/transport-node';
import { type Box, type BoxConfig, startBox } from '../support/box.ts';
import { auditStream, connectHub, createStream, streamState, waitForStream } from '../support/hub-stream.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { countRanges, type Ranges } from '../support/ranges.ts';
import type { Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Collection, Contender } from './contender.ts';

export const STREAM = 'BENCH';
/** Long enough for the box's reconnect delay after a long outage. */
const RECONNECT_TIMEOUT_MS = 60_000;
const DRAIN_TIMEOUT_MS = 300_000;
const SETTLE_MS = 300;

/** `read-back`: any stream. `own`: the stream is this box's alone. */
export type Procedure = 'read-back' | 'own';

/** A box, its hub, and a reader at the hub. */
export interface Plant {
  box: Box;
  hub: NatsServer;
  reader: NatsConnection;
}

/** Hub with an empty file stream on `bench.>`, and a box whose one lane takes just that: all else is live. */
export async function startPlant(scope: Scope, dir: string, procedure: Procedure, binary?: string): Promise<Plant> {
  const hub = await startNatsServer(scope, {
    dir: `${dir}/hub`,
    jetstream: true,
    leafnodes: { user: 'box', password: 'bench' },
    ...(binary !== undefined && { binary }),
  });
  const reader = await connectHub(scope, hub.clientUrl);
  await createStream(reader, STREAM, ['bench.>']);
  const config: BoxConfig = {
    lanes: [
      {
        name: 'bench',
        subjects: ['bench.>'],
        max_bytes: '8GiB',
        stream: procedure === 'own' ? { name: STREAM, own: true } : { name: STREAM },
      },
    ],
    upstream: { urls: [hub.leafUrl], user: 'box', password: 'bench' },
  };
  const box = await startBox(scope, { config, dataDir: `${dir}/data` });
  return { box, hub, reader };
}

/** Waits until the box's link is up, as the hub sees it. */
export async function waitForLink(hub: NatsServer): Promise<void> {
  const linked = async () => (await hub.monitor<{ leafnodes: number }>('/leafz')).leafnodes === 1;
  await waitFor('the leaf link', linked, { timeoutMs: RECONNECT_TIMEOUT_MS });
}

/** The box as a broker: the hub is down while it takes the load, and then gets everything. */
export function boxContender(binary?: string): Contender {
  return {
    name: 'petiole',
    receipt: 'fsynced',
    share: 1,
    async start(scope, dir) {
      const plant = await startPlant(scope, dir, 'read-back', binary);
      await waitForLink(plant.hub);
      await plant.hub.stop();
      return {
        mqttPort: plant.box.mqttPort,
        pid: plant.box.pid,
        collect: async (acked) => {
          await plant.hub.restart();
          return drain(plant, acked);
        },
      };
    },
  };
}

/** Waits until the hub has what was acknowledged, measures from the first to the last message, and judges all. */
export async function drain({ reader }: Plant, acked: Record<string, Ranges>): Promise<Collection> {
  const expected = Object.values(acked).reduce((sum, ranges) => sum + countRanges(ranges), 0);
  const held = async () => (await streamState(reader, STREAM)).messages;
  const options = { timeoutMs: RECONNECT_TIMEOUT_MS, intervalMs: 5 };
  const first = await waitFor('the first message at the hub', held, options);
  const firstAtMs = performance.now();
  await waitForStream(reader, STREAM, expected, { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 10 });
  const rate = (expected - first) / ((performance.now() - firstAtMs) / 1000);
  await settle(held);
  return { report: await auditStream(reader, STREAM, acked), rate };
}

/** Waits until nothing comes any more: what is stored twice would come last. */
async function settle(held: () => Promise<number>): Promise<void> {
  let last = -1;
  const unchanged = async () => {
    const before = last;
    last = await held();
    return last === before;
  };
  await waitFor('the stream to come to rest', unchanged, { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: SETTLE_MS });
}
