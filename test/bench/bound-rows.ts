import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../fault/slow-disk.ts';
import { slopeOf } from '../fault/soak-slope.ts';
import { startBox } from '../support/box.ts';
import { runLoad, startLoad } from '../support/mqtt-load.ts';
import { publishPacket } from '../support/mqtt-packets.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { LIMITS } from './brokers.ts';
import { openClient, publishAll } from './mqtt-clients.ts';
import { mustBeComplete } from './phases.ts';
import { readUsage, resetPeak } from './process-meter.ts';
import { BOX, type Run } from './run.ts';
import { setter } from './sheet.ts';

const TIMEOUT_MS = 600_000;
const STARTS = 7;
/** Of 72 hours of ten messages a second. */
const OFFLINE_MESSAGES = 2_592_000;
/** KiB per 100,000 messages that still count as zero: one MiB in all of them. */
const SLOPE_MAX = 40;
const LANES = [{ name: 'bench', subjects: ['bench.>'], max_bytes: '64GiB' }];

/** From the start of the process until it listens; warm is what the units of systemd/ have: V8's cache from the start before. */
async function listenRow(run: Run): Promise<void> {
  await using life = new Lifetime();
  const set = setter(run.sheet, `listen: a fresh box, median of ${STARTS} starts`, BOX);
  const cache = tempDir(life, 'compile', run.ground.dir);
  for (const [what, env] of [
    ['cold', { NODE_DISABLE_COMPILE_CACHE: '1' }],
    ['warm', { NODE_COMPILE_CACHE: cache }],
  ] as const) {
    const times: number[] = [];
    // One more: the first one fills the cache.
    for (let n = 0; n <= STARTS; n++) {
      await using one = new Lifetime();
      const startedAtMs = performance.now();
      const box = await startBox(one, { env: { ...process.env, ...env } });
      if (n > 0) times.push(performance.now() - startedAtMs);
      await box.stop();
    }
    times.sort((a, b) => a - b);
    set(`${what}, until it listens, ms`, quantile(times, 0.5), what === 'warm' ? { atMost: 400 } : {});
  }
}

/** Many devices that say something each second. */
async function crowdRow(run: Run): Promise<void> {
  await using life = new Lifetime();
  const connections = run.isQuick ? 200 : 10_000;
  const messages = connections * (run.isQuick ? 3 : 30);
  const set = setter(
    run.sheet,
    `crowd: ${connections} connections at 1 message/s each, QoS 1, ${messages} messages`,
    BOX,
  );
  const dataDir = tempDir(life, 'crowd', run.ground.dir);
  const box = await startBox(life, { config: { lanes: LANES, mqtt: LIMITS }, dataDir });
  const before = readUsage(box.pid);
  const shape = { port: box.mqttPort, connections, messages, messagesPerSecond: connections, window: 10 };
  const load = await runLoad(life, { ...shape, timeoutMs: TIMEOUT_MS });
  mustBeComplete(BOX, load);
  const { cpuS, residentMiB } = readUsage(box.pid);
  set('messages/s', load.rate);
  set('PUBACK p50, ms', load.latencyMs.p50, { digits: 2 });
  set('PUBACK p99, ms', load.latencyMs.p99, { digits: 2, atMost: 100 });
  set('CPU s per 100,000, with the connects', ((cpuS - before.cpuS) / messages) * 100_000, { digits: 2 });
  set('memory, MiB', residentMiB, { digits: 1 });
}

/** A reading as devices send it, of 128 bytes. */
function reading(n: number): Buffer {
  const values = {
    device: `line${n % 40}/meter${n % 50}`,
    seq: n,
    at: 1_764_000_000_000 + n * 20,
    t: Math.round(2150 + 300 * Math.sin(n / 700) + (n % 7)) / 100,
    rh: Math.round(480 + 50 * Math.sin(n / 900) + (n % 11)) / 10,
    state: n % 500 === 0 ? 'alarm' : 'ok',
  };
  const text = JSON.stringify(values);
  return Buffer.from(text.padEnd(128, ' '));
}

/** What the card takes for JSON readings, with and without `journal.compress`. */
async function bytesRow(run: Run): Promise<void> {
  const messages = Math.max(2_000, Math.round(200_000 * run.scale));
  const set = setter(run.sheet, `bytes: ${messages} JSON readings of 128 bytes as fast as they go`, BOX);
  for (const compress of [false, true]) {
    await using life = new Lifetime();
    const config = { lanes: LANES, journal: { compress } };
    const box = await startBox(life, { config, dataDir: tempDir(life, 'bytes', run.ground.dir) });
    const client = await openClient(box.mqttPort, 'meter');
    const packet = (n: number, id: number) => publishPacket({ topic: `bench/meter${n % 50}`, payload: reading(n), id });
    const before = readUsage(box.pid);
    await publishAll(client, messages, packet, { ahead: 2_000, timeoutMs: TIMEOUT_MS });
    client.destroy();
    const after = readUsage(box.pid);
    // A checkpoint that is still to come belongs to these messages too.
    await box.stop();
    const what = compress ? 'compressed' : 'plain';
    const each = (after.writtenBytes - before.writtenBytes) / messages;
    set(`${what}: bytes written per message`, each, compress ? { atMost: 128 } : {});
    set(`${what}: CPU s per 100,000`, ((after.cpuS - before.cpuS) / messages) * 100_000, { digits: 2 });
  }
}

/** Three days without a hub, as fast as the messages come. */
async function offlineRow(run: Run): Promise<void> {
  await using life = new Lifetime();
  const messages = Math.max(5_000, Math.round(OFFLINE_MESSAGES * run.scale));
  const set = setter(run.sheet, `offline: ${messages} messages without a hub, 72 h of ten a second`, BOX);
  const config = { lanes: LANES, upstream: { urls: ['nats-leaf://127.0.0.1:1'] } };
  const box = await startBox(life, { config, dataDir: tempDir(life, 'offline', run.ground.dir) });
  await sleep(run.ground.idleMs);
  const idle = readUsage(box.pid);
  resetPeak(box.pid);
  const points: [hundredThousands: number, kib: number][] = [];
  const load = startLoad(life, {
    port: box.mqttPort,
    connections: 50,
    messages,
    messagesPerSecond: 40_000,
    timeoutMs: TIMEOUT_MS,
  });
  const sampling = setInterval(() => {
    points.push([load.progress.acked / 100_000, readUsage(box.pid).ownMiB * 1024]);
  }, 250);
  const result = await load.result;
  clearInterval(sampling);
  mustBeComplete(BOX, result);
  const { peakMiB } = readUsage(box.pid);
  await sleep(run.ground.idleMs);
  const later = points.filter(([at]) => at >= messages / 400_000);
  const end = readUsage(box.pid);
  set('memory idle, MiB', idle.residentMiB, { digits: 1, atMost: 65 });
  set('memory peak, MiB', peakMiB, { digits: 1, atMost: 100 });
  set('memory at the end, MiB', end.residentMiB, { digits: 1, atMost: 100 });
  set("without the program's pages: idle, MiB", idle.ownMiB, { digits: 1 });
  set("without the program's pages: at the end, MiB", end.ownMiB, { digits: 1 });
  set('slope of that in the last three quarters, KiB per 100,000 messages', slopeOf(later), {
    digits: 1,
    atMost: SLOPE_MAX,
  });
}

/** What the box may take: time to listen, memory, bytes on the card, connections. */
export async function boundRows(run: Run): Promise<void> {
  const rows = { listen: listenRow, crowd: crowdRow, bytes: bytesRow, offline: offlineRow };
  for (const [phase, row] of Object.entries(rows)) {
    if (run.wanted(phase)) await run.attempt(phase, () => row(run));
  }
}
