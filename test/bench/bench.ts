/**
 * `npm run bench`: the box under load beside its peers, and every sequence number checked where it ends up.
 *
 *   --quick        small counts: shows that everything runs, not how fast
 *   --no-peers     the box alone
 *   --only NAME    one phase: ingest-1, ingest-50, ingest-500, lone, saver, nats, leaf, edge-full, edge-500, edge-5000,
 *                  drain, drain-always, drain-r3, live, start, slow-disk, end-to-end, fan-out-0, fan-out-1, connections,
 *                  retained, sessions, listen, crowd, bytes, offline, growth-clients, growth-subscriptions, growth-queued,
 *                  serial-flood, serial-modbus, serial-replug (may be given again)
 *   --profile DIR  a CPU profile and a sample of what was allocated, of each thread of each box, and where the most went
 *   --without-box  the peers alone
 *   --repeat N     rounds, one after the other; the table has medians and how far they spread
 *   --table        the rows that the project holds itself to, in rounds of their own (table.ts), with goal, median and spread;
 *                  the figures go to .cache/bench-<date>.json unless --json says otherwise
 *   --json FILE    the figures of the table, of every round
 *   --strict       exit 1 also where a figure misses what it must reach
 *
 * Exit 1 when a phase failed, or when the box lost a message, stored one twice or out of order.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findNewerMosquitto } from '../support/newer-mosquitto.ts';
import { findNewerNatsServer, versionOf } from '../support/newer-nats-server.ts';
import { procedures } from '../support/procedures.ts';
import type { AuditReport } from '../support/stream-audit.ts';
import { boundRows } from './bound-rows.ts';
import { boxContender } from './box-contender.ts';
import { brokerRows } from './broker-rows.ts';
import type { Contender } from './contender.ts';
import { drainRows } from './drain-rows.ts';
import { edgeRows } from './edge-rows.ts';
import { boxEdge, bridgeEdge, type Edge, leafEdge } from './edges.ts';
import { growthRows } from './growth-rows.ts';
import { ingestRows } from './ingest-rows.ts';
import { leafRows } from './leaf-rows.ts';
import { natsRows } from './nats-rows.ts';
import { aedesPeer, mosquittoPeer, mosquittoSqlitePeer, natsServerPeer } from './peers.ts';
import type { Ground } from './phases.ts';
import { fileSystemOf } from './process-meter.ts';
import { profileBoxes, profiled } from './profile.ts';
import { setRatios } from './ratios.ts';
import { BOX, type Run } from './run.ts';
import { serialRows } from './serial-rows.ts';
import { type RowOptions, Sheet } from './sheet.ts';
import { storeRows } from './store-rows.ts';
import { findSyncTool } from './sync-counter.ts';
import { DRAINED, IDLE_MS, isOfTable, ROUNDS, tableNote } from './table.ts';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: true },
    'without-box': { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    profile: { type: 'string' },
    repeat: { type: 'string' },
    table: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
  allowNegative: true,
});

// Before the first box starts.
if (options.profile !== undefined) profileBoxes(options.profile);
const root = join(import.meta.dirname, '../..');
// Below the clone and not in the temp folder, which may be tmpfs: fsync must reach a disk.
const cache = join(root, '.cache');
mkdirSync(cache, { recursive: true });
const isTable = options.table;
const repeats = Math.max(1, Math.round(Number(options.repeat ?? (isTable ? ROUNDS : 1))) || 1);
const startedAt = new Date().toISOString().slice(0, 16).replaceAll(':', '');
const file = options.json ?? (isTable ? join(cache, `bench-${startedAt}.json`) : undefined);
const scale = options.quick ? 0.02 : 1;
const syncTool = findSyncTool();
// A quick run without peers, as in the tests, needs no other server than the installed one.
const newer = options.quick && !options.peers ? null : findNewerNatsServer(cache);
const sqlite = options.peers ? findNewerMosquitto(cache) : null;
const idleMs = options.quick ? 300 : isTable ? IDLE_MS : 3_000;
const ground: Ground = { dir: cache, syncTool, idleMs, natsServer: newer?.path };

const contenders: Contender[] = options['without-box'] ? [] : [boxContender(newer?.path)];
if (options.peers) {
  if (newer === null) console.error('bench: no nats-server 2.10 or newer could be had, so there is no "sync always"');
  const version = newer?.version ?? versionOf('nats-server');
  if (version !== null) contenders.push(natsServerPeer(newer?.path ?? 'nats-server', version, false));
  if (newer !== null) contenders.push(natsServerPeer(newer.path, newer.version, true));
  const mosquitto = versionOf('mosquitto');
  if (mosquitto !== null) contenders.push(mosquittoPeer(mosquitto));
  if (sqlite !== null) contenders.push(mosquittoSqlitePeer(sqlite));
  contenders.push(aedesPeer);
}

const SAVER = 'petiole saver';
const edges: Edge[] = options['without-box']
  ? []
  : [boxEdge(BOX, newer?.path, false), boxEdge(SAVER, newer?.path, true)];
if (options.peers && newer !== null) {
  edges.push(leafEdge(newer.path));
  if (sqlite !== null || versionOf('mosquitto') !== null) edges.push(bridgeEdge(newer.path, sqlite));
}

const sheet = new Sheet();
let faults = 0;
let round = 0;

function wanted(phase: string): boolean {
  if (isTable && !isOfTable(phase, round)) return false;
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

async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  console.error(`bench: ${what}`);
  try {
    await work();
  } catch (error) {
    faults++;
    console.error(`bench: ${what} failed:`, error);
  }
}

const run: Run = {
  sheet,
  ground,
  scale,
  isQuick: options.quick,
  isTable,
  get round() {
    return round;
  },
  withBox: !options['without-box'],
  withPeers: options.peers,
  wanted,
  attempt,
  judge,
};
const server = newer?.version ?? versionOf('nats-server');
const servers = {
  box: run.withBox ? BOX : null,
  peer: run.withPeers && server !== null ? { version: server, path: newer?.path } : null,
};

async function measure(): Promise<void> {
  await ingestRows(run, contenders);
  if (wanted('leaf')) await leafRows(sheet, { ...servers, hub: newer?.path, scale, attempt });
  if (wanted('nats')) await natsRows(sheet, { ...servers, scale, attempt });
  await edgeRows(sheet, { ground, edges, scale, wanted, attempt, judge });
  // The way that a lane takes by itself is the one that is measured in each round.
  const ways = isTable && round > 0 ? procedures.slice(0, 1) : procedures;
  const { withPeers } = run;
  const records = isTable && !options.quick ? DRAINED : null;
  if (run.withBox) {
    await drainRows(sheet, { ground, box: BOX, scale, withPeers, procedures: ways, records, wanted, attempt, judge });
  }
  if (run.withBox) await storeRows(run);
  await brokerRows(run);
  if (run.withBox) await boundRows(run);
  if (run.withBox) await growthRows(run);
  if (run.withBox) await serialRows(sheet, { box: BOX, isQuick: options.quick, dir: cache, wanted, attempt });
}

for (; round < repeats; round++) {
  if (repeats > 1) console.error(`bench: round ${round + 1} of ${repeats}`);
  sheet.beginRound(round);
  await measure();
  setRatios(sheet, SAVER);
  // Each time: what was measured is kept if the next round is cut off.
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(sheet, null, 2)}\n`);
}

console.log(`${sheet}\n`);
if (isTable) console.log(`${sheet.goals()}\n\n${tableNote()}`);
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
if (options.profile !== undefined) console.log(`\n${profiled(options.profile)}`);
if (file !== undefined) console.log(`Every round: ${file}`);
if (faults > 0 || (options.strict && missed.length > 0)) process.exitCode = 1;
