import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectAsync } from 'mqtt';
import type { Browser } from 'playwright-core';
import { type Box, startBox } from '../support/box.ts';
import { accessibilityFaults, launchBrowser, openPage, operatorSecret, picture } from '../support/browser.ts';
import { freePort } from '../support/ports.ts';
import { atEnd } from '../support/scope.ts';

/* Every view of a real box on a phone and a desk, light and dark: nothing wider than the screen, nothing that axe finds. */

const suite = { after };
const views = ['overview', 'devices', 'live', 'journal', 'serial', 'settings', 'logs', 'more'];

let browser: Browser;
let box: Box;
atEnd(suite, () => browser.close());
before(async () => {
  browser = await launchBrowser();
  box = await startBox(suite, {
    name: 'plant1',
    config: {
      upstream: { urls: [`nats://127.0.0.1:${await freePort()}`] },
      lanes: [
        { name: 'alarms', subjects: ['*.alarm.>'], priority: 1, full: 'refuse', max_bytes: '64MiB' },
        { name: 'telemetry', subjects: ['>'], max_bytes: '1GiB' },
      ],
      serial: [
        { name: 'scale', port: '/dev/petiole-absent', baud: 9600, frame: { type: 'line' }, subject: 'line3.scale' },
      ],
    },
  });
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'oven-12-with-a-name-that-is-longer-than-any-column' });
  atEnd(suite, () => sensor.endAsync(true));
  await sensor.publishAsync('line3/oven', '{"t":21.5}', { qos: 1 });
});

// Colours and structure are the same at each size: two runs of axe over all views see every pair of them.
for (const [size, width, height, colorScheme, looked] of [
  ['desktop', 1360, 900, 'light', views],
  ['phone', 360, 740, 'dark', views],
  ['desktop', 1360, 900, 'dark', []],
  ['tablet', 820, 1100, 'dark', []],
  ['phone', 360, 740, 'light', []],
] as const) {
  test(`fits a ${size}, ${colorScheme}`, async (t) => {
    const hash = `sign-in=${operatorSecret(box.dataDir)}`;
    const page = await openPage(t, browser, box.statusUrl, {
      viewport: { width, height },
      colorScheme,
      hash,
    });
    await page.locator('.sentence').waitFor();
    // What the address carried is out of it.
    assert.equal(new URL(page.url()).hash, '');
    for (const view of views) {
      await page.evaluate(`location.hash = '#/${view}'`);
      await page.getByRole('heading', { level: 1, name: view }).waitFor({ state: 'attached' });
      await page.locator('.starting').waitFor({ state: 'detached' });
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width, view);
      if (looked.some((one) => one === view)) assert.deepEqual(await accessibilityFaults(page), [], view);
      await picture(page, `${view}-${size}-${colorScheme}`, view === 'overview');
    }
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    assert.equal(ground === 'rgb(245, 246, 243)', colorScheme === 'light');
  });
}

test('the door is fit for everybody, too', async (t) => {
  const page = await openPage(t, browser, box.statusUrl, { viewport: { width: 360, height: 740 } });
  await page.getByRole('link', { name: 'More' }).click();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByLabel('Secret of this box').waitFor();
  assert.deepEqual(await accessibilityFaults(page), []);
  assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360);
  await picture(page, 'door-phone-light');
});

test('how long the first paint takes', async (t) => {
  const page = await openPage(t, browser, box.statusUrl);
  await page.locator('.sentence').waitFor();
  const paints = await page.evaluate(
    `performance.getEntriesByType('paint').map(({ name, startTime }) => name + ' ' + Math.round(startTime) + ' ms')`,
  );
  t.diagnostic(`cold cache, loopback: ${String(paints)}`);
});
