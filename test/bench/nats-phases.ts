import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Sublist } from '../../src/core/sublist.ts';
import { startBox } from '../support/box.ts';
import { startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { readUsage } from './process-meter.ts';

/** A local broker for NATS clients. */
export interface NatsBroker {
  readonly port: number;
  readonly pid: number;
}

/** All is live: the one lane takes nothing that is sent here. */
export async function startBoxBroker(scope: Scope): Promise<NatsBroker> {
  const box = await startBox(scope, { config: { lanes: [{ name: 'kept', subjects: ['kept.>'] }] } });
  return { port: box.natsPort, pid: box.pid };
}

export async function startServerBroker(scope: Scope, binary?: string): Promise<NatsBroker> {
  const server = await startNatsServer(scope, binary === undefined ? {} : { binary });
  return { port: server.clientPort, pid: server.pid };
}

type Role = 'subscribe' | 'publish' | 'request' | 'interest';

/** A client in a process of its own; `next` resolves with the next line that it says. */
class Load {
  readonly #lines: AsyncIterator<string>;
  readonly kill: () => void;

  constructor(role: Role, { port }: NatsBroker, count: number, connections = 1) {
    const file = join(import.meta.dirname, 'nats-load-process.ts');
    const child = spawn(process.execPath, [file, role, String(port), String(count), String(connections)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.kill = () => child.kill('SIGKILL');
  }

  async next<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('a client of the load was cut off');
    return JSON.parse(value) as T;
  }
}

/** Deliveries per second and CPU seconds of the broker for 100,000 of them: one publisher, `connections` subscribers. */
export async function fanOut(
  broker: NatsBroker,
  messages: number,
  connections: number,
): Promise<{ rate: number; cpuSPer100k: number }> {
  const subscribers = new Load('subscribe', broker, messages, connections);
  await subscribers.next();
  const before = readUsage(broker.pid);
  const publisher = new Load('publish', broker, messages);
  const { atMs: firstMs } = await publisher.next<{ atMs: number }>();
  const { atMs: lastMs } = await subscribers.next<{ atMs: number }>();
  const deliveries = messages * connections;
  const cpuS = readUsage(broker.pid).cpuS - before.cpuS;
  return { rate: (deliveries * 1_000) / (lastMs - firstMs), cpuSPer100k: (cpuS * 100_000) / deliveries };
}

/** Microseconds from a request to its answer, one at a time. */
export async function requests(broker: NatsBroker, count: number): Promise<{ p50: number; p99: number }> {
  return new Load('request', broker, count).next();
}

/** Bytes of resident memory for each of `count` subscriptions of ten clients. */
export async function bytesPerSubscription(broker: NatsBroker, count: number): Promise<number> {
  const clients = new Load('interest', broker, count, 10);
  const before = readUsage(broker.pid).residentMiB;
  try {
    await clients.next();
    return ((readUsage(broker.pid).residentMiB - before) * 1024 * 1024) / count;
  } finally {
    clients.kill();
  }
}

/** Microseconds of one match among `count` subscriptions, over subjects that have been matched before. */
export function matching(count: number): { p50: number; p99: number } {
  const list = new Sublist<{ filter: string; queue: string }>();
  for (let i = 0; i < count; i++) list.insert({ filter: `plant.line${i % 10}.sensor${(i / 10) | 0}.*`, queue: '' });
  const subjects = Array.from({ length: 1_000 }, (_, i) => `plant.line${i % 10}.sensor${i}.temperature`);
  for (const subject of subjects) list.match(subject);
  const times: number[] = [];
  for (let round = 0; round < 100; round++) {
    for (const subject of subjects) {
      const since = process.hrtime.bigint();
      list.match(subject);
      times.push(Number(process.hrtime.bigint() - since) / 1_000);
    }
  }
  times.sort((a, b) => a - b);
  return { p50: times[times.length >> 1] ?? 0, p99: times[Math.floor(times.length * 0.99)] ?? 0 };
}
