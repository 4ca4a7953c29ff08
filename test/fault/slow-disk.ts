import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import { startBox } from '../support/box.ts';
import { RuledDisk } from '../support/ruled-disk.ts';
import { atEnd, type Scope } from '../support/scope.ts';

const PUBLISHERS = 20;
/** Of each publisher, at once. */
const AHEAD = 20;
/** Between two samples, so that they spread over many fsyncs. */
const PAUSE_MS = 50;

export interface SlowDiskResult {
  /** Round trips in ascending order. */
  pingsMs: number[];
  livesMs: number[];
  /** QoS 1 messages with their receipt, and the commits that kept them. */
  acknowledged: number;
  commits: number;
}

/** Times PINGRESPs and live messages of a box whose disk takes `syncMs` for each fsync, under QoS 1 load. */
export async function onSlowDisk(
  scope: Scope,
  dir: string,
  { syncMs, samples }: { syncMs: number; samples: number },
): Promise<SlowDiskResult> {
  const root = join(dir, 'root');
  mkdirSync(root);
  const disk = new RuledDisk(scope, root, dir);
  const config = { lanes: [{ name: 'd', subjects: ['d.>'] }] };
  const box = await startBox(scope, { dataDir: join(root, 'data'), env: disk.env, config });
  const connect = async (clientId: string): Promise<MqttClient> => {
    const client = await mqtt.connectAsync(box.mqttUrl, { clientId, reconnectPeriod: 0 });
    atEnd(scope, () => void client.end(true));
    return client;
  };
  const live = await connect('live');
  await live.subscribeAsync('live');
  const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, (_, i) => connect(`p${i}`)));

  disk.rule('syncMs', syncMs);
  let acknowledged = 0;
  let isOver = false;
  const { commits } = (await box.status()).store;
  const flood = publishers.map(async (client) => {
    while (!isOver) {
      await Promise.all(Array.from({ length: AHEAD }, () => client.publishAsync('d/x', 'x'.repeat(100), { qos: 1 })));
      acknowledged += AHEAD;
    }
  });
  const pingsMs: number[] = [];
  const livesMs: number[] = [];
  for (let i = 0; i < samples; i++) {
    pingsMs.push(await timed(() => answered(live, () => live.sendPing())));
    livesMs.push(
      await timed(async () => {
        const arrived = new Promise((resolve) => live.once('message', resolve));
        await live.publishAsync('live', `${i}`);
        await arrived;
      }),
    );
    await sleep(PAUSE_MS);
  }
  isOver = true;
  await Promise.all(flood);
  disk.rule('syncMs', 0);
  const made = (await box.status()).store.commits - commits;
  for (const times of [pingsMs, livesMs]) times.sort((a, b) => a - b);
  return { pingsMs, livesMs, acknowledged, commits: made };
}

/** Resolves with the PINGRESP. */
function answered(client: MqttClient, ping: () => void): Promise<void> {
  return new Promise((resolve) => {
    const look = ({ cmd }: { cmd?: string }) => {
      if (cmd !== 'pingresp') return;
      client.off('packetreceive', look);
      resolve();
    };
    client.on('packetreceive', look);
    ping();
  });
}

async function timed(work: () => Promise<void>): Promise<number> {
  const atMs = performance.now();
  await work();
  return performance.now() - atMs;
}

export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}
