import { setTimeout as sleep } from 'node:timers/promises';
import { auditStream, waitForStream } from '../support/hub-stream.ts';
import { runLoad } from '../support/mqtt-load.ts';
import { Lifetime } from '../support/scope.ts';
import type { AuditReport } from '../support/stream-audit.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { STREAM, startPlant, waitForLink } from './box-contender.ts';
import { type Ground, mustBeComplete, program } from './phases.ts';
import { readUsage } from './process-meter.ts';

const DRAIN_TIMEOUT_MS = 60_000;

export interface SaverResult {
  bytesPerMessage: number;
  commits: number;
  ackMs: { p50: number; p99: number };
  report: AuditReport;
}

/** What a slow sensor costs the card while the hub answers, by `journal.flush`. */
export async function saver(ground: Ground, isSaving: boolean, messages: number): Promise<SaverResult> {
  await using life = new Lifetime();
  const dir = tempDir(life, 'saver', ground.dir);
  const flush = isSaving ? { saver: true } : 'always';
  const { box, hub, reader } = await startPlant(life, dir, {
    procedure: 'read-back',
    hub: 'default sync',
    journal: { flush },
    ...program(ground, 'read-back'),
  });
  await waitForLink(hub);
  // The first ones let the lane find its stream and set numbers aside.
  const warm = await runLoad(life, { port: box.mqttPort, clientPrefix: 'w', messages: 20, messagesPerSecond: 50 });
  await waitFor('the lane to be empty', async () => (await box.status()).lanes[0].depth === 0);
  await sleep(ground.idleMs);
  const before = readUsage(box.pid);
  const { commits } = (await box.status()).store;
  const load = await runLoad(life, {
    port: box.mqttPort,
    messages,
    window: 1,
    messagesPerSecond: 50,
    timeoutMs: 600_000,
  });
  mustBeComplete('petiole', load);
  const written = readUsage(box.pid).writtenBytes - before.writtenBytes;
  const made = (await box.status()).store.commits - commits;
  await waitForStream(reader, STREAM, messages + 20, { timeoutMs: DRAIN_TIMEOUT_MS });
  const report = await auditStream(reader, STREAM, { ...warm.ackedRanges, ...load.ackedRanges });
  return { bytesPerMessage: written / messages, commits: made, ackMs: load.latencyMs, report };
}
