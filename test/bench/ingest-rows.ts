import type { Contender } from './contender.ts';
import { endToEnd, ingest, lone } from './phases.ts';
import { BOX, type Run } from './run.ts';
import { saver } from './saver-phase.ts';
import type { RowOptions } from './sheet.ts';
import { INGEST_SECONDS, isComparedIn } from './table.ts';

interface IngestPhase {
  phase: string;
  connections: number;
  messages: number;
  window: number;
}

const ingestPhases: IngestPhase[] = [
  { phase: 'ingest-1', connections: 1, messages: 100_000, window: 1000 },
  { phase: 'ingest-50', connections: 50, messages: 200_000, window: 100 },
  { phase: 'ingest-500', connections: 500, messages: 200_000, window: 20 },
];

async function ingestRow(run: Run, contenders: readonly Contender[], shape: IngestPhase): Promise<void> {
  const { phase, connections, messages, window } = shape;
  const { sheet, ground, scale, isTable, isQuick, round, attempt, judge } = run;
  const count = Math.round(messages * scale);
  const seconds = isTable && !isQuick ? INGEST_SECONDS : undefined;
  const much = seconds === undefined ? `${count} messages` : `${seconds} s`;
  const section = `${phase}: QoS 1, 128 bytes, ${connections} connections, ${window} in flight each, ${much}`;
  const main = connections === 50;
  for (const contender of contenders) {
    const { name } = contender;
    if (contender.connections !== undefined && contender.connections !== connections) continue;
    if (isTable && !isComparedIn(phase, name)) continue;
    await attempt(`${phase} ${name}`, async () => {
      const result = await ingest(ground, contender, {
        connections,
        messages: count,
        window,
        syncMessages: 20_000 * scale,
        seconds,
        isJudged: !isTable || (round === 0 && main && name === BOX),
      });
      const set = (label: string, value: number, row?: RowOptions) => sheet.set(section, label, name, value, row);
      set('messages', result.load.acked);
      set('messages/s', result.load.rate, main ? { atLeast: 40_000 } : {});
      set('PUBACK p50, ms', result.load.latencyMs.p50, { digits: 2 });
      set('PUBACK p99, ms', result.load.latencyMs.p99, { digits: 2 });
      set('CPU s per 100,000', result.cpuSPer100k, { digits: 2 });
      set('memory idle, MiB', result.idleMiB, { digits: 1, atMost: 65 });
      set('memory peak, MiB', result.peakMiB, { digits: 1, ...(main && { atMost: 100 }) });
      set('bytes written per message', result.bytesPerMessage, main ? { atMost: 450 } : {});
      if (result.judged === null) return;
      set('fsyncs per message', result.judged.syncsPerMessage, { digits: 4 });
      set('emptied at, messages/s', result.judged.collectRate);
      judge(section, name, result.judged.report);
    });
  }
}

async function loneRow({ sheet, ground, isQuick, attempt }: Run, contenders: readonly Contender[]): Promise<void> {
  const messages = isQuick ? 20 : 200;
  const section = `lone: 1 connection, one message at a time, 50 messages/s, ${messages} messages`;
  for (const contender of contenders) {
    await attempt(`lone ${contender.name}`, async () => {
      const bytes = await lone(ground, contender, messages);
      sheet.set(section, 'bytes written per message', contender.name, bytes, { atMost: 10_240 });
    });
  }
}

async function saverRow({ sheet, ground, isQuick, attempt, judge }: Run): Promise<void> {
  const messages = isQuick ? 100 : 5_000;
  const section = `saver: 1 connection, one message at a time, 50 messages/s, a hub that answers, ${messages} messages`;
  for (const isSaving of [true, false]) {
    const flush = isSaving ? 'saver' : 'always';
    await attempt(`saver (${flush})`, async () => {
      const result = await saver(ground, isSaving, isSaving ? messages : Math.min(messages, 500));
      const set = (label: string, value: number, row: RowOptions = {}) =>
        sheet.set(section, `flush ${flush}: ${label}`, BOX, value, { digits: 2, ...row });
      set('bytes written per message', result.bytesPerMessage, isSaving ? { atMost: 20 } : {});
      set('commits', result.commits, { digits: 0 });
      set('PUBACK p50, ms', result.ackMs.p50);
      set('PUBACK p99, ms', result.ackMs.p99);
      judge(section, BOX, result.report);
    });
  }
}

async function endToEndRow({ sheet, ground, isQuick, judge }: Run): Promise<void> {
  const messages = isQuick ? 500 : 10_000;
  const section = `end-to-end: 50 connections, 500 messages/s, device to a consumer of the hub's stream, ${messages} messages`;
  const result = await endToEnd(ground, messages, 500);
  const set = (label: string, value: number, row: RowOptions = {}) =>
    sheet.set(section, label, BOX, value, { digits: 2, ...row });
  set('p50, ms', result.latencyMs.p50);
  set('p99, ms', result.latencyMs.p99, { atMost: 50 });
  set('max, ms', result.latencyMs.max);
  set('PUBACK p50, ms', result.ackMs.p50);
  set('PUBACK p99, ms', result.ackMs.p99);
  judge(section, BOX, result.report);
}

/** What a durable receipt costs: in a crowd, one by one, and with a hub that answers. */
export async function ingestRows(run: Run, contenders: readonly Contender[]): Promise<void> {
  for (const shape of ingestPhases) if (run.wanted(shape.phase)) await ingestRow(run, contenders, shape);
  if (run.wanted('lone')) await loneRow(run, contenders);
  if (!run.withBox) return;
  if (run.wanted('saver')) await saverRow(run);
  if (run.wanted('end-to-end')) await run.attempt('end-to-end', () => endToEndRow(run));
}
