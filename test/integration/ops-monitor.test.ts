import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { historySeries } from '../../src/ops/api.ts';
import { type Figures, HistoryKeeper, type StoredPoint } from '../../src/ops/history.ts';
import { Host } from '../../src/ops/host.ts';
import { startBox } from '../support/box.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const figures = (cpuShare: number | null): Figures =>
  Object.fromEntries(historySeries.map((name) => [name, name === 'cpuShare' ? cpuShare : null])) as Figures;

test('a Pi: temperature, throttling, eMMC registers, addresses; and a machine without any of them', async (t) => {
  const sys = tempDir(t, 'sys');
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(sys, path)), { recursive: true });
    writeFileSync(join(sys, path), text);
  };
  put('class/thermal/thermal_zone0/temp', '61234\n');
  // Under-voltage now and since the start, throttled since the start.
  put('devices/platform/soc/soc:firmware/get_throttled', '50001\n');
  put('block/mmcblk0/device/life_time', '0x03 0x0b\n');
  put('block/mmcblk0/device/pre_eol_info', '0x02\n');
  put('block/mmcblk1/size', '1\n');
  put('class/net/plant9/operstate', 'up\n');
  put('class/net/plant9/statistics/rx_bytes', '123\n');
  put('class/net/plant9/statistics/tx_bytes', '45\n');
  put('class/net/lo/operstate', 'unknown\n');
  const lifetime = { restarts: 2, resetReason: 'for a test' };
  const sample = await new Host(sys, { sys, proc: '/proc' }).sample(lifetime);
  assert.equal(sample.temperatureC, 61.234);
  assert.deepEqual(sample.throttling, {
    underVoltage: { now: true, since: true },
    frequencyCapped: { now: false, since: false },
    throttled: { now: false, since: true },
    softTemperatureLimit: { now: false, since: false },
  });
  assert.deepEqual(sample.emmc, [{ name: 'mmcblk0', lifeTimeA: 3, lifeTimeB: 11, preEol: 2 }]);
  assert.deepEqual(sample.interfaces, [
    { name: 'plant9', addresses: [], isUp: true, receivedBytes: 123, sentBytes: 45 },
  ]);
  assert.ok(sample.memoryBytes > sample.memoryAvailableBytes && sample.diskBytes > sample.diskFreeBytes);
  assert.ok(sample.cores > 0 && sample.rssBytes > 0 && (sample.cpuShare ?? 2) <= 1);
  const bare = await new Host(sys, { sys: join(sys, 'nothing'), proc: join(sys, 'nothing') }).sample(lifetime);
  assert.deepEqual(
    [bare.temperatureC, bare.throttling, bare.emmc, bare.interfaces, bare.writtenBytes],
    [null, null, [], [], 0],
  );
});

test('the history: the hour as it is, means of longer steps, written together, and read with what is not written yet', async () => {
  const stored: StoredPoint[] = [];
  let writes = 0;
  const keeper = new HistoryKeeper({
    keepHistory: (points) => {
      writes++;
      stored.push(...points);
    },
    history: async (span) => stored.filter((point) => point.span === span),
  });
  for (let i = 0; i < 200; i++) keeper.add(i * 10_000, i * 10_000, figures(i % 2 === 0 ? 0 : 1));
  // 2,000 s: three times ten minutes.
  assert.equal(writes, 3);
  const hour = await keeper.read('hour');
  assert.deepEqual([hour.stepS, hour.atMs.length, hour.atMs[199]], [10, 200, 1_990_000]);
  assert.deepEqual(hour.series.cpuShare.slice(0, 4), [0, 1, 0, 1]);
  assert.equal(hour.series.temperatureC[0], null);
  const day = await keeper.read('day');
  assert.ok(day.atMs.length >= 15 && day.atMs.length <= 16, `${day.atMs.length} points`);
  assert.ok(day.series.cpuShare.every((mean) => Math.abs((mean ?? 9) - 0.5) < 0.1));
  assert.equal((await keeper.read('week')).atMs.length, 2);
  // A clock that is set back does not stop it.
  keeper.add(5_000, 2_000_000, figures(null));
  assert.equal((await keeper.read('hour')).series.cpuShare.at(-1), null);
});

test('a box looks at itself, keeps its history over a restart, and knows how the last run ended', async (t) => {
  const box = await startBox(t);
  // biome-ignore lint/suspicious/noExplicitAny: each endpoint has a shape of its own
  const get = async (path: string): Promise<any> => (await fetch(`${box.statusUrl}${path}`)).json();
  const first = await get('/api/health');
  assert.deepEqual([first.restarts, first.resetReason], [0, 'the first start on this store']);
  const before = await waitFor('a point', async () => {
    const history = await get('/api/history?span=hour');
    return history.atMs.length > 0 ? history : undefined;
  });
  assert.equal(before.series.depth[0], 0);
  assert.equal((await fetch(`${box.statusUrl}/api/history?span=year`)).status, 400);
  await box.stop();
  await box.start();
  const again = await get('/api/health');
  assert.deepEqual([again.restarts, again.resetReason], [1, 'the program was restarted']);
  const after = await get('/api/history?span=hour');
  assert.equal(after.atMs[0], before.atMs[0]);
  await box.kill9();
  await box.start();
  const killed = await get('/api/health');
  assert.deepEqual([killed.restarts, killed.resetReason], [2, 'the program was killed or crashed']);
});
