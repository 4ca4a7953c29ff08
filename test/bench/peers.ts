import { join } from 'node:path';
import mqtt from 'mqtt';
import { Child } from '../support/child.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { startNatsServer } from '../support/nats-server.ts';
import type { NewerMosquitto } from '../support/newer-mosquitto.ts';
import { freePort } from '../support/ports.ts';
import { countRanges, type Ranges } from '../support/ranges.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { StreamAudit } from '../support/stream-audit.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Collection, Contender } from './contender.ts';

const QUEUE_CLIENT = { clientId: 'queue', clean: false, reconnectPeriod: 0, keepalive: 0 } as const;
/** After the last message, to see what comes twice. */
const SILENCE_MS = 500;
/** A queue that gives nothing for this long has nothing more. */
const STALL_MS = 10_000;

export function natsServerPeer(binary: string, version: string, syncAlways: boolean): Contender {
  return {
    name: syncAlways ? 'nats sync always' : 'nats-server',
    receipt: syncAlways
      ? `fsynced (nats-server ${version})`
      : `in the page cache, fsync within 2 minutes (nats-server ${version})`,
    share: syncAlways ? 0.1 : 1,
    async start(scope, dir) {
      const server = await startNatsServer(scope, { binary, dir, mqtt: true, jetstream: { syncAlways } });
      await openQueue(server.mqttPort);
      return { mqttPort: server.mqttPort, pid: server.pid, collect: (acked) => drainQueue(server.mqttPort, acked) };
    },
  };
}

export function mosquittoPeer(version: string): Contender {
  return {
    name: 'mosquitto',
    receipt: `in memory, saved every 30 minutes (mosquitto ${version}, persistence on)`,
    share: 1,
    async start(scope, dir) {
      const broker = await startMosquitto(scope, {
        persistence: true,
        persistenceDir: dir,
        extra: 'max_queued_messages 0',
      });
      await openQueue(broker.port);
      return { mqttPort: broker.port, pid: broker.pid, collect: (acked) => drainQueue(broker.port, acked) };
    },
  };
}

/** Its messages go to the file some time later: the plugin commits by itself every few seconds. */
export function mosquittoSqlitePeer({ command, version, sqlite }: NewerMosquitto): Contender {
  return {
    name: 'mosquitto sqlite',
    receipt: `in memory, in SQLite some seconds later (mosquitto ${version} with its plugin)`,
    share: 0.5,
    connections: 50,
    async start(scope, dir) {
      const extra = `global_plugin ${sqlite}\nmax_queued_messages 0`;
      const broker = await startMosquitto(scope, { persistenceDir: dir, extra, command });
      await openQueue(broker.port);
      return { mqttPort: broker.port, pid: broker.pid, collect: (acked) => drainQueue(broker.port, acked) };
    },
  };
}

export const aedesPeer: Contender = {
  name: 'aedes',
  receipt: 'in memory, lost with the process (aedes as its README has it)',
  share: 1,
  async start(scope) {
    const { port, pid } = await startAedes(scope);
    await openQueue(port);
    return { mqttPort: port, pid, collect: (acked) => drainQueue(port, acked) };
  },
};

/** In a process of its own. */
export async function startAedes(scope: Scope): Promise<{ port: number; pid: number }> {
  const port = await freePort();
  const child = new Child(process.execPath, [join(import.meta.dirname, 'aedes-process.ts'), String(port)]);
  atEnd(scope, async () => {
    await child.kill();
  });
  await child.line('running', (line) => line === 'running', 10_000);
  return { port, pid: child.pid };
}

/** A subscriber that goes away at once: without one these brokers would have nothing to keep. */
async function openQueue(port: number): Promise<void> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, QUEUE_CLIENT);
  await client.subscribeAsync('bench/#', { qos: 1 });
  await client.endAsync();
}

async function drainQueue(port: number, acked: Record<string, Ranges>): Promise<Collection> {
  const expected = Object.values(acked).reduce((sum, ranges) => sum + countRanges(ranges), 0);
  const audit = new StreamAudit('number');
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, QUEUE_CLIENT);
  let firstAtMs = 0;
  let lastAtMs = performance.now();
  client.on('message', (_topic, payload) => {
    lastAtMs = performance.now();
    if (firstAtMs === 0) firstAtMs = lastAtMs;
    audit.add(payload, '');
  });
  const quiet = () => {
    const silenceMs = performance.now() - lastAtMs;
    return silenceMs > STALL_MS || (audit.messages >= expected && silenceMs > SILENCE_MS);
  };
  await waitFor('the queue to be empty', quiet, { timeoutMs: 300_000, intervalMs: 50 });
  await client.endAsync();
  return { report: audit.report(acked), rate: audit.messages / Math.max(0.001, (lastAtMs - firstAtMs) / 1000) };
}
