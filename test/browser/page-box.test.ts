import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { connect as connectNats } from '@nats-io/transport-node';
import { connectAsync, type MqttClient } from 'mqtt';
import type { Browser, Page } from 'playwright-core';
import { type Box, startBox } from '../support/box.ts';
import { launchBrowser, openPage, operatorSecret } from '../support/browser.ts';
import { freePort } from '../support/ports.ts';
import { atEnd } from '../support/scope.ts';

/* One real box with real clients, and one page of it: what the operator does, and what comes of it. */

const suite = { after };
/** What the wrong secret is answered with. */
const REFUSED = /401 .*\/api\/session/;

let browser: Browser;
let box: Box;
let page: Page;

// Here and not in the hook below, whose own end it would be.
atEnd(suite, () => browser.close());
before(async () => {
  browser = await launchBrowser();
  // An upstream that nobody listens at: what is kept stays to be looked at.
  const upstream = { urls: [`nats://127.0.0.1:${await freePort()}`] };
  const lanes = [{ name: 'telemetry', subjects: ['line3.>'] }];
  box = await startBox(suite, { name: 'plant1', config: { upstream, lanes } });
  page = await openPage(suite, browser, box.statusUrl, { expected: REFUSED });
});

const secret = (): string => operatorSecret(box.dataDir);

async function view(name: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await page.getByRole('heading', { name, level: 1, exact: true }).waitFor();
}

async function sensor(clientId: string): Promise<MqttClient> {
  const client = await connectAsync(box.mqttUrl, { clientId, reconnectPeriod: 0 });
  client.on('error', () => {});
  return client;
}

test('who is on the box reads; a wrong secret opens nothing, the right one all', async () => {
  await page.locator('.sentence').waitFor();
  await view('Live');
  assert.equal(await page.getByRole('button', { name: 'Publish' }).count(), 0);
  await page.getByRole('button', { name: 'Sign in' }).click();
  // The first visit from the box itself: the secret, and the way in for a phone.
  await page.getByRole('img', { name: /QR code/ }).waitFor();
  await page.getByLabel('Secret of this box').fill('0000-0000');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('alert').waitFor();
  await page.getByLabel('Secret of this box').fill(secret());
  const enter = page.getByRole('button', { name: 'Sign in', exact: true });
  await enter.click();
  await page.getByText('Signed in as operator').waitFor();
  await page.getByRole('button', { name: 'Publish', exact: true }).waitFor();
});

test('what machine it is, for who asks', async () => {
  await view('Overview');
  await page.getByText('About this machine').click();
  const box = page.getByRole('region', { name: 'Box', exact: true });
  await box.getByText(/^\d+\.\d+\S* x64$|^\d+\.\d+\S* arm64$/).waitFor();
});

test('a message that a sensor publishes is there at once, in the form that is asked for', async () => {
  await view('Live');
  await page.getByLabel('Subject or topic filter').fill('line3/#');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByText('Nothing yet on line3/#.').waitFor();
  const oven = await sensor('oven-12');
  const messages = page.getByRole('region', { name: 'Messages' });
  // The tail opens while we go on: what comes before it is not seen.
  await messages.getByText('JSON').or(messages.getByText('Nothing yet')).first().waitFor();
  const again = setInterval(() => oven.publish('line3/oven', '{"t":21.5}', { qos: 1 }), 100);
  await messages.getByText('{"t":21.5}').first().waitFor();
  clearInterval(again);
  await oven.publishAsync('line3/hostile', '<script>alert(1)</script>', { qos: 1 });
  const hostile = messages.getByRole('listitem').filter({ hasText: 'line3.hostile' });
  assert.equal(await hostile.locator('pre').textContent(), '<script>alert(1)</script>');
  assert.equal(await messages.locator('script').count(), 0);
  await page.getByLabel('Show payloads as').selectOption('hex');
  await hostile.getByText('3c 73 63 72 69 70 74').waitFor();
  await page.getByLabel('Show payloads as').selectOption('JSON');
  await hostile.getByText('(no JSON)').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await oven.publishAsync('line3/later', 'x', { qos: 1 });
  await page.getByRole('button', { name: /Go on \(1 new\)/ }).click();
  await messages.getByText('line3.later').waitFor();
  await oven.endAsync();
  await view('Overview');
  await page.getByText(/\d+ messages? (?:is|are) kept here/).waitFor();
});

test('what the operator publishes reaches a sensor, and a request brings its answer', async () => {
  const valve = await sensor('valve-1');
  await valve.subscribeAsync('cmd/#', { qos: 1 });
  const arrival = new Promise<string>((resolve) => {
    valve.once('message', (topic, payload) => resolve(`${topic} ${payload}`));
  });
  await view('Live');
  await page.getByLabel('Subject or topic', { exact: true }).fill('cmd/valve');
  await page.getByLabel('Payload', { exact: true }).fill('open');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  assert.equal(await arrival, 'cmd/valve open');
  await page.getByText('reached 1 subscription').first().waitFor();
  await valve.endAsync();

  const program = await connectNats({ servers: box.natsUrl });
  program.subscribe('ask.me', { callback: (_, message) => void message.respond('{"answer":42}') });
  await program.flush();
  await page.getByLabel('Subject or topic', { exact: true }).fill('ask.me');
  await page.getByRole('button', { name: 'Request' }).click();
  await page.getByRole('region', { name: 'Publish or request' }).getByText('{"answer":42}').waitFor();
  await program.close();
});

test('a connection that the operator ends is ended', async () => {
  const pump = await sensor('pump <b>3</b>');
  const closed = new Promise<void>((resolve) => pump.once('close', () => resolve()));
  await view('Devices');
  await page.getByRole('button', { name: 'pump <b>3</b>' }).click();
  await page.getByRole('button', { name: 'End its connection' }).click();
  await page.getByRole('button', { name: 'End it', exact: true }).click();
  await closed;
  await page.getByRole('dialog').waitFor({ state: 'detached' });
});

test('a lane is held and let go', async () => {
  await view('Journal');
  await page.getByLabel('How long a pause lasts').selectOption('3600');
  await page.getByRole('button', { name: 'Pause lane telemetry' }).click();
  await page.getByText(/paused by .*59 min.*left|paused by .*1 h left/).waitFor();
  await page.getByRole('button', { name: 'Resume lane telemetry' }).click();
  await page.getByRole('button', { name: 'Pause lane telemetry' }).waitFor();
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download' }).click();
  const [first = ''] = readFileSync(await (await download).path(), 'utf8').split('\n');
  assert.equal(JSON.parse(first).lane, 'telemetry');
});

test('the log is filtered by level and by text', async () => {
  await view('Logs');
  const lines = page.getByRole('region', { name: 'Log lines' }).getByRole('listitem');
  await lines.getByText(/^ready/).waitFor();
  await page.getByRole('searchbox').fill('no line says this');
  await page.getByText('No line fits.').waitFor();
  await page.getByRole('searchbox').fill('ready');
  await lines.getByText(/^ready/).waitFor();
  await page.getByLabel('Level').selectOption('error');
  await page.getByText('No line fits.').waitFor();
});

test('who signs out can change nothing any more', async () => {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('Viewer, not signed in').waitFor();
  await view('Journal');
  await page.getByRole('region', { name: 'Lanes' }).getByText('telemetry').waitFor();
  assert.equal(await page.getByRole('button', { name: /Pause/ }).count(), 0);
});
