/**
 * What open status pages cost the box: its CPU and memory with none and with twenty of them, in real Chromium, with
 * sensors that publish meanwhile. Prints the figures; fails only where a page does not come up.
 *
 *   npm run bench:pages [-- PAGES]
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { startBox } from '../support/box.ts';
import { launchBrowser } from '../support/browser.ts';
import { Lifetime } from '../support/scope.ts';
import { readUsage } from './process-meter.ts';

const PAGES = Number(process.argv[2] ?? 20);
const SENSORS = 40;
/** Messages a second of each sensor. */
const RATE = 1;
/** Long enough for a garbage collection or two, and for what a new page asks once to be over. */
const SETTLE_MS = 10_000;
const MEASURE_MS = 30_000;

const lifetime = new Lifetime();
try {
  const box = await startBox(lifetime, { name: 'plant1' });
  const sensors = await Promise.all(
    Array.from({ length: SENSORS }, (_, i) => connectAsync(box.mqttUrl, { clientId: `sensor-${i}` })),
  );
  const publishing = setInterval(() => {
    for (const [i, sensor] of sensors.entries()) sensor.publish(`line3/${i}`, '{"t":21.5}', { qos: 1 });
  }, 1000 / RATE);
  const without = await measure(box.pid);
  const browser = await launchBrowser();
  for (let i = 0; i < PAGES; i++) {
    // Each as a browser of its own: one browser holds six connections to a host and no more.
    const page = await (await browser.newContext()).newPage();
    await page.goto(box.statusUrl);
    await page.locator('.feed[data-live=yes]').waitFor({ state: 'attached' });
  }
  const having = await measure(box.pid);
  await browser.close();
  const after = await measure(box.pid);
  clearInterval(publishing);
  for (const sensor of sensors) sensor.end(true);
  console.log(`${SENSORS} sensors, ${SENSORS * RATE} messages/s, ${PAGES} open pages of Chromium`);
  for (const [name, { cpuPercent, residentMiB }] of Object.entries({ without, having, after })) {
    console.log(
      `  ${name.padEnd(8)} ${cpuPercent.toFixed(1).padStart(6)} % of a core ${residentMiB.toFixed(1).padStart(7)} MiB`,
    );
  }
  const cpu = having.cpuPercent - without.cpuPercent;
  console.log(
    `  added    ${cpu.toFixed(1).padStart(6)} % of a core ${(having.residentMiB - without.residentMiB).toFixed(1).padStart(7)} MiB`,
  );
} finally {
  await lifetime.end();
}

async function measure(pid: number): Promise<{ cpuPercent: number; residentMiB: number }> {
  await delay(SETTLE_MS);
  const before = readUsage(pid);
  const startedAt = performance.now();
  await delay(MEASURE_MS);
  const now = readUsage(pid);
  const spanS = (performance.now() - startedAt) / 1000;
  return { cpuPercent: ((now.cpuS - before.cpuS) / spanS) * 100, residentMiB: now.residentMiB };
}
