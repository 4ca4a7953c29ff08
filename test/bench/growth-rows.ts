import { setTimeout as sleep } from 'node:timers/promises';
import { type Box, type BoxConfig, startBox } from '../support/box.ts';
import { message, openJournal, produce } from '../support/journal.ts';
import { startLoad } from '../support/mqtt-load.ts';
import { subscribePacket } from '../support/mqtt-packets.ts';
import { Lifetime, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { LIMITS } from './brokers.ts';
import { openClient } from './mqtt-clients.ts';
import { readUsage } from './process-meter.ts';
import { BOX, type Run } from './run.ts';

/**
 * What one message costs the box as the rest grows: connections, subscriptions, queued records. The rate is the same at
 * every point, so that what is shared by a commit is shared by as many.
 */

const PER_S = 5_000;
const MEASURED_MS = 10_000;
const TIMEOUT_MS = 300_000;
const CONNECTIONS = 50;
const FILTERS_OF_A_CLIENT = 1_000;
const MQTT = { ...LIMITS, subscriptions_max: 10_000 };
const LANES = [{ name: 'bench', subjects: ['bench.>'], max_bytes: '64GiB' }];
/** What still counts as flat: two points of one round differ by as much. */
const FLAT_MAX = 1.2;
/** Width of the plot. */
const BAR = 40;

interface Growth {
  readonly phase: string;
  readonly what: string;
  readonly points: readonly number[];
  /** Brings a box to that size; how many connections the load then has. */
  readonly make: (scope: Scope, run: Run, size: number) => Promise<{ box: Box; connections: number }>;
}

const growths: readonly Growth[] = [
  {
    phase: 'growth-clients',
    what: 'connections, which share the messages',
    points: [10, 100, 1_000, 10_000],
    make: async (scope, run, connections) => ({ box: await plainBox(scope, run), connections }),
  },
  {
    phase: 'growth-subscriptions',
    what: 'subscriptions of others',
    points: [10, 1_000, 10_000, 100_000],
    make: async (scope, run, size) => {
      const box = await plainBox(scope, run);
      for (let n = 0; n < size; n += FILTERS_OF_A_CLIENT) {
        const count = Math.min(FILTERS_OF_A_CLIENT, size - n);
        const filters = Array.from({ length: count }, (_, i) => [`plant/+/sensor${n + i}/#`, 1] as const);
        const client = await openClient(box.mqttPort, `subscriber-${n}`);
        const granted = new Promise((resolve) => client.once('data', resolve));
        client.write(subscribePacket(4, 1, filters));
        await granted;
      }
      return { box, connections: CONNECTIONS };
    },
  },
  {
    phase: 'growth-queued',
    what: 'records that wait for the hub',
    points: [0, 100_000, 1_000_000, 10_000_000],
    make: async (scope, run, size) => {
      const dataDir = tempDir(scope, 'growth', run.ground.dir);
      await queued(dataDir, size);
      return { box: await plainBox(scope, run, dataDir), connections: CONNECTIONS };
    },
  },
];

function plainBox(scope: Scope, run: Run, dataDir = tempDir(scope, 'growth', run.ground.dir)): Promise<Box> {
  const config: BoxConfig = { mqtt: MQTT, lanes: LANES, upstream: { urls: ['nats-leaf://127.0.0.1:1'] } };
  return startBox(scope, { config, dataDir });
}

/** Written by the store's own code, in the lane of the box. */
async function queued(folder: string, records: number): Promise<void> {
  if (records === 0) return;
  await using life = new Lifetime();
  const journal = await openJournal(life, {
    folder,
    lanes: [{ name: 'bench', subjects: ['bench.>'], bytesMax: 2 ** 36 }],
  });
  const payload = Buffer.alloc(128, '.');
  // In parts: the helper keeps every receipt.
  for (let done = 0; done < records; ) {
    const count = Math.min(500_000, records - done);
    const { refused } = await produce(journal, 0, count, () => message('bench.x', payload), { ahead: 5_000 });
    if (refused[0]) throw refused[0].error;
    done += count;
  }
  await journal.stop();
}

async function costOf(run: Run, { make }: Growth, size: number): Promise<number> {
  await using life = new Lifetime();
  const { box, connections } = await make(life, run, size);
  const load = startLoad(life, {
    port: box.mqttPort,
    connections,
    messages: PER_S * 600,
    messagesPerSecond: PER_S,
    window: 20,
    timeoutMs: TIMEOUT_MS,
  });
  const isSteady = () =>
    load.progress.connected === connections && load.progress.acked >= PER_S * 3 * Math.min(1, run.scale * 10);
  await waitFor('a steady load', isSteady, { timeoutMs: TIMEOUT_MS });
  const before = { acked: load.progress.acked, cpuS: readUsage(box.pid).cpuS };
  await sleep(run.isQuick ? 500 : MEASURED_MS);
  const messages = load.progress.acked - before.acked;
  const cpuS = readUsage(box.pid).cpuS - before.cpuS;
  await load.stop();
  return (cpuS / messages) * 1e6;
}

export async function growthRows(run: Run): Promise<void> {
  for (const growth of growths) {
    if (!run.wanted(growth.phase)) continue;
    const section = `${growth.phase}: ${PER_S} messages/s, CPU of the box as there are more ${growth.what}`;
    const points = run.isQuick ? growth.points.slice(0, 2) : growth.points;
    const costs: number[] = [];
    for (const size of points) {
      await run.attempt(`${growth.phase} ${size}`, async () => {
        const cost = await costOf(run, growth, size);
        costs.push(cost);
        run.sheet.set(section, `${size.toLocaleString('en-US')}: µs per message`, BOX, cost, { digits: 1 });
      });
    }
    const [first, last] = [costs[0], costs.at(-1)];
    if (first !== undefined && last !== undefined && costs.length === points.length) {
      run.sheet.set(section, 'ratio: last to first', BOX, last / first, { digits: 2, atMost: FLAT_MAX });
    }
    const most = Math.max(...costs);
    console.log(`${growth.phase}, µs of CPU per message`);
    for (const [at, cost] of costs.entries()) {
      const bar = '█'.repeat(Math.round((cost / most) * BAR));
      console.log(`${(points[at] ?? 0).toLocaleString('en-US').padStart(12)} ${bar} ${cost.toFixed(1)}`);
    }
  }
}
