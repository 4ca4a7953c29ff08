import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import type { SessionState } from '../../src/ops/api.ts';
import { secretsIn } from '../../src/ops/sign-in-secrets.ts';
import { StatusServer, type StatusServerOptions } from '../../src/ops/status-server.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { snapshot } from '../unit/ops-snapshot.ts';

async function serve(t: TestContext, changes: Partial<StatusServerOptions> = {}): Promise<StatusServer> {
  const options = {
    host: '127.0.0.1',
    port: 0,
    folder: tempDir(t, 'page'),
    snapshot: () => snapshot(),
    log: silentLog,
  };
  const server = new StatusServer({ ...options, ...changes });
  await server.start();
  t.after(() => server.stop());
  return server;
}

interface Answer {
  status: number;
  cookie: string;
  text: string;
  retryAfter: string;
  // biome-ignore lint/suspicious/noExplicitAny: each endpoint has a shape of its own
  json: any;
}

interface Asked {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** Not by fetch, which takes no certificate and sets its own Host. */
async function ask(
  server: StatusServer,
  path: string,
  { method = 'GET', body, headers = {} }: Asked = {},
): Promise<Answer> {
  const text = body === undefined ? null : JSON.stringify(body);
  const isSecure = server.url.startsWith('https:');
  const options = {
    host: '127.0.0.1',
    port: server.address.port,
    path,
    method,
    agent: false,
    rejectUnauthorized: false,
    headers: {
      ...(text !== null && { 'Content-Type': 'application/json', 'Content-Length': text.length }),
      ...headers,
    },
  };
  return new Promise((resolve, reject) => {
    const sent = (isSecure ? httpsRequest : httpRequest)(options, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      const whole = Buffer.concat(chunks).toString();
      const isJson = response.headers['content-type']?.startsWith('application/json') === true;
      resolve({
        status: response.statusCode ?? 0,
        cookie: response.headers['set-cookie']?.[0] ?? '',
        retryAfter: response.headers['retry-after'] ?? '',
        text: whole,
        json: isJson ? JSON.parse(whole) : null,
      });
    });
    sent.on('error', reject);
    sent.end(text);
  });
}

function secretsOf(folder: string) {
  const secrets = secretsIn(folder);
  assert.ok(secrets !== null);
  return secrets;
}

async function signIn(
  server: StatusServer,
  secret: string,
): Promise<{ cookie: string; state: SessionState; whole: string }> {
  const answer = await ask(server, '/api/session', { method: 'POST', body: { secret } });
  assert.equal(answer.status, 200, answer.text);
  return { cookie: answer.cookie.split(';')[0] ?? '', state: answer.json, whole: answer.cookie };
}

test('secrets are made once, for the user of the box alone, and a damaged file is put aside', async (t) => {
  const folder = tempDir(t, 'page');
  const server = await serve(t, { folder });
  assert.match(server.newSecret ?? '', /^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$/);
  assert.equal(statSync(join(folder, 'sign-in.json')).mode & 0o777, 0o600);
  const first = secretsOf(folder);
  assert.equal(first.operator, server.newSecret);
  assert.notEqual(first.operator, first.viewer);
  const again = await serve(t, { folder });
  assert.equal(again.newSecret, null);
  assert.deepEqual(secretsOf(folder), first);
  writeFileSync(join(folder, 'sign-in.json'), '{"operator": "x');
  await serve(t, { folder });
  assert.notEqual(secretsOf(folder).operator, first.operator);
  assert.equal(readFileSync(join(folder, 'sign-in.json.bad'), 'utf8'), '{"operator": "x');
});

test('signing in: cookie, CSRF token, roles, and signing out ends it', async (t) => {
  const folder = tempDir(t, 'page');
  const server = await serve(t, { folder, viewer: 'signed-in' });
  const { operator, viewer } = secretsOf(folder);
  assert.equal((await ask(server, '/status.json')).status, 401);
  assert.equal((await ask(server, '/metrics')).json.error.code, 'sign_in');
  assert.equal((await ask(server, '/api/status')).status, 401);
  const health = await ask(server, '/healthz');
  assert.deepEqual(health.json, { status: 'ok', problems: [] });

  // As typed from a screen: small letters, spaces, and an O for each 0.
  const typed = operator.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o');
  const { cookie, state, whole } = await signIn(server, typed);
  assert.equal(state.role, 'operator');
  assert.ok(state.isSignedIn && state.csrf.length > 20);
  assert.match(whole, /HttpOnly/);
  assert.match(whole, /SameSite=Strict/);
  assert.equal((await ask(server, '/status.json', { headers: { Cookie: cookie } })).status, 200);
  // Whoever has the cookie alone, as a page of another origin would, changes nothing.
  const order = { method: 'POST', body: {} };
  const forged = await ask(server, '/api/session', { method: 'DELETE', headers: { Cookie: cookie } });
  assert.deepEqual([forged.status, forged.json.error.code], [403, 'csrf']);

  const reader = await signIn(server, viewer);
  assert.equal(reader.state.role, 'viewer');
  const headers = { Cookie: reader.cookie, 'Petiole-CSRF': reader.state.csrf };
  const refused = await ask(server, '/api/drain/pause', { ...order, headers });
  assert.deepEqual([refused.status, refused.json.error.code], [403, 'role']);

  const out = await ask(server, '/api/session', {
    method: 'DELETE',
    headers: { Cookie: cookie, 'Petiole-CSRF': state.csrf },
  });
  assert.equal(out.json.role, 'none');
  assert.match(out.cookie, /Max-Age=0/);
  assert.equal((await ask(server, '/status.json', { headers: { Cookie: cookie } })).status, 401);
  assert.equal((await ask(server, '/status.json', { headers: { Cookie: reader.cookie } })).status, 200);
});

test('a session outlives a restart, and ends with the secrets', async (t) => {
  const folder = tempDir(t, 'page');
  const before = await serve(t, { folder, viewer: 'signed-in' });
  const { port } = before.address;
  const { cookie } = await signIn(before, secretsOf(folder).viewer);
  await before.stop();
  const after = await serve(t, { folder, viewer: 'signed-in', port });
  assert.equal((await ask(after, '/status.json', { headers: { Cookie: cookie } })).status, 200);
  await after.stop();
  writeFileSync(join(folder, 'sign-in.json'), '');
  const renewed = await serve(t, { folder, viewer: 'signed-in', port });
  assert.equal((await ask(renewed, '/status.json', { headers: { Cookie: cookie } })).status, 401);
});

test('programs send the secret along; a wrong one makes the address wait', async (t) => {
  const folder = tempDir(t, 'page');
  const server = await serve(t, { folder, viewer: 'signed-in' });
  const { viewer } = secretsOf(folder);
  const bearer = { Authorization: `Bearer ${viewer}` };
  assert.equal((await ask(server, '/metrics', { headers: bearer })).status, 200);
  const basic = { Authorization: `Basic ${Buffer.from(`prometheus:${viewer}`).toString('base64')}` };
  assert.equal((await ask(server, '/metrics', { headers: basic })).status, 200);

  const wrong = await ask(server, '/api/session', { method: 'POST', body: { secret: 'AAAAA-AAAAA-AAAAA-AAAAA' } });
  assert.deepEqual([wrong.status, wrong.json.error.code], [401, 'sign_in_failed']);
  // Failures follow each other until one is told to wait: however slow this machine is, the wait grows to 4 s.
  const waiting = await waitFor('an answer that says to wait', async () => {
    const answer = await ask(server, '/api/session', { method: 'POST', body: { secret: 'wrong' } });
    return answer.status === 429 ? answer : undefined;
  });
  assert.equal(waiting.json.error.code, 'sign_in_too_fast');
  assert.ok(Number(waiting.retryAfter) >= 1);
  const { json } = await ask(server, '/api/session');
  assert.equal(json.role, 'none');
  // The right secret gets in once the wait is over.
  const opened = await waitFor('the right secret gets in', async () => {
    const answer = await ask(server, '/api/session', { method: 'POST', body: { secret: viewer } });
    return answer.status === 200 ? answer : undefined;
  });
  assert.equal(opened.json.role, 'viewer');
});

test('the first visit from the box shows the secret and its code, until somebody has signed in', async (t) => {
  const folder = tempDir(t, 'page');
  const server = await serve(t, { folder, host: '0.0.0.0' });
  const first: SessionState = (await ask(server, '/api/session')).json;
  assert.equal(first.role, 'viewer');
  assert.ok(first.firstVisit !== null);
  const { secret, url, qr } = first.firstVisit;
  assert.equal(secret, secretsOf(folder).operator);
  assert.equal(url === '' || url.endsWith(`#sign-in=${secret.replaceAll('-', '')}`), true);
  assert.match(qr.path, /^M\d+ \d+h\d+v1h-\d+z/);
  assert.ok(qr.size > 20);
  // Behind a proxy, or under a name of the web that resolves to this machine, one is not on the box.
  for (const headers of [{ 'X-Forwarded-For': '203.0.113.9' }, { Host: 'rebound.example' }]) {
    const { json } = await ask(server, '/api/session', { headers });
    assert.deepEqual([json.role, json.firstVisit], ['none', null], JSON.stringify(headers));
    assert.equal((await ask(server, '/status.json', { headers })).status, 401);
  }
  await signIn(server, secret);
  assert.equal((await ask(server, '/api/session')).json.firstVisit, null);
});

test('off loopback it speaks TLS with a certificate of its own making, which stays', async (t) => {
  const folder = tempDir(t, 'page');
  const tls = { kind: 'self-made', folder } as const;
  const server = await serve(t, { folder, host: '0.0.0.0', tls, viewer: 'local-network' });
  assert.match(server.url, /^https:/);
  const { port } = server.address;
  const { whole } = await signIn(server, secretsOf(folder).operator);
  assert.match(whole, new RegExp(`^__Host-petiole-${port}=.*; Secure$`));
  assert.equal((await ask(server, '/status.json')).status, 200);
  assert.equal(statSync(join(folder, 'status-key.pem')).mode & 0o777, 0o600);
  const made = readFileSync(join(folder, 'status-cert.pem'), 'utf8');
  await server.stop();
  const again = await serve(t, { folder, host: '0.0.0.0', tls, port });
  assert.equal((await ask(again, '/healthz')).status, 200);
  assert.equal(readFileSync(join(folder, 'status-cert.pem'), 'utf8'), made);
});

test('who asks from where: the rules for readers', async (t) => {
  const cases = [
    ['signed-in', {}, 401],
    ['loopback', {}, 200],
    ['local-network', {}, 200],
    ['local-network', { Host: 'box.local' }, 200],
    ['local-network', { Host: 'rebound.example' }, 401],
    ['local-network', { Forwarded: 'for=192.0.2.60' }, 401],
    ['anyone', { Host: 'plant.example', Via: '1.1 proxy' }, 200],
  ] as const;
  for (const [viewer, headers, status] of cases) {
    const server = await serve(t, { host: '0.0.0.0', viewer });
    const answer = await ask(server, '/status.json', { headers });
    assert.equal(answer.status, status, `${viewer} ${JSON.stringify(headers)}`);
    await server.stop();
  }
});

test('the API: unknown paths, wrong methods, bodies that are none', async (t) => {
  const server = await serve(t);
  assert.equal((await ask(server, '/api/nothing')).json.error.code, 'not_found');
  const wrong = await ask(server, '/api/status', { method: 'DELETE' });
  assert.deepEqual([wrong.status, wrong.json.error.code], [405, 'method_not_allowed']);
  assert.equal((await ask(server, '/api/session', { method: 'PUT' })).status, 405);
  const form = { 'Content-Type': 'text/plain', 'Content-Length': '0' };
  assert.equal((await ask(server, '/api/session', { method: 'POST', headers: form })).status, 415);
  const long = { 'Content-Type': 'application/json', 'Content-Length': String(2 * 1024 * 1024) };
  assert.equal((await ask(server, '/api/session', { method: 'POST', headers: long })).status, 413);
  for (const body of [[], 'text', { secret: 5 }, { secret: 'x'.repeat(101) }, {}]) {
    const answer = await ask(server, '/api/session', { method: 'POST', body });
    assert.equal(answer.status, 400, JSON.stringify(body));
  }
});
