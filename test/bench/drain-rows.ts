import type { Procedure } from '../support/procedures.ts';
import type { AuditReport } from '../support/stream-audit.ts';
import { type Hubs, hubKinds } from './box-contender.ts';
import { backlog, type DrainResult, type Ground } from './phases.ts';
import { RAW_LEAF, type RawLeafResult, rawLeaf } from './raw-leaf.ts';
import { type Setter, type Sheet, setter } from './sheet.ts';

export interface DrainRun {
  readonly ground: Ground;
  readonly box: string;
  readonly scale: number;
  /** Of the phase `drain`; null: as many as of its like. */
  readonly records: number | null;
  /** The link alone is measured beside it. */
  readonly withPeers: boolean;
  readonly procedures: readonly Procedure[];
  wanted(phase: string): boolean;
  attempt(what: string, work: () => Promise<void>): Promise<void>;
  judge(section: string, name: string, report: AuditReport): void;
}

/** A backlog of records, by each procedure, into a stream of each kind of hub. */
const DRAINS: { phase: string; hub: Hubs; messages: number; atLeast?: number }[] = [
  { phase: 'drain', hub: 'default sync', messages: 200_000, atLeast: 100_000 },
  { phase: 'drain-always', hub: 'sync always', messages: 200_000 },
  { phase: 'drain-r3', hub: 'R3', messages: 200_000 },
];
/** How much worse a live message may fare beside a backlog than without one. */
const LIVE_RATIO_MAX = 2;

export async function drainRows(sheet: Sheet, run: DrainRun): Promise<void> {
  for (const { phase, hub, messages, atLeast } of DRAINS) {
    if (!run.wanted(phase)) continue;
    const count = Math.round(((phase === 'drain' ? run.records : null) ?? messages) * run.scale);
    let raw: RawLeafResult | null = null;
    if (hub === 'default sync' && run.withPeers) {
      await run.attempt(`${phase} ${RAW_LEAF}`, async () => {
        raw = await rawLeaf(run.ground.dir, run.ground.natsServer, count);
      });
    }
    for (const procedure of run.procedures) {
      await run.attempt(`${phase} ${procedure}`, async () => {
        const section = `${phase} (${procedure}): ${count} messages made offline, into a file stream of a hub with ${hubKinds[hub]}, 200 live messages/s beside it`;
        const result = await backlog(run.ground, { procedure, hub, messages: count });
        const set = setter(sheet, section, run.box);
        set('messages/s', result.rate, atLeast === undefined ? {} : { atLeast });
        set('CPU s per 100,000', result.cpuSPer100k, { digits: 2 });
        if (raw !== null) {
          sheet.set(section, 'messages/s', RAW_LEAF, raw.rate);
          sheet.set(section, 'CPU s per 100,000', RAW_LEAF, raw.cpuSPer100k);
        }
        set('memory offline: start, MiB', result.offlineMiB.start, { digits: 1 });
        set('memory offline: half way, MiB', result.offlineMiB.middle, { digits: 1 });
        set('memory offline: end, MiB', result.offlineMiB.end, { digits: 1 });
        set('memory peak, MiB', result.peakMiB, { digits: 1, atMost: 110 });
        live(set, result);
        run.judge(section, run.box, result.report);
      });
    }
  }
  if (!run.wanted('live')) return;
  for (const procedure of run.procedures) {
    await run.attempt(`live ${procedure}`, async () => {
      const count = Math.round(1_000_000 * run.scale);
      const section = `live (${procedure}): 200 live messages/s without a backlog, then while ${count} records drain`;
      const result = await backlog(run.ground, {
        procedure,
        hub: 'default sync',
        messages: count,
        aloneMs: Math.max(2_000, 20_000 * run.scale),
      });
      const set = setter(sheet, section, run.box);
      set('messages/s', result.rate);
      set('live p50 without a backlog, ms', result.aloneMs.p50, { digits: 2 });
      set('live p99 without a backlog, ms', result.aloneMs.p99, { digits: 2 });
      live(set, result);
      set('ratio: live p99 with / without', result.liveMs.p99 / result.aloneMs.p99, {
        digits: 2,
        atMost: LIVE_RATIO_MAX,
      });
      run.judge(section, run.box, result.report);
    });
  }
}

function live(set: Setter, { liveMs, live: { sent, arrived } }: DrainResult): void {
  set('live p50, ms', liveMs.p50, { digits: 2 });
  set('live p99, ms', liveMs.p99, { digits: 2 });
  set('live sent', sent);
  set('live arrived', arrived);
}
