import type { NatsConnection } from '@nats-io/transport-node';
import { type Box, type BoxConfig, startBox } from '../support/box.ts';
import { auditStream, connectHub, createStream, streamState, waitForStream } from '../support/hub-stream.ts';
import { startNatsCluster } from '../support/nats-cluster.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { type Procedure, streamFor } from '../support/procedures.ts';
import { countRanges, type Ranges } from '../support/ranges.ts';
import type { Scope } from '../support/scope.ts';
import type { AuditReport } from '../support/stream-audit.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Collection, Contender } from './contender.ts';

export const STREAM = 'BENCH';
/** Long enough for the box's reconnect delay after a long outage. */
const RECONNECT_TIMEOUT_MS = 60_000;
const DRAIN_TIMEOUT_MS = 300_000;
const SETTLE_MS = 300;

/** What the hub does about the safety of what it acknowledges. */
export const hubKinds = {
  'default sync': 'the default sync',
  'sync always': '`sync_interval: always`',
  R3: 'three replicas',
} as const;
export type Hubs = keyof typeof hubKinds;

/** One server, or a cluster of them, that goes and comes as one. */
interface PlantHub {
  stop(): Promise<void>;
  restart(): Promise<void>;
  /** Leaf nodes that are connected. */
  leafs(): Promise<number>;
}

/** A box, its hub, and a reader at the hub. */
export interface Plant {
  box: Box;
  hub: PlantHub;
  reader: NatsConnection;
}

export interface PlantOptions {
  procedure: Procedure;
  hub: Hubs;
  binary?: string;
  /** `journal` of the box's configuration. */
  journal?: BoxConfig['journal'];
  /** The program that runs the box; default: Node alone. */
  command?: readonly string[];
}

/** Hub with an empty file stream on `bench.>`, and a box whose one lane takes just that: all else is live. */
export async function startPlant(scope: Scope, dir: string, options: PlantOptions): Promise<Plant> {
  const { procedure, command } = options;
  const { subjects, config: wanted } = streamFor(procedure, STREAM, ['bench.>']);
  const start = options.hub === 'R3' ? startCluster : startServer;
  const { hub, reader, urls } = await start(scope, dir, options, (client) =>
    createStream(client, STREAM, subjects, { ...wanted, num_replicas: options.hub === 'R3' ? 3 : 1 }),
  );
  const config: BoxConfig = {
    lanes: [
      {
        name: 'bench',
        subjects: ['bench.>'],
        max_bytes: '8GiB',
        stream: procedure === 'own' ? { name: STREAM, own: true } : { name: STREAM },
      },
    ],
    ...(options.journal !== undefined && { journal: options.journal }),
    // Under another program the box is many times slower, and an answer that is late is no fault.
    upstream: { urls, user: 'box', password: 'bench', ...(command && { connect_timeout: '60s', ack_timeout: '60s' }) },
  };
  const box = await startBox(scope, { config, dataDir: `${dir}/data`, ...(command && { command }) });
  return { box, hub, reader };
}

type StartHub = (
  scope: Scope,
  dir: string,
  options: PlantOptions,
  create: (client: NatsConnection) => Promise<void>,
) => Promise<{ hub: PlantHub; reader: NatsConnection; urls: string[] }>;

const leafsOf = async (server: NatsServer) => (await server.monitor<{ leafnodes: number }>('/leafz')).leafnodes;

const startServer: StartHub = async (scope, dir, { hub: kind, binary }, create) => {
  const server = await startNatsServer(scope, {
    dir: `${dir}/hub`,
    jetstream: { syncAlways: kind === 'sync always' },
    leafnodes: { user: 'box', password: 'bench' },
    ...(binary !== undefined && { binary }),
  });
  const reader = await connectHub(scope, server.clientUrl);
  await create(reader);
  const hub = { stop: () => server.stop(), restart: () => server.restart(), leafs: () => leafsOf(server) };
  return { hub, reader, urls: [server.leafUrl] };
};

const startCluster: StartHub = async (scope, dir, { binary }, create) => {
  const cluster = await startNatsCluster(scope, { dir, ...(binary !== undefined && { binary }) });
  const { servers, client } = cluster;
  await waitFor('the stream to be made', () => create(client).then(() => true), { timeoutMs: RECONNECT_TIMEOUT_MS });
  await cluster.untilWell(STREAM);
  const hub = {
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
    restart: async () => {
      await Promise.all(servers.map((server) => server.restart()));
      await cluster.untilWell(STREAM);
    },
    leafs: async () => (await Promise.all(servers.map(leafsOf))).reduce((sum, count) => sum + count, 0),
  };
  return { hub, reader: client, urls: cluster.leafUrls };
};

/** Waits until the box's link is up, as the hub sees it. */
export async function waitForLink(hub: PlantHub): Promise<void> {
  await waitFor('the leaf link', async () => (await hub.leafs()) === 1, { timeoutMs: RECONNECT_TIMEOUT_MS });
}

/** The box as a broker: the hub is down while it takes the load, and then gets everything. */
export function boxContender(binary?: string): Contender {
  return {
    name: 'petiole',
    receipt: 'fsynced',
    share: 1,
    async start(scope, dir) {
      const options = { procedure: 'read-back', hub: 'default sync' } as const;
      const plant = await startPlant(scope, dir, { ...options, ...(binary !== undefined && { binary }) });
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
export async function drain(plant: Plant, acked: Record<string, Ranges>): Promise<Collection> {
  const rate = await drainRate(plant, acked);
  return { report: await auditDrained(plant, acked), rate };
}

/** Messages/s from the first to the last message at the hub. */
export async function drainRate({ reader }: Plant, acked: Record<string, Ranges>): Promise<number> {
  const expected = Object.values(acked).reduce((sum, ranges) => sum + countRanges(ranges), 0);
  const options = { timeoutMs: RECONNECT_TIMEOUT_MS, intervalMs: 5 };
  const first = await waitFor('the first message at the hub', () => heldBy(reader), options);
  const firstAtMs = performance.now();
  await waitForStream(reader, STREAM, expected, { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 10 });
  return (expected - first) / ((performance.now() - firstAtMs) / 1000);
}

/** Judges all that is at the hub once nothing comes any more. */
export async function auditDrained({ reader }: Plant, acked: Record<string, Ranges>): Promise<AuditReport> {
  await settle(() => heldBy(reader));
  return auditStream(reader, STREAM, acked);
}

const heldBy = async (reader: NatsConnection) => (await streamState(reader, STREAM)).messages;

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
