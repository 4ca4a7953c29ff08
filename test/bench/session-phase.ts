import { once } from 'node:events';
import { DISCONNECT, publishPacket } from '../support/mqtt-packets.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Broker } from './brokers.ts';
import { openClient, publishAll } from './mqtt-clients.ts';
import { readUsage } from './process-meter.ts';

const TIMEOUT_MS = 180_000;
const PAYLOAD = Buffer.alloc(128, 'x');
const OPENING_MAX = 100;

export interface SessionsResult {
  startMs: number;
  /** After the start, and while the queues were filled before it. */
  residentMiB: number;
  filledMiB: number;
  /** From the CONNECT of one client until it has its queue. */
  queueMs: number;
}

/** Absent clients with persistent sessions and a queue each: how long the broker takes to start with them. */
export async function sessions(dir: string, broker: Broker, count: number, queued: number): Promise<SessionsResult> {
  await using life = new Lifetime();
  const running = await broker.start(life, tempDir(life, 'sessions', dir));
  let next = 0;
  const open = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      const socket = await openClient(running.port, `session-${n}`, `s/${n}`, 1, false);
      socket.end(DISCONNECT);
      await once(socket, 'close');
    }
  };
  await Promise.all(Array.from({ length: OPENING_MAX }, open));

  const publisher = await openClient(running.port, 'publisher');
  const packet = (n: number, id: number) => publishPacket({ topic: `s/${n % count}`, payload: PAYLOAD, id });
  await publishAll(publisher, count * queued, packet, { ahead: 500, timeoutMs: TIMEOUT_MS });
  publisher.destroy();
  const filledMiB = readUsage(running.pid()).residentMiB;
  const startMs = await running.restart();
  const { residentMiB } = readUsage(running.pid());

  const startedAt = performance.now();
  const client = await openClient(running.port, `session-${count - 1}`, '', 0, false);
  let bytes = 0;
  client.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const wanted = queued * publishPacket({ topic: `s/${count - 1}`, payload: PAYLOAD, id: 1 }).length;
  await waitFor('the queue', () => bytes >= wanted, { timeoutMs: TIMEOUT_MS, intervalMs: 1 });
  const queueMs = performance.now() - startedAt;
  client.destroy();
  return { startMs, residentMiB, filledMiB, queueMs };
}
