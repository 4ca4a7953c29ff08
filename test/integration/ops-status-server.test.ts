import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import type { StatusFrame } from '../../src/ops/api.ts';
import type { Snapshot } from '../../src/ops/snapshot.ts';
import { StatusServer, type StatusServerOptions } from '../../src/ops/status-server.ts';
import { VIEWERS_MAX } from '../../src/ops/viewers.ts';
import { client, snapshot } from '../unit/ops-snapshot.ts';

async function serve(t: TestContext, changes: Partial<StatusServerOptions> = {}): Promise<StatusServer> {
  const options = { host: '127.0.0.1', port: 0, snapshot: () => snapshot(), log: silentLog };
  const server = new StatusServer({ ...options, ...changes });
  await server.start();
  t.after(() => server.stop());
  return server;
}

async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited in vain until ${what}`);
    await delay(10);
  }
}

interface Answer {
  statusCode: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** With `http.request`, for `fetch` forbids what some of these tests need to send. */
async function ask(
  server: StatusServer,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  const { port } = server.address;
  const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }).end();
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { statusCode: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

/** An open feed, with the frames that have come. */
class Feed {
  readonly views: StatusFrame[] = [];
  readonly #request: ReturnType<typeof get>;
  #closed = false;
  #rest = '';

  constructor(server: StatusServer) {
    this.#request = get(new URL('api/events', server.url), { agent: false }, (response) => {
      response.setEncoding('utf8');
      response.on('data', (text: string) => this.#read(text));
      response.on('error', () => {});
      response.on('close', () => {
        this.#closed = true;
      });
    });
    this.#request.on('error', () => {});
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#request.destroy();
  }

  #read(text: string): void {
    const events = (this.#rest + text).split('\n\n');
    this.#rest = events.pop() ?? '';
    for (const event of events) {
      const data = /^event: status\ndata: (.*)$/.exec(event)?.[1];
      if (data !== undefined) this.views.push(JSON.parse(data));
    }
  }
}

function closeAll(feeds: readonly Feed[]): void {
  for (const feed of feeds) feed.close();
}

test('/healthz, /status.json and the page, for GET and HEAD', async (t) => {
  const server = await serve(t);
  const health = await ask(server, '/healthz');
  assert.equal(health.statusCode, 200);
  assert.deepEqual(JSON.parse(health.body), { status: 'ok', problems: [] });
  assert.deepEqual(JSON.parse((await ask(server, '/status.json?x=1')).body), snapshot());
  const whole = await ask(server, '/');
  assert.equal(whole.statusCode, 200);
  assert.equal(whole.headers['content-type'], 'text/html; charset=utf-8');
  assert.ok(whole.body.startsWith('<!doctype html>'));
  const head = await ask(server, '/', {}, 'HEAD');
  assert.equal(head.body, '');
  assert.equal(head.headers['content-length'], whole.headers['content-length']);
  assert.equal((await ask(server, '/api/events', {}, 'HEAD')).statusCode, 200);
  assert.equal((await ask(server, '/../etc/passwd')).statusCode, 404);
});

test('/healthz answers 503 with the reasons while the box cannot take data', async (t) => {
  const server = await serve(t, { snapshot: () => snapshot({ store: { state: 'full', freeBytes: 1 } }) });
  const { statusCode, body } = await ask(server, '/healthz');
  assert.equal(statusCode, 503);
  assert.equal(JSON.parse(body).status, 'failing');
  assert.equal(JSON.parse(body).problems[0].code, 'disk_full');
});

test('every answer carries the security headers', async (t) => {
  const server = await serve(t);
  for (const [path, method] of [
    ['/', 'GET'],
    ['/status.json', 'GET'],
    ['/nothing', 'GET'],
    ['/', 'POST'],
  ] as const) {
    const { headers } = await ask(server, path, {}, method);
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.ok(!policy.includes('unsafe'));
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['access-control-allow-origin'], undefined);
  }
});

test('only reading: other methods get 405, bodies 400', async (t) => {
  const server = await serve(t);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']) {
    const { statusCode, headers } = await ask(server, '/status.json', {}, method);
    assert.equal(statusCode, 405, method);
    assert.equal(headers.allow, 'GET, HEAD');
  }
  assert.equal((await ask(server, '/', { 'Content-Length': '9' })).statusCode, 400);
  assert.equal(server.status().counters.refused, 7);
});

test('a rebound name does not reach a page on loopback', async (t) => {
  const server = await serve(t);
  const { port } = server.address;
  for (const host of ['localhost', `LOCALHOST:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, '127.0.0.1']) {
    assert.equal((await ask(server, '/status.json', { Host: host })).statusCode, 200, host);
  }
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '127.0.0.1:x',
  ]) {
    assert.equal((await ask(server, '/status.json', { Host: host })).statusCode, 421, host);
  }
});

test('on a public address any name may be right', async (t) => {
  const server = await serve(t, { host: '0.0.0.0' });
  assert.equal((await ask(server, '/healthz', { Host: 'plant1.example' })).statusCode, 200);
});

test('pages of other origins get nothing but the page itself', async (t) => {
  const server = await serve(t);
  for (const [site, path, statusCode] of [
    ['cross-site', '/', 200],
    ['cross-site', '/api/events', 403],
    ['same-site', '/status.json', 403],
    ['same-origin', '/status.json', 200],
    ['none', '/status.json', 200],
  ] as const) {
    assert.equal((await ask(server, path, { 'Sec-Fetch-Site': site })).statusCode, statusCode, `${site} ${path}`);
  }
});

test('the feed shows each change within a second or so, and one snapshot serves all viewers', async (t) => {
  let taken = 0;
  let current: Snapshot = snapshot();
  const server = await serve(t, {
    snapshot: () => {
      taken++;
      return current;
    },
  });
  assert.equal(taken, 0);
  const feeds = [new Feed(server), new Feed(server), new Feed(server)];
  t.after(() => closeAll(feeds));
  await until(() => feeds.every((feed) => feed.views.length > 0), 'each has a first view');
  assert.equal(taken, 1);
  assert.match(feeds[0]?.views[0]?.sentence ?? '', /everything sent/);
  current = snapshot({ store: { state: 'failed' } });
  const startMs = performance.now();
  await until(() => feeds.every((feed) => feed.views.at(-1)?.tone === 'failing'), 'each shows the failure');
  await until(() => feeds.every((feed) => feed.views.length >= 3), 'each has a third view');
  assert.ok(taken <= 2 + (performance.now() - startMs) / 990, `${taken} snapshots`);
});

test('nothing is computed once nobody looks', async (t) => {
  let taken = 0;
  const server = await serve(t, {
    snapshot: () => {
      taken++;
      return snapshot();
    },
  });
  const feed = new Feed(server);
  await until(() => feed.views.length >= 2, 'the feed runs');
  feed.close();
  await until(() => server.status().viewers === 0, 'the viewer is gone');
  const before = taken;
  // Two periods of the feed: the absence of something can't be awaited.
  await delay(2200);
  assert.equal(taken, before);
});

test('viewers are bounded, and a place that is left is free again', async (t) => {
  const server = await serve(t);
  const feeds = Array.from({ length: VIEWERS_MAX }, () => new Feed(server));
  t.after(() => closeAll(feeds));
  await until(() => server.status().viewers === VIEWERS_MAX, 'all places are taken');
  const { statusCode, headers } = await ask(server, '/api/events');
  assert.equal(statusCode, 503);
  assert.equal(headers['retry-after'], '10');
  assert.equal((await ask(server, '/healthz')).statusCode, 200);
  feeds[0]?.close();
  await until(() => server.status().viewers === VIEWERS_MAX - 1, 'a place is free');
  const next = new Feed(server);
  t.after(() => next.close());
  await until(() => next.views.length > 0, 'the next one gets in');
});

test('a viewer that does not read misses frames and is let go, while memory stays bounded', async (t) => {
  // Large frames, so that the socket is full at once; the timer is driven by hand to not wait half a minute.
  t.mock.timers.enable({ apis: ['setInterval'] });
  const clients = Array.from({ length: 200 }, (_, i) => client(`c${i}-${'x'.repeat(100)}`));
  const server = await serve(t, { snapshot: () => snapshot({ mqtt: { clients } }) });
  const socket = await rawRequest(server, 'GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  socket.pause();
  await until(() => server.status().viewers === 1, 'the viewer is in');
  let ticks = 0;
  while (server.status().viewers === 1) {
    assert.ok(++ticks < 2000, 'it is still there');
    t.mock.timers.tick(1000);
    await delay(1);
  }
  assert.ok(ticks > 30);
  socket.destroy();
});

async function rawRequest(server: StatusServer, text: string): Promise<Socket> {
  const socket = connect(server.address.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

async function answerTo(server: StatusServer, text: string): Promise<string> {
  const socket = await rawRequest(server, text);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks).toString().split('\r\n', 1)[0] ?? '';
}

test('bad input from outside: a clear answer, a closed connection, and the server goes on', async (t) => {
  const server = await serve(t);
  assert.equal(await answerTo(server, 'garbage\r\n\r\n'), 'HTTP/1.1 400 Bad Request');
  assert.equal(await answerTo(server, '\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0'), 'HTTP/1.1 400 Bad Request');
  const long = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(9000)}\r\n\r\n`;
  assert.equal(await answerTo(server, long), 'HTTP/1.1 431 Request Header Fields Too Large');
  assert.equal(await answerTo(server, 'GET / HTTP/1.1\r\n\r\n'), 'HTTP/1.1 400 Bad Request');
  assert.equal(await answerTo(server, 'GET / HTTP/1.0\r\n\r\n'), 'HTTP/1.1 421 Misdirected Request');
  assert.equal(await answerTo(server, 'CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n'), '');
  const upgrade = 'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n';
  assert.equal(await answerTo(server, upgrade), 'HTTP/1.1 404 Not Found');
  // The slow loris: a request that never ends.
  assert.equal(await answerTo(server, 'GET / HTTP/1.1\r\nHost: localhost\r\nX: '), 'HTTP/1.1 408 Request Timeout');
  assert.equal((await ask(server, '/healthz')).statusCode, 200);
  assert.ok(server.status().counters.malformed >= 4);
});

test('a snapshot that throws costs the answer, not the process', async (t) => {
  let broken = true;
  const server = await serve(t, {
    snapshot: () => {
      if (broken) throw new Error('no such lane');
      return snapshot();
    },
  });
  const { statusCode, body } = await ask(server, '/status.json');
  assert.equal(statusCode, 500);
  assert.ok(!body.includes('no such lane'));
  assert.equal((await ask(server, '/api/events')).statusCode, 500);
  broken = false;
  const feed = new Feed(server);
  t.after(() => feed.close());
  await until(() => feed.views.length === 1, 'the feed starts');
  broken = true;
  await until(() => server.status().counters.failed >= 3, 'a frame fails');
  broken = false;
  await until(() => feed.views.length >= 2, 'the feed goes on');
});

test('start rejects with the address and a cure', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const failing = (host: string, at: number): Promise<void> =>
    new StatusServer({ host, port: at, snapshot: () => snapshot(), log: silentLog }).start();
  await assert.rejects(failing('127.0.0.1', port), (error: unknown) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'address_in_use');
    assert.ok(error.message.includes(`127.0.0.1:${port}`));
    assert.match(error.hint, /status\.listen/);
    return true;
  });
  await assert.rejects(failing('192.0.2.1', 8080), { code: 'address_not_available' });
});

test('stop ends the feeds at once, may be called twice, and frees the port', async (t) => {
  const server = await serve(t);
  const feed = new Feed(server);
  await until(() => feed.views.length > 0, 'the feed runs');
  const { address } = server;
  const loris = await rawRequest(server, 'GET / HTTP/1.1\r\n');
  await Promise.all([server.stop(), server.stop()]);
  await until(() => feed.closed && loris.destroyed, 'both ends are closed');
  const again = new StatusServer({ ...address, snapshot: () => snapshot(), log: silentLog });
  t.after(() => again.stop());
  await again.start();
  assert.deepEqual(again.address, address);
});
