import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { connectAsync } from 'mqtt';
import type { Browser, Page } from 'playwright-core';
import { type Box, startBox } from '../support/box.ts';
import { launchBrowser, openPage, operatorSecret } from '../support/browser.ts';
import { freePort } from '../support/ports.ts';
import { atEnd } from '../support/scope.ts';

/* The settings of a real box: read, checked, applied on trial, and taken back by the box itself. */

const suite = { after };

let browser: Browser;
let box: Box;
let page: Page;

// Here and not in the hook below, whose own end it would be.
atEnd(suite, () => browser.close());
before(async () => {
  browser = await launchBrowser();
  const urls = [`nats://127.0.0.1:${await freePort()}`];
  const upstream = { urls, user: 'plant1', password: 'pl4nted-secret' };
  box = await startBox(suite, { name: 'plant1', config: { upstream } });
  page = await openPage(suite, browser, box.statusUrl, { hash: `sign-in=${operatorSecret(box.dataDir)}` });
  await page.getByRole('navigation').getByRole('link', { name: 'Settings' }).click();
});

const editor = () => page.getByLabel('Configuration', { exact: true });

test('every setting is shown with where it comes from, and no secret', async () => {
  const table = page.getByRole('region', { name: 'Settings in force' });
  const name = table.getByRole('row').filter({ hasText: 'gateway.name' });
  await name.getByText('plant1').waitFor();
  await name.getByText('File').waitFor();
  await page.getByLabel('Only what is set').check();
  await page.getByRole('searchbox').fill('password');
  await table.getByText('[redacted]').first().waitFor();
  assert.ok(!(await page.content()).includes('pl4nted-secret'));
});

test('a mistake is told with its line, and cannot be applied', async () => {
  await page.getByRole('radio', { name: 'Edit' }).check();
  const text = await editor().inputValue();
  assert.ok(!text.includes('pl4nted-secret'));
  await editor().fill(text.replace(`127.0.0.1:${box.mqttPort}`, 'nowhere'));
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByText('This configuration would not be taken.').waitFor();
  await page
    .getByRole('list', { name: 'What is wrong' })
    .getByRole('button', { name: /^Line \d+$/ })
    .click();
  const selected = await editor().evaluate((node: { value: string; selectionStart: number; selectionEnd: number }) =>
    node.value.slice(node.selectionStart, node.selectionEnd),
  );
  assert.match(selected, /nowhere/);
  assert.ok(await page.getByRole('button', { name: 'Apply on trial' }).isDisabled());
  await page.getByRole('button', { name: 'Undo all' }).click();
});

test('what does not come back in time is taken back by the box itself', async () => {
  const before = readFileSync(box.configFile, 'utf8');
  // A sensor that stays where it is: a listener that moves away loses it.
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'pump-3' });
  sensor.on('error', () => {});
  atEnd(suite, () => sensor.endAsync(true));
  const moved = await freePort();
  const text = await editor().inputValue();
  await editor().fill(text.replace(`127.0.0.1:${box.mqttPort}`, `127.0.0.1:${moved}`));
  await page.getByRole('button', { name: 'Check' }).click();
  const difference = page.getByRole('region', { name: 'Difference of the file' });
  await difference.getByText(`127.0.0.1:${moved}`).waitFor();
  await page.getByLabel('Time to come back').selectOption('10');
  await page.getByRole('button', { name: 'Apply on trial' }).click();
  const trial = page.getByRole('region', { name: 'Configuration on trial' });
  await trial.getByText(/Not back yet: .*pump-3/).waitFor();
  await trial.waitFor({ state: 'detached' });
  await page.getByText(/^The configuration applied .* was taken back\./).waitFor();
  // It is as it was: the file, and the listener that the sensor finds again.
  assert.equal(readFileSync(box.configFile, 'utf8'), before);
  const again = await connectAsync(box.mqttUrl, { clientId: 'pump-4' });
  await again.endAsync();
});
