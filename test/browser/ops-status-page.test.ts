import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { silentLog } from '../../src/core/log.ts';
import type { Snapshot } from '../../src/ops/snapshot.ts';
import { StatusServer } from '../../src/ops/status-server.ts';
import {
  type Changes,
  client,
  HOUR_MS,
  lane,
  loss,
  MINUTE_MS,
  NOW_MS,
  noLink,
  snapshot,
} from '../unit/ops-snapshot.ts';

/** A folder for pictures of the page, for people to look at; none are taken without it. */
const pictures = process.env.PETIOLE_TEST_PICTURES;

let browser: Browser;
before(async () => {
  const args = '--no-sandbox --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking';
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [...args.split(' '), '--disable-component-update', '--disable-sync'],
  });
});
after(() => browser.close());

interface Opened {
  page: Page;
  server: StatusServer;
  show(next: Snapshot): void;
}

/** A real server with a snapshot the test sets, and a page that may say nothing on its console. */
async function open(t: TestContext, first: Snapshot, options: BrowserContextOptions = {}): Promise<Opened> {
  let current = first;
  const server = new StatusServer({ host: '127.0.0.1', port: 0, snapshot: () => current, log: silentLog });
  await server.start();
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url)) complaints.push(`asked elsewhere: ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    await server.stop();
    assert.deepEqual(complaints, []);
  });
  await page.goto(server.url);
  await page.locator('#live[data-live=yes]').waitFor();
  return {
    page,
    server,
    show: (next) => {
      current = next;
    },
  };
}

const busy: Changes = {
  link: { ...noLink, drops: { 'no-interest': 4 } },
  lanes: [
    lane({ name: 'alarms', subjects: ['*.alarm.>'], priority: 1, full: 'refuse', bytesMax: 64 * 1024 ** 2 }),
    lane({
      state: 'waiting-for-link',
      depth: 1_204_331,
      bytes: 0.62 * 1024 ** 3,
      oldestMs: NOW_MS - 2 * HOUR_MS,
      rateInPerS: 168,
      timeToFullS: 4000,
    }),
    lane({
      name: 'quality',
      subjects: ['line3.quality.>', 'line4.quality.>'],
      state: 'blocked',
      depth: 310,
      bytes: 120_000,
      oldestMs: NOW_MS - 26 * HOUR_MS,
      rateInPerS: 0.3,
      reason: {
        code: 'no_stream',
        message: 'No stream at the hub takes line3.quality.camera',
        hint: 'Create a stream with that subject, or name it under upstream.streams',
      },
    }),
  ],
  ledger: [
    loss({ atMs: NOW_MS - 40_000 }),
    loss({
      reason: 'oversize',
      count: 1,
      firstSequence: 88_113,
      lastSequence: 88_113,
      synced: true,
      atMs: NOW_MS - 70 * MINUTE_MS,
    }),
    loss({
      lane: 'alarms',
      reason: 'refused',
      count: 3,
      firstSequence: null,
      lastSequence: null,
      synced: true,
      atMs: NOW_MS - 30 * HOUR_MS,
    }),
  ],
  losses: { evicted: 1204, oversize: 1, refused: 3 },
  mqtt: {
    listeners: [{ host: '0.0.0.0', port: 1883, connections: 14 }],
    counters: { publishes: 1_204_977, malformedPackets: 3 },
    clients: Array.from({ length: 14 }, (_, i) =>
      client(`line${1 + (i % 4)}-sensor-${i}`, {
        lastSeenMs: NOW_MS - i * 900,
        messagesIn: 50_000 * (i + 1),
        dropped: i === 3 ? 7 : 0,
      }),
    ),
  },
};

test('shows the sentence, the lanes, the clients and the cards', async (t) => {
  const { page } = await open(t, snapshot(busy));
  assert.match((await page.locator('#sentence').textContent()) ?? '', /^Offline for 2 h .* are kept here/);
  assert.equal(await page.locator('#verdict').getAttribute('data-tone'), 'degraded');
  assert.equal(await page.title(), 'plant1 – Petiole');
  assert.deepEqual(await page.locator('#lanes .lane-name').allTextContents(), ['alarms', 'telemetry', 'quality']);
  assert.equal(await page.locator('#lanes .meter').nth(1).getAttribute('aria-valuetext'), '62 % of 1.0 GiB');
  const reasons = page.locator('#lanes .reason:visible');
  assert.equal(await reasons.count(), 1);
  assert.match((await reasons.textContent()) ?? '', /^No stream at the hub takes .*\. Create a stream /);
  assert.equal(await page.locator('#clients tbody tr').count(), 14);
  assert.equal(await page.locator('#ledger tbody tr').count(), 3);
  assert.deepEqual(await page.locator('#losses li').allTextContents(), ['1,204 evicted', '3 refused', '1 oversize']);
  assert.equal(await page.getByRole('region', { name: 'Store' }).locator('.state').textContent(), 'Good');
});

test('follows the box live, keeps its rows, and tells a screen reader only of what matters', async (t) => {
  const { page, show } = await open(t, snapshot());
  const spoken = page.locator('#spoken[role=status]');
  const first = await spoken.textContent();
  assert.match(first ?? '', /everything sent/);
  const row = await page.locator('#clients tbody tr').first().elementHandle();
  show(snapshot({ mqtt: { clients: [client('oven-12', { messagesIn: 9999 })] } }));
  await page.getByText('9,999 / 0').waitFor();
  assert.equal(await page.locator('#clients tbody tr').count(), 1);
  assert.ok(await row?.evaluate((node) => node.isConnected));
  assert.equal(await spoken.textContent(), first);
  show(snapshot({ store: { state: 'failed' } }));
  await page.locator('#verdict[data-tone=failing]').waitFor();
  assert.match((await spoken.textContent()) ?? '', /^New messages are not kept/);
  assert.match(await page.title(), /^⚠ plant1/);
});

test('hostile names are text and nothing else', async (t) => {
  const name = '<img src=x onerror=alert(1)>';
  const reason = { code: 'hub_error', message: '<script>alert(2)</script>', hint: '<b>x</b>' };
  const { page } = await open(
    t,
    snapshot({
      mqtt: { clients: [client(name)] },
      lanes: [lane({ state: 'blocked', reason })],
      gateway: { name: '<u>box' },
    }),
  );
  assert.equal(await page.locator('#clients tbody th').textContent(), name);
  assert.match(
    (await page.locator('#lanes .reason').textContent()) ?? '',
    /^<script>alert\(2\)<\/script>\. <b>x<\/b>\.$/,
  );
  assert.equal(await page.locator('main img, main script, main b, h1 u').count(), 0);
});

test('says so when the box is gone, and comes back by itself', async (t) => {
  let current = snapshot();
  const options = { host: '127.0.0.1', snapshot: () => current, log: silentLog };
  const server = new StatusServer({ ...options, port: 0 });
  await server.start();
  const { port, host } = server.address;
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(server.url);
  await page.locator('#live[data-live=yes]').waitFor();
  await server.stop();
  await page.locator('#live[data-live=no]').waitFor();
  assert.match((await page.locator('#live').textContent()) ?? '', /^No answer from the box since .*; trying again$/);
  current = snapshot({ gateway: { name: 'again' } });
  const next = new StatusServer({ ...options, host, port });
  await next.start();
  t.after(() => next.stop());
  await page.getByRole('heading', { name: 'again' }).waitFor();
  assert.equal(await page.locator('#live').textContent(), 'Live');
});

test('a page nobody sees costs the box nothing', async (t) => {
  const { page, server } = await open(t, snapshot());
  assert.equal(server.status().viewers, 1);
  await page.goto('about:blank');
  const deadline = performance.now() + 5000;
  while (server.status().viewers > 0) {
    assert.ok(performance.now() < deadline, 'the feed is still open');
    await delay(20);
  }
});

test('the keyboard reaches every link, first the way past the head', async (t) => {
  const { page } = await open(t, snapshot());
  const texts: (string | null)[] = [];
  for (let i = 0; i < 3; i++) {
    await page.keyboard.press('Tab');
    texts.push(await page.evaluate('document.activeElement.textContent'));
  }
  assert.deepEqual(texts, ['Skip to the status', 'status.json', 'healthz']);
});

for (const [name, width, height] of [
  ['phone', 360, 740],
  ['tablet', 820, 1100],
  ['desktop', 1360, 900],
] as const) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`fits a ${name}, ${colorScheme}`, async (t) => {
      const { page, show } = await open(t, snapshot(busy), { viewport: { width, height }, colorScheme });
      // Nothing may be wider than the screen.
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
      const light = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      assert.equal(light === 'rgb(244, 245, 242)', colorScheme === 'light');
      if (pictures === undefined) return;
      await mkdir(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-busy.png`), fullPage: true });
      show(snapshot());
      await page.locator('#verdict[data-tone=ok]').waitFor();
      await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-fine.png`), fullPage: true });
    });
  }
}
