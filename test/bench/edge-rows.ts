import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream } from '@nats-io/jetstream';
import { auditStream, streamState, waitForStream } from '../support/hub-stream.ts';
import { runLoad, startLoad } from '../support/mqtt-load.ts';
import { clockUs, readPayload } from '../support/payload.ts';
import { Lifetime } from '../support/scope.ts';
import type { AuditReport } from '../support/stream-audit.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { STREAM } from './box-contender.ts';
import type { Edge } from './edges.ts';
import { figuresOf, type Ground, mustBeComplete } from './phases.ts';
import { readUsage } from './process-meter.ts';
import type { RowOptions, Sheet } from './sheet.ts';

const CONNECTIONS = 50;
const TIMEOUT_MS = 300_000;
/** The first messages find the stream, fill caches and let V8 compile. */
const WARM_MESSAGES = 5_000;
const FSYNCS = "PUBACK p99 as a multiple of the fsync's p99";

export interface EdgeRun {
  readonly ground: Ground;
  readonly edges: readonly Edge[];
  readonly scale: number;
  wanted(phase: string): boolean;
  attempt(what: string, work: () => Promise<void>): Promise<void>;
  judge(section: string, name: string, report: AuditReport): void;
}

type Goals = Readonly<Record<string, RowOptions>>;

/** From a device into the hub's stream: as fast as it goes, and at a steady pace. */
export async function edgeRows(sheet: Sheet, run: EdgeRun): Promise<void> {
  const saturation = Math.round(400_000 * run.scale);
  if (run.wanted('edge-full')) {
    const section = `edge-full: ${CONNECTIONS} connections as fast as they go, device to the hub's stream, ${saturation} messages`;
    for (const edge of run.edges)
      await run.attempt(`edge-full ${edge.name}`, () => full(sheet, run, section, edge, saturation));
  }
  const paces: { phase: string; perS: number; seconds: number; goals: Goals }[] = [
    { phase: 'edge-500', perS: 500, seconds: 10, goals: { 'p99, ms': { atMost: 50 } } },
    {
      phase: 'edge-5000',
      perS: 5_000,
      seconds: 10,
      goals: { 'PUBACK p99, ms': { atMost: 10 }, [FSYNCS]: { atMost: 2 } },
    },
  ];
  for (const { phase, perS, seconds, goals } of paces) {
    if (!run.wanted(phase)) continue;
    const messages = Math.max(200, Math.round(perS * seconds * run.scale));
    const section = `${phase}: ${CONNECTIONS} connections, ${perS} messages/s, device to a consumer of the hub's stream, ${messages} messages`;
    for (const edge of run.edges) {
      await run.attempt(`${phase} ${edge.name}`, () => steady(sheet, run, section, edge, { messages, perS, goals }));
    }
  }
}

/** Of the stream's growth: a consumer that reads along would be measured too. */
async function full(sheet: Sheet, run: EdgeRun, section: string, edge: Edge, messages: number): Promise<void> {
  await using life = new Lifetime();
  const { mqttPort: port, pid, reader } = await edge.start(life, tempDir(life, 'edge', run.ground.dir));
  const warm = await runLoad(life, { port, messages: WARM_MESSAGES * run.scale, clientPrefix: 'w', window: 100 });
  await waitForStream(reader, STREAM, warm.acked);
  await sleep(run.ground.idleMs);
  const before = readUsage(pid).cpuS;
  const startedMs = performance.now();
  const load = startLoad(life, { port, connections: CONNECTIONS, messages, window: 100, timeoutMs: TIMEOUT_MS });
  const held = async () => (await streamState(reader, STREAM)).messages >= messages + warm.acked;
  await waitFor('the last message in the stream', held, { timeoutMs: TIMEOUT_MS, intervalMs: 20 });
  const tookS = (performance.now() - startedMs) / 1000;
  const cpuS = readUsage(pid).cpuS - before;
  const { ackedRanges, ...result } = await load.result;
  mustBeComplete(edge.name, { ackedRanges, ...result });
  sheet.set(section, 'messages/s into the stream', edge.name, messages / tookS);
  sheet.set(section, 'CPU s of the edge per 100,000', edge.name, (cpuS * 100_000) / messages, { digits: 2 });
  run.judge(section, edge.name, await auditStream(reader, STREAM, { ...warm.ackedRanges, ...ackedRanges }));
}

async function steady(
  sheet: Sheet,
  run: EdgeRun,
  section: string,
  edge: Edge,
  { messages, perS, goals }: { messages: number; perS: number; goals: Goals },
): Promise<void> {
  await using life = new Lifetime();
  const running = await edge.start(life, tempDir(life, 'edge', run.ground.dir));
  const { mqttPort: port, pid, reader } = running;
  const warm = await runLoad(life, { port, messages: WARM_MESSAGES * run.scale, clientPrefix: 'w', window: 100 });
  await waitForStream(reader, STREAM, warm.acked);
  const latency = createHistogram({ figures: 3 });
  const consumer = await jetstream(reader).consumers.get(STREAM, { deliver_policy: 'new' } as never);
  const reading = await consumer.consume({
    callback: ({ data }) => latency.record(Math.max(1, clockUs() - (readPayload(data)?.sentAtUs ?? 0))),
  });
  await sleep(run.ground.idleMs);
  const before = readUsage(pid);
  const load = await runLoad(life, {
    port,
    connections: CONNECTIONS,
    messages,
    messagesPerSecond: perS,
    timeoutMs: TIMEOUT_MS,
  });
  mustBeComplete(edge.name, load);
  await waitFor('the last message at the reader', () => latency.count >= messages, { timeoutMs: TIMEOUT_MS });
  const after = readUsage(pid);
  const fsyncMs = await running.fsyncP99Ms?.();
  await reading.close();
  const times = figuresOf(latency);
  const set = (label: string, value: number, digits = 2) =>
    sheet.set(section, label, edge.name, value, { digits, ...goals[label] });
  set('p50, ms', times.p50);
  set('p99, ms', times.p99);
  set('PUBACK p50, ms', load.latencyMs.p50);
  set('PUBACK p99, ms', load.latencyMs.p99);
  // A message that comes during one commit waits for that and for its own.
  if (fsyncMs !== undefined) set(FSYNCS, load.latencyMs.p99 / fsyncMs);
  set('CPU s of the edge per 100,000', ((after.cpuS - before.cpuS) * 100_000) / messages);
  set('bytes written per message', (after.writtenBytes - before.writtenBytes) / messages, 0);
  run.judge(section, edge.name, await auditStream(reader, STREAM, { ...warm.ackedRanges, ...load.ackedRanges }));
}
