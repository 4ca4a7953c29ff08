import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { silentLog } from '../../src/core/log.ts';
import { StatusServer } from '../../src/ops/status-server.ts';
import { launchBrowser, openPage } from '../support/browser.ts';
import { atEnd } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';
import { client, NOW_MS, snapshot } from '../unit/ops-snapshot.ts';

const DEVICES = 5000;
const HOSTILE = '<img src=x onerror=alert(1)>';

let browser: Browser;
before(async () => {
  browser = await launchBrowser();
});
after(() => browser.close());

/** 5,000 sensors, each heard of a millisecond before the one ahead of it, and one with a hostile name. */
async function open(t: TestContext): Promise<Page> {
  const clients = Array.from({ length: DEVICES }, (_, i) =>
    client(i === 0 ? HOSTILE : `sensor-${String(i).padStart(4, '0')}`, {
      remote: `192.0.2.${i % 250}:${10_000 + i}`,
      lastSeenMs: NOW_MS - i,
      messagesIn: i,
    }),
  );
  const all = snapshot({ mqtt: { clients } });
  const server = new StatusServer({ host: '127.0.0.1', port: 0, snapshot: () => all, log: silentLog });
  await server.start();
  atEnd(t, () => server.stop());
  const page = await openPage(t, browser, server.url, { hash: '/devices' });
  await page.getByText('5,000 devices').waitFor();
  return page;
}

const names = (page: Page): Promise<string[]> => page.locator('.rows .row-button').allTextContents();

test('5,000 devices: only what is seen is drawn, at any place', async (t) => {
  const page = await open(t);
  const table = page.getByRole('table', { name: 'Devices' });
  assert.equal(await table.getAttribute('aria-rowcount'), String(DEVICES + 1));
  await page.getByRole('button', { name: HOSTILE }).waitFor();
  assert.ok((await names(page)).length < 100, 'a row for each device');
  await table.evaluate((node) => node.scrollTo(0, node.scrollHeight));
  await page.getByRole('button', { name: 'sensor-4999', exact: true }).waitFor();
  assert.ok((await names(page)).length < 100, 'rows are left behind');
  assert.equal(await page.locator('main img').count(), 0);
});

test('5,000 devices: search and sort are the whole list, not what is seen', async (t) => {
  const page = await open(t);
  await page.getByRole('button', { name: 'In', exact: true }).click();
  await waitFor('the busiest on top', async () => (await names(page))[0] === 'sensor-4999');
  assert.equal(
    await page.getByRole('columnheader', { name: 'In', exact: true }).getAttribute('aria-sort'),
    'descending',
  );
  await page.getByRole('searchbox').fill('sensor-12');
  await page.getByText('100 devices').waitFor();
  await waitFor('the busiest that fits on top', async () => (await names(page))[0] === 'sensor-1299');
  await page.getByRole('searchbox').fill('nobody is called so');
  await page.getByText('No device fits.').waitFor();
});

test('a device opens by keyboard, shows what is known, and gives the focus back', async (t) => {
  const page = await open(t);
  await page.getByRole('searchbox').fill(HOSTILE);
  await page.getByText('1 device', { exact: true }).waitFor();
  await page.getByRole('button', { name: HOSTILE }).press('Enter');
  const dialog = page.getByRole('dialog', { name: HOSTILE });
  await dialog.getByText('192.0.2.0:10000').waitFor();
  assert.equal(await dialog.locator('img').count(), 0);
  // Who only reads ends nobody's connection.
  assert.equal(await dialog.getByRole('button', { name: 'End its connection' }).count(), 0);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await page.evaluate('document.activeElement.textContent'), HOSTILE);
});
