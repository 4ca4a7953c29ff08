import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { listen, operatorOf } from '../support/api.ts';
import { type Box, startBox } from '../support/box.ts';
import { launchBrowser, openPage, operatorSecret } from '../support/browser.ts';
import { atEnd } from '../support/scope.ts';
import { plugDevice, type SerialDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/* Serial ports of a real box with a real pty behind them: in the API, and as a technician sees them. */

const suite = { after };
const HOSTILE = '<img src=x onerror=alert(1)>';

let browser: Browser;
let box: Box;
let scale: SerialDevice;
let page: Page;

// Here and not in the hook below, whose own end it would be.
atEnd(suite, () => browser.close());
before(async () => {
  browser = await launchBrowser();
  scale = await plugDevice(suite, join(tempDir(suite, 'serial'), 'ttyScale'));
  const port = { name: 'scale', port: scale.path, subject: 'line3.scale', decode: { type: 'json' } };
  const absent = { name: 'spare', port: `${scale.path}-none`, subject: 'line3.spare' };
  box = await startBox(suite, { name: 'plant1', config: { serial: [port, absent] } });
  await waitFor('the port', async () => (await box.status()).serial[0].state === 'open');
  const hash = `sign-in=${operatorSecret(box.dataDir)}`;
  page = await openPage(suite, browser, box.statusUrl, { hash });
  await page.getByRole('navigation').getByRole('link', { name: 'Serial', exact: true }).click();
});

const panel = () => page.getByRole('region', { name: 'scale', exact: true });

test('a port shows its state, its counters and why bytes were thrown away', async () => {
  await panel().getByText('Open', { exact: true }).waitFor();
  await scale.send('{"kg":1.5}\n{"kg":1.6}\nno JSON\n');
  const stat = (label: string) => panel().locator('.stats > div', { hasText: label });
  await stat('Messages').getByText('2', { exact: true }).waitFor();
  await stat('Undecodable').getByText('1', { exact: true }).waitFor();
  await panel().getByRole('list', { name: 'Why bytes were thrown away' }).getByRole('listitem').first().waitFor();
  const spare = page.getByRole('region', { name: 'spare', exact: true });
  await spare.getByText('Unplugged', { exact: true }).waitFor();
  await spare.getByText(/There is no device .*Plug it in/).waitFor();
});

test('the flight recorder shows what was on the line, and its file is one that the command reads', async () => {
  await panel()
    .getByRole('button', { name: /Flight recorder/ })
    .click();
  const recorder = page.getByRole('region', { name: 'Flight recorder of scale' });
  await recorder
    .getByText(/no JSON|6e 6f 20 4a/)
    .first()
    .waitFor();
  const download = page.waitForEvent('download');
  await panel().getByRole('link', { name: 'Capture' }).click();
  const file = await download;
  assert.equal(file.suggestedFilename(), 'scale.capture');
  const text = readFileSync(await file.path(), 'utf8');
  assert.equal(text, await recorder.locator('pre').textContent());
});

test('the bytes on the line are seen as they pass, and are text and nothing else', async () => {
  await panel().getByRole('button', { name: 'Watch the line' }).click();
  await panel().getByText('Nothing has passed yet.').waitFor();
  const bytes = page.getByRole('region', { name: 'Bytes on scale' });
  // The stream opens while we go on: what comes before it is not seen.
  await waitFor(
    'the bytes',
    async () => {
      await scale.send(`${HOSTILE}\n`);
      return (await bytes.getByText('<img src=x onerr').count()) > 0;
    },
    { timeoutMs: 30_000, intervalMs: 200 },
  );
  await bytes.getByText('3c 69 6d 67').first().waitFor();
  assert.equal(await bytes.locator('img').count(), 0);
  await panel().getByRole('button', { name: 'Watch the line' }).click();
  await bytes.waitFor({ state: 'detached' });
});

test('an unplugged device is told at once, and so is its return', async () => {
  await scale.unplug();
  await panel().getByText('Unplugged', { exact: true }).waitFor();
  await scale.plug();
  await panel().getByText('Open', { exact: true }).waitFor();
});

test('the API: sniffing is for operators, four at a time, and ends with its reader', async (t) => {
  const { headers, get } = operatorOf(box);
  const [port] = (await get('/api/serial')).ports;
  assert.deepEqual([port.name, port.state, port.kind], ['scale', 'open', 'frames']);
  const path = '/api/serial/scale/sniff';
  const statusOf = async (address: string, init: RequestInit = {}) => {
    const answer = await fetch(`${box.statusUrl}${address}`, init);
    await answer.body?.cancel();
    return answer.status;
  };
  assert.equal(await statusOf(path), 401);
  assert.equal(await statusOf('/api/serial/nobody/sniff', { headers }), 404);
  assert.equal(await statusOf('/api/serial/nobody/capture', { headers }), 404);
  assert.equal(await statusOf('/api/serial/..%2f/capture', { headers }), 404);
  const sniffs = Array.from({ length: 4 }, () => listen(t, box, path, headers));
  await Promise.all(sniffs.map(({ opened }) => opened));
  assert.equal(await statusOf(path, { headers }), 503);
  await scale.send('{"kg":2}\n');
  for (const sniff of sniffs) {
    const heard = await waitFor('the bytes', () => {
      const all = sniff.of('bytes').map(({ data }) => Buffer.from(data, 'base64').toString());
      return all.join('').includes('{"kg":2}\n') ? sniff.of('bytes') : undefined;
    });
    assert.ok(heard.every(({ direction, skippedBytes }) => direction === 'in' && skippedBytes === 0));
  }
  sniffs[0]?.close();
  await waitFor('a place', async () => (await statusOf(path, { headers })) === 200);
});

test('a line that floods is shown in part, and says how much was left out', async (t) => {
  const sniff = listen(t, box, '/api/serial/scale/sniff', operatorOf(box).headers);
  await sniff.opened;
  const line = `${JSON.stringify({ kg: 'x'.repeat(200) })}\n`;
  await waitFor(
    'bytes left out',
    async () => {
      await scale.send(line.repeat(500));
      return sniff.of('bytes').some(({ skippedBytes }) => skippedBytes > 0);
    },
    { timeoutMs: 30_000, intervalMs: 50 },
  );
});
