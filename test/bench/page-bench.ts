/**
 * What the status page costs, and how quick it is: the first paint with a cold cache, /status.json under ingest, twenty
 * open pages in real Chromium, and what is left of them once nobody looks. Prints the figures with what must be reached;
 * fails only where a page does not come up.
 *
 *   npm run bench:pages [-- --quick]
 */
import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import type { Browser } from 'playwright-core';
import { type Box, startBox } from '../support/box.ts';
import { launchBrowser } from '../support/browser.ts';
import { Child } from '../support/child.ts';
import { startLoad } from '../support/mqtt-load.ts';
import { freePort } from '../support/ports.ts';
import { atEnd, Lifetime, type Scope } from '../support/scope.ts';
import { readUsage } from './process-meter.ts';

const isQuick = process.argv.includes('--quick');
const PAGES = 20;
const SENSORS = 40;
/** Long enough for a garbage collection or two, and for what a new page asks once to be over. */
const SETTLE_MS = isQuick ? 3000 : 15_000;
const MEASURE_MS = isQuick ? 5000 : 60_000;
const PAINTS = isQuick ? 3 : 15;
const REQUESTS = isQuick ? 100 : 1000;
/** Of the ingest benchmark at a steady rate. */
const LOAD = { connections: 50, messagesPerSecond: 5000, payloadBytes: 128 };
/** A browser or a scraper asks no quicker; a snapshot is taken anew for most of them. */
const REQUEST_EVERY_MS = isQuick ? 20 : 50;

await using lifetime = new Lifetime();
console.log(
  isQuick ? 'a quick run: it shows that this works, and no more' : 'a run for figures: the machine should be quiet',
);
const browser = await launchBrowser();
try {
  await paints(lifetime, browser);
  await statusUnderIngest(lifetime);
  await openPages(lifetime, browser);
} finally {
  await browser.close();
}

function told(what: string, figure: string, bound: string, isReached: boolean): void {
  console.log(`${isReached ? 'reached' : 'MISSED '}  ${what.padEnd(44)} ${figure.padEnd(30)} must be ${bound}`);
}

async function paints(scope: Scope, chromium: Browser): Promise<void> {
  const box = await startBox(scope, { name: 'plant1' });
  const took: number[] = [];
  for (let i = 0; i < PAINTS; i++) {
    // A context of its own has nothing in its cache.
    const context = await chromium.newContext();
    const page = await context.newPage();
    await page.goto(box.statusUrl);
    await page.locator('.sentence').waitFor();
    const first = `performance.getEntriesByName('first-contentful-paint')[0].startTime`;
    took.push(Number(await page.evaluate(first)));
    await context.close();
  }
  const [median, slowest] = [quantile(took, 0.5), quantile(took, 1)];
  const figure = `${median.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms`;
  told(`first paint, cold cache (median of ${PAINTS})`, figure, 'below 500 ms', median < 500);
  await box.stop();
}

async function statusUnderIngest(scope: Scope): Promise<void> {
  const box = await startBox(scope, { name: 'plant1' });
  const load = startLoad(scope, { ...LOAD, port: box.mqttPort, messages: 10_000_000, timeoutMs: 600_000 });
  await delay(SETTLE_MS);
  const before = { acked: load.progress.acked, atMs: performance.now() };
  const bare = await bareServer(scope, await (await fetch(`${box.statusUrl}/status.json`)).text());
  const [took, peer]: [number[], number[]] = [[], []];
  for (let i = 0; i < REQUESTS; i++) {
    took.push(await answered(`${box.statusUrl}/status.json`));
    peer.push(await answered(bare));
    await delay(REQUEST_EVERY_MS);
  }
  const perS = ((load.progress.acked - before.acked) / (performance.now() - before.atMs)) * 1000;
  const p99 = quantile(took, 0.99);
  const figure = `p50 ${quantile(took, 0.5).toFixed(1)}, p99 ${p99.toFixed(1)} ms`;
  told(`/status.json at ${Math.round(perS)} QoS 1 messages/s`, figure, 'p99 below 10 ms', p99 < 10);
  const machine = `p50 ${quantile(peer, 0.5).toFixed(1)}, p99 ${quantile(peer, 0.99).toFixed(1)} ms`;
  console.log(`         the same bytes from a bare HTTP server, by turns: ${machine}`);
  await load.stop();
  await box.stop();
}

/** Milliseconds of one request over a connection that stays, as a scraper's does. */
async function answered(url: string): Promise<number> {
  const startedAt = performance.now();
  await new Promise((resolve, reject) => {
    get(url, (response) => {
      response.on('end', resolve).on('error', reject).resume();
    }).on('error', reject);
  });
  return performance.now() - startedAt;
}

/** Does nothing else, in a process of its own: what of the figure is the machine's. */
async function bareServer(scope: Scope, body: string): Promise<string> {
  const port = await freePort();
  const program = `require('http').createServer((_, r) => r.end(process.argv[2])).listen(+process.argv[1], '127.0.0.1', () => console.log('open'))`;
  const child = new Child(process.execPath, ['-e', program, String(port), body]);
  atEnd(scope, () => child.kill().then(() => {}));
  await child.line('the bare server', (line) => line === 'open', 10_000);
  return `http://127.0.0.1:${port}/`;
}

async function openPages(scope: Scope, chromium: Browser): Promise<void> {
  const box = await startBox(scope, { name: 'plant1' });
  const sensors = await Promise.all(
    Array.from({ length: SENSORS }, (_, i) => connectAsync(box.mqttUrl, { clientId: `sensor-${i}` })),
  );
  const publishing = setInterval(() => {
    for (const [i, sensor] of sensors.entries()) sensor.publish(`line3/${i}`, '{"t":21.5}', { qos: 1 });
  }, 1000);
  // What the first page ever loads is not what twenty cost: it is told by itself.
  const never = await measure(box);
  await show(box, chromium, 1);
  const without = await measure(box);
  await show(box, chromium, PAGES, async () => {
    const having = await measure(box);
    const cpu = having.cpuPercent - without.cpuPercent;
    const memory = having.residentMiB - without.residentMiB;
    told(
      `${PAGES} open pages add`,
      `${cpu.toFixed(1)} % of a core, ${memory.toFixed(1)} MiB`,
      '< 5 %, < 15 MiB',
      cpu < 5 && memory < 15,
    );
  });
  const after = await measure(box);
  clearInterval(publishing);
  for (const sensor of sensors) sensor.end(true);
  const left = after.cpuPercent - never.cpuPercent;
  told('once nobody looks any more', `${left.toFixed(2)} % of a core more than before`, 'nothing', left < 0.5);
  for (const [name, { cpuPercent, residentMiB }] of Object.entries({ never, without, after })) {
    console.log(
      `         ${name.padEnd(8)} ${cpuPercent.toFixed(2)} % of a core, ${residentMiB.toFixed(1)} MiB resident`,
    );
  }
  await box.stop();
}

/** Opens so many pages, does the work, and closes them. */
async function show(box: Box, chromium: Browser, count: number, work: () => Promise<void> = async () => {}) {
  const contexts = [];
  for (let i = 0; i < count; i++) {
    // Each as a browser of its own: one browser holds six connections to a host and no more.
    const context = await chromium.newContext();
    contexts.push(context);
    const page = await context.newPage();
    await page.goto(box.statusUrl);
    await page.locator('.feed[data-live=yes]').waitFor({ state: 'attached' });
  }
  await work();
  for (const context of contexts) await context.close();
}

async function measure(box: Box): Promise<{ cpuPercent: number; residentMiB: number }> {
  await delay(SETTLE_MS);
  const before = readUsage(box.pid);
  const startedAt = performance.now();
  await delay(MEASURE_MS);
  const now = readUsage(box.pid);
  const spanS = (performance.now() - startedAt) / 1000;
  return { cpuPercent: ((now.cpuS - before.cpuS) / spanS) * 100, residentMiB: now.residentMiB };
}

function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
