import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { silentLog } from '../../src/core/log.ts';
import type { Snapshot } from '../../src/ops/snapshot.ts';
import { StatusServer } from '../../src/ops/status-server.ts';
import { launchBrowser, type OpenOptions, openPage, untilLive } from '../support/browser.ts';
import { atEnd } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';
import { busy } from '../unit/busy-snapshot.ts';
import { client, lane, snapshot } from '../unit/ops-snapshot.ts';

let browser: Browser;
before(async () => {
  browser = await launchBrowser();
});
after(() => browser.close());

interface Opened {
  page: Page;
  server: StatusServer;
  show(next: Snapshot): void;
}

/** A server of its own keeps no history. */
const NO_HISTORY = /404 .*\/api\/history/;

/** A real server with a snapshot the test sets, and its overview. */
async function open(t: TestContext, first: Snapshot, options: OpenOptions = {}): Promise<Opened> {
  let current = first;
  const server = new StatusServer({ host: '127.0.0.1', port: 0, snapshot: () => current, log: silentLog });
  await server.start();
  atEnd(t, () => server.stop());
  const page = await openPage(t, browser, server.url, { expected: NO_HISTORY, ...options });
  await untilLive(page);
  return {
    page,
    server,
    show: (next) => {
      current = next;
    },
  };
}

test('shows the sentence, the lanes, the losses and the cards', async (t) => {
  const { page } = await open(t, snapshot(busy));
  assert.match((await page.locator('.sentence').textContent()) ?? '', /^Offline for 2 h .* are kept here/);
  assert.equal(await page.locator('.verdict').getAttribute('data-tone'), 'degraded');
  assert.equal(await page.title(), 'Overview · plant1 – Petiole');
  const lanes = page.getByRole('region', { name: 'Lanes' });
  assert.deepEqual(await lanes.locator('.lane-name').allTextContents(), ['alarms', 'telemetry', 'quality']);
  assert.equal(await lanes.getByRole('meter').nth(1).getAttribute('aria-valuetext'), '62 % of 1.0 GiB');
  const reasons = lanes.locator('.notice');
  assert.equal(await reasons.count(), 1);
  assert.match((await reasons.textContent()) ?? '', /^No stream at the hub takes .*\. Create a stream /);
  const losses = page.getByRole('region', { name: 'Will not reach the hub' });
  assert.deepEqual(await losses.locator('.badge').allTextContents(), ['1,204 evicted', '3 refused', '1 oversize']);
  assert.equal(await losses.locator('tbody tr').count(), 3);
  assert.equal(await page.getByRole('region', { name: 'Storage' }).locator('.state').textContent(), 'Good');
  assert.equal(await page.getByRole('region', { name: 'Inputs' }).locator('.state').textContent(), '14 MQTT clients');
});

test('follows the box live, keeps its rows, and tells a screen reader only of what matters', async (t) => {
  const { page, show } = await open(t, snapshot());
  const spoken = page.locator('[role=status][aria-live=polite]').last();
  const first = await spoken.textContent();
  assert.match(first ?? '', /everything sent/);
  const row = await page.locator('.lane').first().elementHandle();
  show(snapshot({ lanes: [lane({ depth: 7, state: 'sending' })] }));
  await page.locator('.lane').getByText('Sending').waitFor();
  assert.ok(await row?.evaluate((node) => node.isConnected));
  assert.match((await page.locator('.sentence').textContent()) ?? '', /7 messages on the way/);
  assert.equal(await spoken.textContent(), first);
  show(snapshot({ store: { state: 'failed' } }));
  await page.locator('.verdict[data-tone=failing]').waitFor();
  assert.match((await spoken.textContent()) ?? '', /^New messages are not kept/);
  assert.match(await page.title(), /^⚠ Overview · plant1/);
});

test('hostile texts are text and nothing else', async (t) => {
  const reason = { code: 'hub_error', message: '<script>alert(2)</script>', hint: '<b>x</b>' };
  const changes = {
    lanes: [lane({ name: '<i>lane', state: 'blocked' as const, reason })],
    gateway: { name: '<u>box' },
  };
  const { page } = await open(t, snapshot({ ...changes, mqtt: { clients: [client('<img src=x onerror=alert(1)>')] } }));
  assert.equal(await page.locator('.lane .notice').textContent(), '<script>alert(2)</script>. <b>x</b>.');
  assert.equal(await page.locator('.lane-name').textContent(), '<i>lane');
  assert.equal(await page.locator('main img, main script, main b, main i, main u').count(), 0);
});

test('says so when the box is gone, and comes back by itself', async (t) => {
  let current = snapshot();
  const options = { host: '127.0.0.1', snapshot: () => current, log: silentLog };
  const server = new StatusServer({ ...options, port: 0 });
  await server.start();
  const { port, host } = server.address;
  const page = await openPage(t, browser, server.url, { expected: /net::ERR_|404 .*\/api\/history/ });
  await untilLive(page);
  await server.stop();
  await page.locator('.feed[data-live=no]').waitFor();
  assert.match((await page.locator('.feed').textContent()) ?? '', /^No answer from the box since .*; trying again$/);
  current = snapshot({ lanes: [lane({ name: 'again' })] });
  const next = new StatusServer({ ...options, host, port });
  await next.start();
  atEnd(t, () => next.stop());
  await page.locator('.lane-name').getByText('again').waitFor();
  assert.equal(await page.locator('.feed').textContent(), 'Live');
});

test('a page nobody sees costs the box nothing', async (t) => {
  const { page, server } = await open(t, snapshot());
  assert.equal(server.status().viewers, 1);
  await page.goto('about:blank');
  await waitFor('the feed to close', () => server.status().viewers === 0);
});

test('the keyboard reaches everything, first the way past the rail', async (t) => {
  const { page } = await open(t, snapshot());
  const texts: string[] = [];
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Tab');
    texts.push(String(await page.evaluate('document.activeElement.textContent')));
  }
  assert.deepEqual(texts.slice(0, 4), ['Skip to the content', 'Overview', 'Devices', 'Live']);
  await page.getByRole('link', { name: 'Journal' }).press('Enter');
  await page.getByRole('heading', { name: 'Journal', level: 1 }).waitFor();
  // The view that was asked for has the focus, so that a reader goes on there.
  assert.equal(await page.evaluate('document.activeElement.tagName'), 'MAIN');
  await page.goBack();
  await page.locator('.sentence').waitFor();
});
