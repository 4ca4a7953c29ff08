import { join } from 'node:path';
import { createHistogram, type Histogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream } from '@nats-io/jetstream';
import { auditStream } from '../support/hub-stream.ts';
import { type Load, type LoadResult, runLoad, startLoad } from '../support/mqtt-load.ts';
import { clockUs, readPayload } from '../support/payload.ts';
import { binaryFor, type Procedure } from '../support/procedures.ts';
import type { Ranges } from '../support/ranges.ts';
import { Lifetime } from '../support/scope.ts';
import type { AuditReport } from '../support/stream-audit.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { auditDrained, drainRate, type Hubs, STREAM, startPlant, waitForLink } from './box-contender.ts';
import type { Contender } from './contender.ts';
import { readUsage, resetPeak } from './process-meter.ts';
import { countSyncs, type SyncTool } from './sync-counter.ts';

const PER = 100_000;
/** Live messages per second beside a backlog that drains. */
const LIVE_PER_S = 200;
const LOAD_TIMEOUT_MS = 300_000;
/** More than any broker takes while it is under load. */
const MESSAGES_WITHOUT_END = 100_000_000;

/** What all phases share. */
export interface Ground {
  /** On a real disk. */
  dir: string;
  syncTool: SyncTool | null;
  idleMs: number;
  /** For the hub and the peers; undefined: the installed nats-server. */
  natsServer: string | undefined;
}

export interface IngestShape {
  connections: number;
  messages: number;
  window: number;
  /** Messages of the short run that counts fsyncs. */
  syncMessages: number;
  /** Under load for so long, with as many messages as it takes in that time; undefined: `messages`. */
  seconds: number | undefined;
  /** fsyncs are counted and every number is looked up at the far end. */
  isJudged: boolean;
}

export interface IngestResult {
  load: LoadResult;
  cpuSPer100k: number;
  idleMiB: number;
  peakMiB: number;
  bytesPerMessage: number;
  /** Of one that was judged. */
  judged: { syncsPerMessage: number; collectRate: number; report: AuditReport } | null;
}

/** Load, figures of the process while it ran, then every sequence number at the far end. */
export async function ingest(ground: Ground, contender: Contender, shape: IngestShape): Promise<IngestResult> {
  await using life = new Lifetime();
  const dir = tempDir(life, contender.name.replaceAll(' ', '-'), ground.dir);
  const { mqttPort: port, pid, collect } = await contender.start(life, dir);
  const { connections, window, seconds } = shape;
  const asked = Math.max(connections, Math.round(shape.messages * contender.share));
  await sleep(ground.idleMs);
  resetPeak(pid);
  const before = readUsage(pid);
  const started = startLoad(life, {
    port,
    connections,
    messages: seconds === undefined ? asked : MESSAGES_WITHOUT_END,
    window,
    timeoutMs: LOAD_TIMEOUT_MS,
  });
  const load = await (seconds === undefined ? started.result : stopAfter(started, seconds));
  const messages = load.acked;
  // One that was stopped may still have some on their way.
  const isStopped = seconds !== undefined && load.errors.length === 0;
  mustBeComplete(contender.name, { ...load, complete: load.complete || isStopped });
  const after = readUsage(pid);
  const figures = {
    load,
    cpuSPer100k: ((after.cpuS - before.cpuS) / messages) * PER,
    idleMiB: before.residentMiB,
    peakMiB: after.peakMiB,
    bytesPerMessage: (after.writtenBytes - before.writtenBytes) / messages,
  };
  if (!shape.isJudged) return { ...figures, judged: null };

  const acked: Record<string, Ranges> = { ...load.ackedRanges };
  let syncsPerMessage = Number.NaN;
  if (ground.syncTool !== null) {
    const count = Math.max(connections, Math.round(shape.syncMessages * contender.share));
    const syncs = await countSyncs(ground.syncTool, pid, join(dir, 'syncs'), async () => {
      const extra = await runLoad(life, {
        port,
        connections,
        messages: count,
        window,
        clientPrefix: 's',
        timeoutMs: LOAD_TIMEOUT_MS,
      });
      mustBeComplete(contender.name, extra);
      Object.assign(acked, extra.ackedRanges);
    });
    syncsPerMessage = syncs / count;
  }
  const { report, rate } = await collect(acked);
  return { ...figures, judged: { syncsPerMessage, collectRate: rate, report } };
}

/** So long after the first PUBACK; at once where it ends by itself, because it was cut off. */
async function stopAfter(load: Load, seconds: number): Promise<LoadResult> {
  let hasEnded = false;
  const ended = load.result.then(() => {
    hasEnded = true;
  });
  const hasBegun = () => hasEnded || load.progress.acked > 0;
  await waitFor('the load to begin', hasBegun, { timeoutMs: LOAD_TIMEOUT_MS, intervalMs: 10 });
  await Promise.race([sleep(seconds * 1000), ended]);
  return load.stop();
}

/** Bytes written for each message when messages come one by one and no commit can be shared. */
export async function lone(ground: Ground, contender: Contender, messages: number): Promise<number> {
  await using life = new Lifetime();
  const dir = tempDir(life, 'lone', ground.dir);
  const { mqttPort: port, pid } = await contender.start(life, dir);
  await sleep(ground.idleMs);
  const before = readUsage(pid);
  mustBeComplete(contender.name, await runLoad(life, { port, messages, window: 1, messagesPerSecond: 50 }));
  return (readUsage(pid).writtenBytes - before.writtenBytes) / messages;
}

export interface DrainShape {
  procedure: Procedure;
  hub: Hubs;
  messages: number;
  /** Live messages without a backlog are timed for so long, before it is made; default: not at all. */
  aloneMs?: number;
}

export interface DrainResult {
  rate: number;
  cpuSPer100k: number;
  /** Resident memory when the outage began, half way, and with the whole backlog on disk. */
  offlineMiB: { start: number; middle: number; end: number };
  peakMiB: number;
  /** Device to hub of messages that no lane takes, while the backlog drains. */
  liveMs: { p50: number; p99: number; max: number };
  live: { sent: number; arrived: number };
  /** The same before there was a backlog; zeros where that was not asked for. */
  aloneMs: { p50: number; p99: number; max: number };
  report: AuditReport;
}

/** A backlog made offline, then the hub comes back while live messages flow. */
export async function backlog(
  ground: Ground,
  { procedure, hub: kind, messages, aloneMs = 0 }: DrainShape,
): Promise<DrainResult> {
  await using life = new Lifetime();
  const dir = tempDir(life, 'drain', ground.dir);
  const plant = await startPlant(life, dir, { procedure, hub: kind, ...program(ground, procedure, kind) });
  const { box, hub, reader } = plant;
  await waitForLink(hub);
  const live = createHistogram({ figures: 3 });
  reader.subscribe('live.>', {
    callback: (_error, { data }) => live.record(Math.max(1, clockUs() - (readPayload(data)?.sentAtUs ?? 0))),
  });
  await reader.flush();
  const startLive = (clientPrefix: string) =>
    startLoad(life, {
      port: box.mqttPort,
      messages: LIVE_PER_S * 600,
      messagesPerSecond: LIVE_PER_S,
      topic: 'live/%c',
      clientPrefix,
    });
  if (aloneMs > 0) {
    const before = startLive('b');
    await sleep(aloneMs);
    await before.stop();
  }
  const alone = figuresOf(live);
  live.reset();
  await hub.stop();

  await sleep(ground.idleMs);
  const start = readUsage(box.pid).residentMiB;
  resetPeak(box.pid);
  const load = startLoad(life, {
    port: box.mqttPort,
    connections: 50,
    messages,
    window: 100,
    timeoutMs: LOAD_TIMEOUT_MS,
  });
  await waitFor('half of the backlog', () => load.progress.acked >= messages / 2, { timeoutMs: LOAD_TIMEOUT_MS });
  const middle = readUsage(box.pid).residentMiB;
  const { ackedRanges, ...result } = await load.result;
  mustBeComplete('petiole', { ackedRanges, ...result });
  await sleep(ground.idleMs);
  const offline = readUsage(box.pid);

  await hub.restart();
  await waitForLink(hub);
  const liveLoad = startLive('l');
  const rate = await drainRate(plant, ackedRanges);
  const drained = readUsage(box.pid);
  // Before the whole stream is read on the connection that times them.
  const { sent } = await liveLoad.stop();
  await waitFor('the last live messages', () => live.count >= sent, { timeoutMs: 2_000 }).catch(() => {});
  const beside = { liveMs: figuresOf(live), live: { sent, arrived: live.count } };
  const report = await auditDrained(plant, ackedRanges);
  return {
    rate,
    cpuSPer100k: ((drained.cpuS - offline.cpuS) / messages) * PER,
    offlineMiB: { start, middle, end: offline.residentMiB },
    peakMiB: drained.peakMiB,
    ...beside,
    aloneMs: alone,
    report,
  };
}

export interface EndToEndResult {
  latencyMs: { p50: number; p99: number; max: number };
  ackMs: { p50: number; p99: number; max: number };
  report: AuditReport;
}

/** Device to a consumer of the hub's stream, at a steady pace; sender and reader share the kernel's clock. */
export async function endToEnd(ground: Ground, messages: number, messagesPerSecond: number): Promise<EndToEndResult> {
  await using life = new Lifetime();
  const plant = await startPlant(life, tempDir(life, 'end-to-end', ground.dir), {
    procedure: 'read-back',
    hub: 'default sync',
    ...program(ground, 'read-back'),
  });
  await waitForLink(plant.hub);
  await sleep(ground.idleMs);
  const latency = createHistogram({ figures: 3 });
  const consumer = await jetstream(plant.reader).consumers.get(STREAM);
  const reading = await consumer.consume({
    callback: ({ data }) => latency.record(Math.max(1, clockUs() - (readPayload(data)?.sentAtUs ?? 0))),
  });
  const load = await runLoad(life, { port: plant.box.mqttPort, connections: 50, messages, messagesPerSecond });
  mustBeComplete('petiole', load);
  await waitFor('the last message at the reader', () => latency.count >= messages, { timeoutMs: 30_000 });
  await reading.close();
  return {
    latencyMs: figuresOf(latency),
    ackMs: load.latencyMs,
    report: await auditStream(plant.reader, STREAM, load.ackedRanges),
  };
}

/** Of microseconds; zeros where there are none. */
export function figuresOf(times: Histogram): { p50: number; p99: number; max: number } {
  if (times.count === 0) return { p50: 0, p99: 0, max: 0 };
  return { p50: times.percentile(50) / 1000, p99: times.percentile(99) / 1000, max: times.max / 1000 };
}

export function program({ natsServer }: Ground, procedure: Procedure, hub: Hubs = 'default sync'): { binary?: string } {
  if (natsServer !== undefined) return { binary: natsServer };
  // Neither is there on the oldest hub.
  return binaryFor(hub === 'sync always' ? 'atomic' : procedure);
}

export function mustBeComplete(name: string, { complete, refused, errors }: LoadResult): void {
  if (!complete || refused > 0)
    throw new Error(`${name} did not take the load: ${refused} refused; ${errors.join('; ') || 'too slow'}`);
}
