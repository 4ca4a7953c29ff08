import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { DISCONNECT, PINGREQ, publishPacket } from '../support/mqtt-packets.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Broker } from './brokers.ts';
import { openClient, openClients, PacketCounter, publishAll } from './mqtt-clients.ts';
import { readUsage } from './process-meter.ts';

const TIMEOUT_MS = 180_000;
const PAYLOAD = Buffer.alloc(128, 'x');
/** Messages that are on their way to all subscribers at the same time; within mosquitto's 20 in flight. */
const WINDOW = 20;

export interface FanOutResult {
  deliveriesPerS: number;
  cpuSPer100k: number;
}

/** One publisher, many subscribers: as fast as all of them have got what was sent. */
export async function fanOut(
  dir: string,
  broker: Broker,
  shape: { subscribers: number; messages: number; qos: 0 | 1 },
): Promise<FanOutResult> {
  await using life = new Lifetime();
  const { subscribers, messages, qos } = shape;
  const running = await broker.start(life, tempDir(life, 'fan-out', dir));
  const topic = 'fan/out';
  const packetBytes = publishPacket({ topic, payload: PAYLOAD, ...(qos === 1 && { id: 1 }) }).length;
  const identifierAt = qos === 1 ? packetBytes - PAYLOAD.length - 2 : -1;
  const sockets = await openClients(running.port, subscribers, topic, qos);
  const publisher = await openClient(running.port, 'publisher');
  publisher.resume();
  const total = messages * subscribers;
  let delivered = 0;
  let sent = 0;
  const more = (): void => {
    const parts: Buffer[] = [];
    while (sent < messages && sent * subscribers - delivered < WINDOW * subscribers) {
      sent++;
      parts.push(publishPacket({ topic, payload: PAYLOAD, ...(qos === 1 && { id: (sent % 65_535) + 1 }) }));
    }
    if (parts.length > 0) publisher.write(Buffer.concat(parts));
  };
  for (const socket of sockets) {
    const counter = new PacketCounter(packetBytes, identifierAt);
    socket.on('data', (chunk: Buffer) => {
      delivered += counter.read(socket, chunk);
      if (sent < messages) more();
    });
  }
  const before = readUsage(running.pid());
  const startedAt = performance.now();
  more();
  await waitFor('all deliveries', () => delivered >= total, { timeoutMs: TIMEOUT_MS, intervalMs: 5 });
  const elapsedS = (performance.now() - startedAt) / 1000;
  const { cpuS } = readUsage(running.pid());
  for (const socket of [...sockets, publisher]) socket.destroy();
  return { deliveriesPerS: total / elapsedS, cpuSPer100k: ((cpuS - before.cpuS) / total) * 100_000 };
}

export interface ConnectionsResult {
  connectsPerS: number;
  kibEach: number;
}

/** Connections that only hold on. */
export async function connections(dir: string, broker: Broker, count: number): Promise<ConnectionsResult> {
  await using life = new Lifetime();
  const running = await broker.start(life, tempDir(life, 'connections', dir));
  // The paths of a connection are compiled, and what they need once is there.
  for (const socket of await openClients(running.port, Math.min(200, count))) socket.end(DISCONNECT);
  await sleep(1_500);
  const before = readUsage(running.pid()).residentMiB;
  const startedAt = performance.now();
  const sockets = await openClients(running.port, count);
  const elapsedS = (performance.now() - startedAt) / 1000;
  await sleep(3_000);
  const after = readUsage(running.pid()).residentMiB;
  for (const socket of sockets) socket.destroy();
  return { connectsPerS: count / elapsedS, kibEach: ((after - before) * 1024) / count };
}

export interface RetainedResult {
  /** NaN where the broker is not restarted. */
  startMs: number;
  streamMs: number;
  /** Longest answer to the PINGREQ of another client meanwhile. */
  stallMs: number;
  residentMiB: number;
}

/** Many retained messages: a restart, then a subscription to all of them while another client pings. */
export async function retained(dir: string, broker: Broker, count: number): Promise<RetainedResult> {
  await using life = new Lifetime();
  const running = await broker.start(life, tempDir(life, 'retained', dir));
  const publisher = await openClient(running.port, 'publisher');
  const packet = (n: number, id: number) =>
    publishPacket({ topic: `plant/line${n % 100}/sensor${n}`, payload: PAYLOAD, id, flags: 0x01 });
  await publishAll(publisher, count, packet, { ahead: 1_000, timeoutMs: TIMEOUT_MS });
  publisher.destroy();
  const startMs = await running.restart();

  const pinger = await openClient(running.port, 'pinger');
  const stalls = createHistogram();
  let sentAt = 0;
  pinger.on('data', () => {
    stalls.record(Math.max(1, Math.round((performance.now() - sentAt) * 1_000)));
    sentAt = 0;
  });
  const ping = setInterval(() => {
    if (sentAt !== 0) return;
    sentAt = performance.now();
    pinger.write(PINGREQ);
  }, 2);
  await sleep(500);
  const warmMax = stalls.max;
  stalls.reset();
  const wildcard = await openClient(running.port, 'wildcard');
  const startedAt = performance.now();
  let bytes = 0;
  const wanted = Array.from({ length: count }, (_, i) => `plant/line${i % 100}/sensor${i}`).reduce(
    (sum, topic) => sum + publishPacket({ topic, payload: PAYLOAD, flags: 0x01 }).length,
    0,
  );
  wildcard.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  wildcard.write(Buffer.from([0x82, 12, 0, 1, 0, 7, ...Buffer.from('plant/#'), 0]));
  // The SUBACK has five bytes.
  await waitFor('the retained messages', () => bytes >= wanted + 5, { timeoutMs: TIMEOUT_MS, intervalMs: 2 });
  const streamMs = performance.now() - startedAt;
  clearInterval(ping);
  const residentMiB = readUsage(running.pid()).residentMiB;
  wildcard.destroy();
  pinger.destroy();
  if (warmMax > 1_000_000) console.error(`bench: the machine itself stalled for ${warmMax / 1000} ms`);
  return { startMs, streamMs, stallMs: stalls.max / 1000, residentMiB };
}
