import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import { silentLog } from '../core/log.ts';
import { Gateway } from '../gateway.ts';
import { openBundle } from '../store/bundle.ts';
import { LATE_SUFFIX } from '../store/late-parts.ts';
import { StoreFile } from '../store/store-file.ts';
import { Audit, type Declared, type LaneAudit, type Produced } from '../upstream/audit.ts';
import { openHub } from './hub-session.ts';
import { print, put } from './journal-file.ts';
import { configOf, folderOf, type JournalOptions, passphraseOf } from './journal-options.ts';
import { Progress } from './progress.ts';
import { snapshotOf } from './running-box.ts';

const LOOK_MS = 200;
/** A hub that takes nothing for this long is told of, with its reason. */
const STUCK_MS = 60_000;

/** What the box knows: from its status page while it runs, else from its file. */
interface Known {
  epoch: string;
  lanes: { name: string; lastSequence: number; cursor: number }[];
  ledger: Declared[];
}

/** 1 where something is missing or at the hub twice. */
export async function audit(options: JournalOptions): Promise<number> {
  const config = configOf(options);
  if (!config.upstream) throw noHub();
  const known = await knownOf(options, config);
  const session = await openHub(config.upstream, config.gateway.name);
  const progress = new Progress('reading the streams of the hub', 1);
  let lanes: LaneAudit[];
  try {
    const reading = new Audit(session, config.gateway.name, known.epoch);
    reading.progress = (read, total) => progress.at(read / total);
    const ledgerSubject = `petiole.${config.gateway.name}.ledger`;
    const produced = known.lanes.map((lane) => producedOf(lane, config, ledgerSubject));
    lanes = await reading.run(produced, ledgerSubject, known.ledger);
  } finally {
    progress.end();
    await session.stop();
  }
  const clean = lanes.every(
    (lane) =>
      lane.missingCount + lane.duplicates + lane.outOfOrder === 0 && lane.watermark <= lane.produced + lane.unused,
  );
  print(options.json, { epoch: known.epoch, clean, lanes }, () =>
    [...lanes.flatMap(textOf), clean ? 'The difference is empty.' : 'There is a difference.'].join('\n'),
  );
  return clean ? 0 : 1;
}

function producedOf(lane: Known['lanes'][number], config: Config, ledgerSubject: string): Produced {
  const base = lane.name.endsWith(LATE_SUFFIX) ? lane.name.slice(0, -LATE_SUFFIX.length) : lane.name;
  const configured = config.lanes.find(({ name }) => name === base);
  const subjects = configured?.subjects ?? (lane.name === 'petiole-ledger' ? [ledgerSubject] : ['>']);
  return { ...lane, subjects, stream: configured?.stream?.name ?? null };
}

function textOf(lane: LaneAudit): string[] {
  const { produced, received, former, unused, declared, waiting, refused, duplicates } = lane;
  const { outOfOrder, unprovable, unnamed, watermark } = lane;
  const more = [
    former > 0 ? `${former} of them before the journal was salvaged` : '',
    unused > 0 ? `${unused} numbers never used` : '',
    refused > 0 ? `${refused} refused before they got a number` : '',
    unnamed > 0 ? `${unnamed} lost by the hub and told of without their numbers` : '',
    unprovable > 0 ? `${unprovable} older than what the stream keeps` : '',
    // A store that was put back to an earlier copy gives numbers out that the hub has already.
    watermark > produced + unused ? `THE HUB HAS THE LANE UP TO ${watermark}: numbers are given out twice` : '',
    duplicates > 0 ? `${duplicates} TWICE` : '',
    outOfOrder > 0 ? `${outOfOrder} OUT OF ORDER` : '',
    lane.missingCount > 0
      ? `${lane.missingCount} MISSING: ${lane.missing.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(', ')}`
      : '',
  ].filter((part) => part !== '');
  const sum = `${produced} produced = ${received} received + ${declared} declared lost + ${waiting} waiting`;
  return [`${lane.lane}: ${sum}${more.length > 0 ? `; ${more.join('; ')}` : ''}`];
}

async function knownOf(options: JournalOptions, config: Config): Promise<Known> {
  try {
    const store = StoreFile.open(folderOf(options));
    try {
      return { epoch: store.epoch, lanes: store.lanes(), ledger: store.ledger() };
    } finally {
      store.close();
    }
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'store_locked') throw error;
    return runningOf(config, error);
  }
}

/** The lane's numbers as the running box has them. */
async function runningOf(config: Config, locked: GatewayError): Promise<Known> {
  const { store, lanes, ledger } = await snapshotOf(config, locked);
  return {
    epoch: store.epoch,
    lanes: lanes.map(({ name, lastSequence, ackedSequence }) => ({ name, lastSequence, cursor: ackedSequence })),
    ledger: ledger.map(({ firstSequence, lastSequence, ...row }) => ({
      ...row,
      first: firstSequence,
      last: lastSequence,
    })),
  };
}

/** Sends a bundle from any machine: as a box of its own that has nothing but these records. */
export async function send(options: JournalOptions, file: string): Promise<number> {
  const config = configOf(options);
  if (!config.upstream) throw noHub();
  const bundle = await openBundle(file, () => passphraseOf(options));
  for (const _ of bundle.records());
  const data = mkdtempSync(join(tmpdir(), 'petiole-send-'));
  try {
    const store = StoreFile.make(data);
    const lanes = put(store, bundle);
    store.close();
    const total = lanes.reduce((sum, { taken }) => sum + taken, 0);
    const sent = await drain(config, data, bundle.head.gateway, total);
    print(
      options.json,
      { file, records: total, ...sent },
      () => `${total} records are at the hub: ${sent.sent} sent now, ${total - sent.sent} were there already`,
    );
    return 0;
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

async function drain(config: Config, data: string, gateway: string, total: number): Promise<{ sent: number }> {
  const name = `${gateway}-send`;
  const mqtt = { ...config.mqtt, listeners: [] };
  const box = new Gateway(
    { ...config, gateway: { name, data }, mqtt, nats: null, status: null, serial: [] } as Config,
    silentLog,
  );
  const progress = new Progress('sending', total);
  await box.start();
  try {
    let before = -1;
    let sinceMs = performance.now();
    for (;;) {
      const { lanes, link } = box.status();
      const left = lanes.reduce((sum, { depth }) => sum + depth, 0);
      const sent = lanes.reduce((sum, { counters }) => sum + counters.acknowledged - counters.duplicates, 0);
      if (left === 0) return { sent };
      progress.at(total - left);
      if (left !== before) sinceMs = performance.now();
      before = left;
      if (performance.now() - sinceMs > STUCK_MS) {
        const reason = lanes.find((lane) => lane.reason)?.reason ?? link.lastError;
        throw new GatewayError('not_connected', `${left} of ${total} records wait: ${reason?.message ?? link.state}`, {
          hint: reason?.hint ?? '',
        });
      }
      await delay(LOOK_MS);
    }
  } finally {
    progress.end();
    await box.stop();
  }
}

function noHub(): GatewayError {
  const hint = 'give --hub nats://hub.example.com:7422, or upstream.urls in the configuration';
  return new GatewayError('config_invalid', 'no hub is known', { hint, retriable: false });
}
