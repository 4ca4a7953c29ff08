import { onSlowDisk, quantile } from '../fault/slow-disk.ts';
import { makeBacklog } from '../support/backlog.ts';
import { startBox } from '../support/box.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { readUsage } from './process-meter.ts';
import { BOX, type Run } from './run.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
/** Starts with the same store; the table has their median. */
const STARTS = 5;

/** How soon the box listens with a backlog on its disk, beside a box without one. */
async function startRow({ sheet, ground, isQuick }: Run): Promise<void> {
  await using life = new Lifetime();
  const wanted = isQuick ? 64 * MIB : 2 * GIB;
  const section = `start: with a backlog of ${isQuick ? '64 MiB' : '2 GiB'} on the disk`;
  const dataDir = tempDir(life, 'start', ground.dir);
  const { bytes, records } = await makeBacklog(dataDir, wanted);
  const set = (label: string, value: number, row = {}) => sheet.set(section, label, BOX, value, row);
  set('store, MiB', bytes / MIB);
  set('records', records);
  const lanes = [{ name: 'default', subjects: ['>'], max_bytes: '64GiB', replies: 'pass' }];
  for (const [what, config] of [
    ['without a backlog', {}],
    ['with it', { lanes }],
  ] as const) {
    const times: number[] = [];
    let readMiB = 0;
    for (let n = 0; n < STARTS; n++) {
      await using one = new Lifetime();
      const startedAtMs = performance.now();
      const box = await startBox(one, { config, ...(what === 'with it' && { dataDir }) });
      times.push(performance.now() - startedAtMs);
      readMiB = readUsage(box.pid).readBytes / MIB;
      await box.stop();
    }
    times.sort((a, b) => a - b);
    set(`${what}: until it listens, ms`, quantile(times, 0.5), what === 'with it' ? { atMost: 2_000 } : {});
    set(`${what}: read, MiB`, readMiB, { digits: 1 });
  }
}

/** What a card of 400 ms per fsync does to those who do not wait for it. */
async function slowDiskRow({ sheet, ground, isQuick }: Run): Promise<void> {
  await using life = new Lifetime();
  const samples = isQuick ? 20 : 1_000;
  const section = `slow-disk: 400 ms for each fsync, QoS 1 from 20 clients, ${samples} samples`;
  const dir = tempDir(life, 'slow', ground.dir);
  const { pingsMs, livesMs, acknowledged, commits } = await onSlowDisk(life, dir, { syncMs: 400, samples });
  const set = (label: string, value: number, row = {}) => sheet.set(section, label, BOX, value, row);
  for (const [what, times] of [
    ['PINGRESP', pingsMs],
    ['live message', livesMs],
  ] as const) {
    set(`${what} p50, ms`, quantile(times, 0.5), { digits: 2 });
    set(`${what} p99, ms`, quantile(times, 0.99), { digits: 2, atMost: 20 });
  }
  set('durable messages per commit', acknowledged / commits, { digits: 1 });
}

export async function storeRows(run: Run): Promise<void> {
  if (run.wanted('start')) await run.attempt('start', () => startRow(run));
  if (run.wanted('slow-disk')) await run.attempt('slow-disk', () => slowDiskRow(run));
}
