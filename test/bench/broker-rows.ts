import { brokers } from './brokers.ts';
import { connections, fanOut, retained } from './mqtt-phases.ts';
import type { Run } from './run.ts';
import { sessions } from './session-phase.ts';

/** Deliveries of live messages, beside mosquitto and aedes. */
async function fanOutRow(run: Run, qos: 0 | 1, subscribers: number, messages: number): Promise<void> {
  const { sheet, ground, scale, withBox, withPeers, attempt } = run;
  const count = Math.max(20, Math.round(messages * scale));
  const section = `fan-out-${qos}: 1 publisher, ${subscribers} subscribers, QoS ${qos}, 128 bytes, ${count} messages`;
  for (const broker of brokers(withBox, withPeers)) {
    await attempt(`fan-out-${qos} ${broker.name}`, async () => {
      const result = await fanOut(ground.dir, broker, { subscribers, messages: count, qos });
      sheet.set(section, 'deliveries/s', broker.name, result.deliveriesPerS);
      sheet.set(section, 'CPU s per 100,000', broker.name, result.cpuSPer100k, { digits: 2 });
    });
  }
}

async function connectionsRow({ sheet, ground, isQuick, withBox, withPeers, attempt }: Run): Promise<void> {
  const count = isQuick ? 200 : 5_000;
  const section = `connections: ${count} idle ones, 100 handshakes at a time`;
  for (const broker of brokers(withBox, withPeers)) {
    await attempt(`connections ${broker.name}`, async () => {
      const result = await connections(ground.dir, broker, count);
      sheet.set(section, 'connects/s', broker.name, result.connectsPerS, { atLeast: 1_000 });
      sheet.set(section, 'memory of each, KiB', broker.name, result.kibEach, { digits: 1, atMost: 12 });
    });
  }
}

async function retainedRow({ sheet, ground, isQuick, withBox, withPeers, attempt }: Run): Promise<void> {
  const count = isQuick ? 2_000 : 100_000;
  const section = `retained: ${count} messages of 128 bytes, one subscriber to all`;
  for (const broker of brokers(withBox, withPeers)) {
    await attempt(`retained ${broker.name}`, async () => {
      const result = await retained(ground.dir, broker, count);
      sheet.set(section, 'start-up, ms', broker.name, result.startMs, { atMost: 3_000 });
      sheet.set(section, 'until all have come, ms', broker.name, result.streamMs);
      sheet.set(section, 'longest wait of another client, ms', broker.name, result.stallMs, { digits: 1, atMost: 50 });
      sheet.set(section, 'memory, MiB', broker.name, result.residentMiB, { digits: 1 });
    });
  }
}

/** The peers' sessions are in memory, or written now and then: there is nothing to compare. */
async function sessionsRow({ sheet, ground, isQuick, attempt }: Run): Promise<void> {
  const count = isQuick ? 500 : 10_000;
  const section = `sessions: ${count} absent clients, each with 10 queued messages of 128 bytes`;
  for (const broker of brokers(true, false)) {
    await attempt(`sessions ${broker.name}`, async () => {
      const result = await sessions(ground.dir, broker, count, 10);
      sheet.set(section, 'start-up, ms', broker.name, result.startMs, { atMost: 5_000 });
      sheet.set(section, 'until one of them has its queue, ms', broker.name, result.queueMs, { digits: 1 });
      sheet.set(section, 'memory while the queues fill, MiB', broker.name, result.filledMiB, { digits: 1 });
      sheet.set(section, 'memory after the start, MiB', broker.name, result.residentMiB, { digits: 1 });
    });
  }
}

/** The broker alone: deliveries, idle connections, what is retained, sessions. */
export async function brokerRows(run: Run): Promise<void> {
  if (run.wanted('fan-out-0')) await fanOutRow(run, 0, 500, 2_000);
  if (run.wanted('fan-out-1')) await fanOutRow(run, 1, 100, 5_000);
  if (run.wanted('connections')) await connectionsRow(run);
  if (run.wanted('retained')) await retainedRow(run);
  if (run.wanted('sessions') && run.withBox) await sessionsRow(run);
}
