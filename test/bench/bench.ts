/**
 * `npm run bench`: the box under load beside its peers, and every sequence number checked where it ends up.
 *
 *   --quick        small counts: shows that everything runs, not how fast
 *   --no-peers     the box alone
 *   --only NAME    one phase: ingest-1, ingest-50, ingest-500, lone, saver, nats, leaf, drain, drain-always, drain-r3,
 *                  live, end-to-end, fan-out-0, fan-out-1, connections, retained, sessions, serial-flood, serial-modbus,
 *                  serial-replug (may be given again)
 *   --without-box  the peers alone
 *   --json FILE    the figures of the table
 *   --strict       exit 1 also where a figure misses what it must reach
 *
 * Exit 1 when a phase failed, or when the box lost a message, stored one twice or out of order.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findNewerNatsServer, versionOf } from '../support/newer-nats-server.ts';
import type { AuditReport } from '../support/stream-audit.ts';
import { boxContender } from './box-contender.ts';
import { brokers } from './brokers.ts';
import type { Contender } from './contender.ts';
import { drainRows } from './drain-rows.ts';
import { leafRows } from './leaf-rows.ts';
import { connections, fanOut, retained } from './mqtt-phases.ts';
import { natsRows } from './nats-rows.ts';
import { mosquittoPeer, natsServerPeer } from './peers.ts';
import { endToEnd, type Ground, ingest, lone } from './phases.ts';
import { fileSystemOf } from './process-meter.ts';
import { saver } from './saver-phase.ts';
import { serialRows } from './serial-rows.ts';
import { sessions } from './session-phase.ts';
import { type RowOptions, Sheet } from './sheet.ts';
import { findSyncTool } from './sync-counter.ts';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: true },
    'without-box': { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    strict: { type: 'boolean', default: false },
  },
  allowNegative: true,
});

const BOX = 'petiole';
const root = join(import.meta.dirname, '../..');
// Below the clone and not in the temp folder, which may be tmpfs: fsync must reach a disk.
const cache = join(root, '.cache');
mkdirSync(cache, { recursive: true });
const scale = options.quick ? 0.02 : 1;
const syncTool = findSyncTool();
// A quick run without peers, as in the tests, needs no other server than the installed one.
const newer = options.quick && !options.peers ? null : findNewerNatsServer(cache);
const ground: Ground = { dir: cache, syncTool, idleMs: options.quick ? 300 : 3_000, natsServer: newer?.path };

const contenders: Contender[] = options['without-box'] ? [] : [boxContender(newer?.path)];
if (options.peers) {
  if (newer === null) console.error('bench: no nats-server 2.10 or newer could be had, so there is no "sync always"');
  const version = newer?.version ?? versionOf('nats-server');
  if (version !== null) contenders.push(natsServerPeer(newer?.path ?? 'nats-server', version, false));
  if (newer !== null) contenders.push(natsServerPeer(newer.path, newer.version, true));
  const mosquitto = versionOf('mosquitto');
  if (mosquitto !== null) contenders.push(mosquittoPeer(mosquitto));
}

const sheet = new Sheet();
let faults = 0;

function wanted(phase: string): boolean {
  return options.only.length === 0 || options.only.includes(phase);
}

function judge(section: string, name: string, report: AuditReport): void {
  const exact: RowOptions = { atMost: 0 };
  sheet.set(section, 'lost', name, report.lost, exact);
  sheet.set(section, 'duplicated', name, report.duplicated, exact);
  sheet.set(section, 'out of order', name, report.outOfOrder, exact);
  if (name !== BOX) return;
  const { lost, duplicated, outOfOrder, withoutId } = report;
  sheet.set(section, 'without a record id', name, withoutId, exact);
  if (lost + duplicated + outOfOrder + withoutId === 0) return;
  faults++;
  console.error(`bench: ${section}: ${JSON.stringify(report)}`);
}

/** One that fails must not cost the figures of the others. */
async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  console.error(`bench: ${what}`);
  try {
    await work();
  } catch (error) {
    faults++;
    console.error(`bench: ${what} failed:`, error);
  }
}

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

async function runIngest({ phase, connections, messages, window }: IngestPhase): Promise<void> {
  const count = Math.round(messages * scale);
  const section = `${phase}: QoS 1, 128 bytes, ${connections} connections, ${window} in flight each, ${count} messages`;
  const main = connections === 50;
  for (const contender of contenders) {
    const { name, share } = contender;
    await attempt(`${phase} ${name}`, async () => {
      const result = await ingest(ground, contender, {
        connections,
        messages: count,
        window,
        syncMessages: 20_000 * scale,
      });
      const set = (label: string, value: number, row?: RowOptions) => sheet.set(section, label, name, value, row);
      set('messages', Math.max(connections, count * share));
      set('messages/s', result.load.rate, main ? { atLeast: 40_000 } : {});
      set('PUBACK p50, ms', result.load.latencyMs.p50, { digits: 2 });
      set('PUBACK p99, ms', result.load.latencyMs.p99, { digits: 2 });
      set('CPU s per 100,000', result.cpuSPer100k, { digits: 2 });
      set('memory idle, MiB', result.idleMiB, { digits: 1, atMost: 85 });
      set('memory peak, MiB', result.peakMiB, { digits: 1, ...(main && { atMost: 110 }) });
      set('bytes written per message', result.bytesPerMessage, main ? { atMost: 450 } : {});
      set('fsyncs per message', result.syncsPerMessage, { digits: 4 });
      set('emptied at, messages/s', result.collectRate);
      judge(section, name, result.report);
    });
  }
  for (const { name } of contenders.filter(
    (peer) => peer.name !== BOX && sheet.get(section, 'messages/s', BOX) !== undefined,
  )) {
    // A peer that did not get through the load has no row to compare with.
    if (sheet.get(section, 'messages/s', name) === undefined) continue;
    const of = (label: string) => (sheet.get(section, label, BOX) ?? 0) / (sheet.get(section, label, name) ?? 1);
    sheet.set(section, 'ratio: rate of petiole / peer', name, of('messages/s'), { digits: 2 });
    sheet.set(section, 'ratio: CPU of petiole / peer', name, of('CPU s per 100,000'), { digits: 2 });
  }
}

async function runLone(): Promise<void> {
  const messages = options.quick ? 20 : 200;
  const section = `lone: 1 connection, one message at a time, 50 messages/s, ${messages} messages`;
  for (const contender of contenders) {
    await attempt(`lone ${contender.name}`, async () => {
      const bytes = await lone(ground, contender, messages);
      sheet.set(section, 'bytes written per message', contender.name, bytes, { atMost: 10_240 });
    });
  }
}

async function runSaver(): Promise<void> {
  const messages = options.quick ? 100 : 5_000;
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

async function runEndToEnd(): Promise<void> {
  const messages = options.quick ? 500 : 10_000;
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

/** Deliveries of live messages, beside mosquitto and aedes. */
async function runFanOut(qos: 0 | 1, subscribers: number, messages: number): Promise<void> {
  const count = Math.max(20, Math.round(messages * scale));
  const section = `fan-out-${qos}: 1 publisher, ${subscribers} subscribers, QoS ${qos}, 128 bytes, ${count} messages`;
  const rate = 'deliveries/s';
  for (const broker of brokers(!options['without-box'], options.peers)) {
    await attempt(`fan-out-${qos} ${broker.name}`, async () => {
      const result = await fanOut(cache, broker, { subscribers, messages: count, qos });
      sheet.set(section, rate, broker.name, result.deliveriesPerS);
      sheet.set(section, 'CPU s per 100,000', broker.name, result.cpuSPer100k, { digits: 2 });
    });
  }
  for (const [peer, atLeast] of [
    ['mosquitto', 0.5],
    ['aedes', 1],
  ] as const) {
    const ratio = (sheet.get(section, rate, BOX) ?? Number.NaN) / (sheet.get(section, rate, peer) ?? Number.NaN);
    if (!Number.isNaN(ratio)) sheet.set(section, `of ${peer}'s`, BOX, ratio, { digits: 2, atLeast });
  }
}

async function runConnections(): Promise<void> {
  const count = options.quick ? 200 : 5_000;
  const section = `connections: ${count} idle ones, 100 handshakes at a time`;
  for (const broker of brokers(!options['without-box'], options.peers)) {
    await attempt(`connections ${broker.name}`, async () => {
      const result = await connections(cache, broker, count);
      sheet.set(section, 'connects/s', broker.name, result.connectsPerS, { atLeast: 1_000 });
      sheet.set(section, 'memory of each, KiB', broker.name, result.kibEach, { digits: 1, atMost: 12 });
    });
  }
}

async function runRetained(): Promise<void> {
  const count = options.quick ? 2_000 : 100_000;
  const section = `retained: ${count} messages of 128 bytes, one subscriber to all`;
  for (const broker of brokers(!options['without-box'], options.peers)) {
    await attempt(`retained ${broker.name}`, async () => {
      const result = await retained(cache, broker, count);
      sheet.set(section, 'start-up, ms', broker.name, result.startMs, { atMost: 3_000 });
      sheet.set(section, 'until all have come, ms', broker.name, result.streamMs);
      sheet.set(section, 'longest wait of another client, ms', broker.name, result.stallMs, { digits: 1, atMost: 50 });
      sheet.set(section, 'memory, MiB', broker.name, result.residentMiB, { digits: 1 });
    });
  }
}

/** The peers' sessions are in memory, or written now and then: there is nothing to compare. */
async function runSessions(): Promise<void> {
  const count = options.quick ? 500 : 10_000;
  const section = `sessions: ${count} absent clients, each with 10 queued messages of 128 bytes`;
  for (const broker of brokers(true, false)) {
    await attempt(`sessions ${broker.name}`, async () => {
      const result = await sessions(cache, broker, count, 10);
      sheet.set(section, 'start-up, ms', broker.name, result.startMs, { atMost: 5_000 });
      sheet.set(section, 'until one of them has its queue, ms', broker.name, result.queueMs, { digits: 1 });
      sheet.set(section, 'memory while the queues fill, MiB', broker.name, result.filledMiB, { digits: 1 });
      sheet.set(section, 'memory after the start, MiB', broker.name, result.residentMiB, { digits: 1 });
    });
  }
}

for (const phase of ingestPhases) if (wanted(phase.phase)) await runIngest(phase);
if (wanted('lone')) await runLone();
if (wanted('leaf')) {
  const version = newer?.version ?? versionOf('nats-server');
  await leafRows(sheet, {
    box: options['without-box'] ? null : BOX,
    peer: options.peers && version !== null ? { version, path: newer?.path } : null,
    hub: newer?.path,
    scale,
    attempt,
  });
}
if (wanted('nats')) {
  const version = newer?.version ?? versionOf('nats-server');
  await natsRows(sheet, {
    box: options['without-box'] ? null : BOX,
    peer: options.peers && version !== null ? { version, path: newer?.path } : null,
    scale,
    attempt,
  });
}
if (!options['without-box']) {
  if (wanted('saver')) await runSaver();
  await drainRows(sheet, { ground, box: BOX, scale, wanted, attempt, judge });
  if (wanted('end-to-end')) await attempt('end-to-end', runEndToEnd);
}
if (wanted('fan-out-0')) await runFanOut(0, 500, 2_000);
if (wanted('fan-out-1')) await runFanOut(1, 100, 5_000);
if (wanted('connections')) await runConnections();
if (wanted('retained')) await runRetained();
if (wanted('sessions') && !options['without-box']) await runSessions();
if (!options['without-box']) await serialRows(sheet, { box: BOX, isQuick: options.quick, dir: cache, wanted, attempt });

console.log(`${sheet}\n`);
for (const { name, receipt } of contenders) console.log(`PUBACK of ${name} means: ${receipt}`);
console.log(
  `Data on ${fileSystemOf(cache)}; ${cpus().length} cores shared by load, box, peers and hub; fsyncs counted by ${syncTool ?? 'nothing'}.`,
);
console.log(
  `Hub: nats-server ${newer?.version ?? versionOf('nats-server')}, default sync. Peers queue for one absent QoS 1 subscriber.`,
);
if (options.quick) console.log('Quick run: the figures show that it works, not how fast it is.');
const missed = sheet.missed();
if (missed.length > 0) console.log(`\nMissed:\n  ${missed.join('\n  ')}`);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(sheet, null, 2)}\n`);
if (faults > 0 || (options.strict && missed.length > 0)) process.exitCode = 1;
