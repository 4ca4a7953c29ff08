import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { SECRETS_FILE } from '../../src/ops/sign-in-secrets.ts';
import { atEnd, type Scope } from './scope.ts';

/*
 * The status page in a real Chromium. A page that writes to its console, opens a dialog, fails, or asks any other host
 * fails its test.
 */

const ARGUMENTS = [
  '--no-sandbox',
  '--headless',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A folder for pictures of the page, for people to look at; none are taken without it. */
const PICTURES = process.env.PETIOLE_TEST_PICTURES;

/** Slow machines get their time: what is awaited here is always a condition. */
const PATIENCE_MS = 60_000;

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS });
}

export interface OpenOptions extends BrowserContextOptions {
  /** What follows the # of the address; default: the overview. */
  hash?: string;
  /** Failed answers that the test provokes, by text and address: the browser writes each to the console. */
  expected?: RegExp;
}

export async function openPage(t: Scope, browser: Browser, url: string, options: OpenOptions = {}): Promise<Page> {
  const { hash = '/overview', expected, ...contextOptions } = options;
  const context = await browser.newContext(contextOptions);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    const text = `${message.text()} ${message.location().url}`;
    if (!expected?.test(text)) complaints.push(text);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const { origin } = new URL(url);
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) complaints.push(`asked elsewhere: ${request.url()}`);
  });
  atEnd(t, async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  await page.goto(`${origin}/#${hash}`);
  return page;
}

/** Waits for the feed: the page then shows what the box says now. */
export async function untilLive(page: Page): Promise<void> {
  await page.locator('.feed[data-live=yes]').waitFor({ state: 'attached' });
}

/** What the operator of a box signs in with. */
export function operatorSecret(dataDir: string): string {
  return JSON.parse(readFileSync(join(dataDir, SECRETS_FILE), 'utf8')).operator;
}

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** What axe finds that is serious or critical, as `rule: element`. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  // Half a megabyte: once a page.
  if (await page.evaluate(`typeof axe === 'undefined'`)) await page.evaluate(await readFile(axe, 'utf8'));
  return page.evaluate(`axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ': ' + target + ' ' + failureSummary)))`);
}

export async function picture(page: Page, name: string, fullPage = false): Promise<void> {
  if (PICTURES === undefined) return;
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage });
}
