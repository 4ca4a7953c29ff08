import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import { build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { ListenerOptions } from '../../src/core/listen.ts';
import { startClientPort } from '../support/client-port.ts';

/*
 * The official client in a page, as a panel in a plant has it: bundled, in a real Chromium, from another origin than the
 * port's.
 */

const PAGE = `
  import { wsconnect, headers } from '@nats-io/nats-core';
  window.nats = { wsconnect, headers };
`;

let browser: Browser;
let script = '';
before(async () => {
  const require = createRequire(import.meta.url);
  const { outputFiles } = await build({
    stdin: { contents: PAGE, resolveDir: import.meta.dirname },
    alias: { '@nats-io/nats-core': require.resolve('@nats-io/nats-core') },
    bundle: true,
    write: false,
    platform: 'browser',
  });
  script = outputFiles[0]?.text ?? '';
  const args = ['--no-sandbox', '--headless', '--disable-gpu', '--no-first-run', '--disable-background-networking'];
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
});
after(() => browser.close());

/** A page of a web server of its own; `host` gives its origin. */
async function open(t: TestContext, host: string): Promise<Page> {
  const server = createServer((request, response) => {
    const isScript = request.url === '/nats.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : '<!doctype html><script src="/nats.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const context = await browser.newContext();
  t.after(async () => {
    await context.close();
    server.close();
  });
  const page = await context.newPage();
  await page.goto(`http://${host}:${(server.address() as AddressInfo).port}/`);
  return page;
}

async function start(t: TestContext, listener: Partial<ListenerOptions>) {
  const { port } = await startClientPort(t, { listener });
  return { url: `ws://127.0.0.1:${port.addresses[0]?.port}`, port };
}

/** What is said in the page, in the page's own words. */
const session = async (url: string): Promise<unknown> => {
  // biome-ignore lint/suspicious/noExplicitAny: it lives in the page, where the bundle has put it
  const { wsconnect, headers } = (globalThis as any).nats;
  const connection = await wsconnect({ servers: url, reconnect: false, name: 'panel' });
  connection.subscribe('echo', {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    callback: (_: unknown, message: any) => message.respond(message.data, { headers: message.headers }),
  });
  const with_ = headers();
  with_.set('K', 'v');
  const answer = await connection.request('echo', 'x'.repeat(50_000), { timeout: 20_000, headers: with_ });
  const missing = await connection.request('nobody', '', { timeout: 20_000 }).catch((error: Error) => error.message);
  let got = 0;
  const all = connection.subscribe('burst', { max: 5_000 });
  for (let i = 0; i < 5_000; i++) connection.publish('burst', `${i}`);
  for await (const message of all) if (message.string() === `${got}`) got++;
  const { version } = connection.info;
  await connection.drain();
  return { bytes: answer.data.length, header: answer.headers.get('K'), missing, got, version };
};

test('nats.js in a page: requests, headers, no responders, a burst in order, drain', async (t) => {
  const { url, port } = await start(t, { websocket: { path: '/' } });
  const page = await open(t, '127.0.0.1');
  const { version, ...result } = (await page.evaluate(session, url)) as Record<string, unknown>;
  assert.deepEqual(result, { bytes: 50_000, header: 'v', missing: `no responders: 'nobody'`, got: 5_000 });
  assert.match(String(version), /^2\./);
  assert.equal(port.status().counters.slowConsumers, 0);
});

test('a page of another origin reaches a port of this machine only where it is named', async (t) => {
  const { url, port } = await start(t, { websocket: { path: '/', origins: [] } });
  // The same server by a name that is no address of loopback.
  const elsewhere = await open(t, 'panel.localhost');
  await assert.rejects(elsewhere.evaluate(session, url));
  assert.equal(port.status().counters.handshakesRefused, 1);
  const origin = new URL(elsewhere.url()).origin;
  const named = await start(t, { websocket: { path: '/', origins: [origin] } });
  const { got } = (await elsewhere.evaluate(session, named.url)) as { got: number };
  assert.equal(got, 5_000);
});
