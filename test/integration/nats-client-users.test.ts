import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createUser } from '@nats-io/nkeys';
import {
  type ConnectionOptions,
  connect,
  type NatsConnection,
  nkeyAuthenticator,
  tokenAuthenticator,
} from '@nats-io/transport-node';
import { LoginDelays } from '../../src/core/login-delays.ts';
import { hashPassword } from '../../src/core/password.ts';
import { hashToken, newToken } from '../../src/core/token.ts';
import type { UserRules } from '../../src/core/users.ts';
import { type PortChoices, type RawClient, startClientPort } from '../support/client-port.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const token = newToken();
const key = createUser();
const users: UserRules[] = [];
before(async () => {
  const passwordHash = await hashPassword('secret');
  const user = { passwordHash: null, certificate: null, publish: ['>'], subscribe: ['>'] };
  users.push(
    { ...user, name: 'line3', passwordHash, publish: ['line3.>', 'ask.*'], subscribe: ['line3.cmd.>', '_INBOX.>'] },
    { ...user, name: 'flow', tokenHash: hashToken(token) },
    { ...user, name: 'press', nkey: key.getPublicKey() },
    {
      ...user,
      name: 'narrow',
      passwordHash,
      publish: ['n.>'],
      publishDeny: ['n.not.>'],
      subscribe: ['n.>'],
      subscribeDeny: ['n.hidden', 'n.dark.>'],
    },
    { ...user, name: 'own', passwordHash, publish: ['own.{clientid}.>'], subscribe: ['{username}.{clientid}.>'] },
    {
      ...user,
      name: 'responder',
      passwordHash,
      publish: ['r.up'],
      subscribe: ['svc'],
      responses: { max: 2, expiresMs: 60_000 },
    },
    {
      ...user,
      name: 'late',
      passwordHash,
      publish: [],
      subscribe: ['svc'],
      responses: { max: 9, expiresMs: 1 },
    },
  );
});

async function start(scope: Scope, choices: PortChoices = {}) {
  const made = await startClientPort(scope, { users, listener: { anonymous: false }, ...choices });
  const url = `nats://127.0.0.1:${made.port.addresses[0]?.port}`;
  const client = async (options: ConnectionOptions): Promise<NatsConnection> => {
    const connection = await connect({ servers: url, reconnect: false, ...options });
    atEnd(scope, () => connection.close());
    return connection;
  };
  const raw = async (user: string, more: Record<string, unknown> = {}): Promise<RawClient> =>
    (await made.open()).connect({ user, pass: 'secret', ...more });
  return { ...made, client, raw };
}

test('official clients by password, token and NKey; each is told who it is', async (t) => {
  const { client, port } = await start(t);
  const seed = key.getSeed();
  const proofs: [name: string, options: ConnectionOptions][] = [
    ['line3', { user: 'line3', pass: 'secret' }],
    ['flow', { authenticator: tokenAuthenticator(token) }],
    ['press', { authenticator: nkeyAuthenticator(seed) }],
  ];
  for (const [name, options] of proofs) {
    const connection = await client(options);
    const { data } = (await connection.request('$SYS.REQ.USER.INFO')).json<{ data: { user: string } }>();
    assert.equal(data.user, name);
    assert.equal(port.status().clients.find(({ user }) => user === name)?.lang, 'nats.js');
  }
  assert.equal(port.status().counters.loginsRefused, 0);
});

test('a wrong password, token or NKey, and no word at all: Authorization Violation, counted', async (t) => {
  // By this clock every failure is long ago.
  let now = 0;
  const delays = new LoginDelays(() => (now += 60_000));
  const { client, open, port } = await start(t, { delays });
  const proofs: ConnectionOptions[] = [
    { user: 'line3', pass: 'wrong' },
    { user: 'nobody', pass: 'secret' },
    { user: 'line3' },
    { authenticator: tokenAuthenticator(`${token}x`) },
    { authenticator: nkeyAuthenticator(createUser().getSeed()) },
    // A user that has a token only.
    { user: 'flow', pass: token },
    {},
  ];
  for (const options of proofs)
    await assert.rejects(client(options), /authorization violation/i, JSON.stringify(options));
  assert.equal(port.status().counters.loginsRefused, proofs.length);
  // The right signature of another connection's nonce.
  const first = await open();
  const { nonce } = JSON.parse((await first.until('}\r\n')).replace('INFO ', ''));
  const sig = Buffer.from(key.sign(Buffer.from(nonce))).toString('base64url');
  const second = await open();
  const told = JSON.parse((await second.until('}\r\n')).replace('INFO ', ''));
  assert.notEqual(told.nonce, nonce);
  assert.equal(told.auth_required, true);
  second.send(`CONNECT ${JSON.stringify({ nkey: key.getPublicKey(), sig })}`);
  assert.equal(await second.end(), "-ERR 'Authorization Violation'\r\n");
  first.send(`CONNECT ${JSON.stringify({ nkey: key.getPublicKey(), sig, verbose: true })}`);
  assert.equal(await first.until('OK\r\n'), '+OK\r\n');
});

test('before its login a client may say nothing but CONNECT', async (t) => {
  for (const line of ['PING', 'SUB > 1', 'PUB line3.x 1\r\nx', '+OK', 'PUB x 60000']) {
    const { open } = await start(t);
    const client = await open();
    client.send(line);
    assert.match(await client.end(), /-ERR 'Authorization Violation'\r\n$/, line);
  }
});

test('what comes while the password is checked waits, in order; a silent one is told it took too long', async (t) => {
  const { open, port } = await start(t, { connectTimeoutMs: 300 });
  const silent = await open();
  assert.match(await silent.end(), /-ERR 'Authentication Timeout'\r\n$/);
  const { open: openAgain } = await start(t);
  const client = await openAgain();
  const lines = Array.from({ length: 200 }, (_, i) => `PUB line3.cmd.x 3\r\n${String(i).padStart(3, '0')}`);
  client.send('CONNECT {"user":"line3","pass":"secret","verbose":false}', 'SUB line3.cmd.> 1', ...lines, 'PING');
  const text = await client.until('PONG\r\n');
  assert.deepEqual(
    [...text.matchAll(/MSG line3\.cmd\.x 1 3\r\n(\d+)/g)].map(([, n]) => Number(n)),
    Array.from({ length: 200 }, (_, i) => i),
  );
  assert.equal(port.status().counters.connectTimeouts, 1);
});

test('permissions: the texts of nats-server, the connection stays, and nothing passes', async (t) => {
  const { raw, router, port } = await start(t);
  const client = await raw('line3');
  assert.equal(await client.answers('PUB other.x 1', 'x'), `-ERR 'Permissions Violation for Publish to "other.x"'\r\n`);
  assert.equal(
    await client.answers('SUB line3.> 5'),
    `-ERR 'Permissions Violation for Subscription to "line3.>" (sid "5")'\r\n`,
  );
  assert.equal(
    await client.answers('SUB other q 6'),
    `-ERR 'Permissions Violation for Subscription to "other" using queue "q" (sid "6")'\r\n`,
  );
  assert.equal(router.subscriptions, 0);
  assert.equal(await client.answers('SUB line3.cmd.> 7', 'PUB line3.cmd.a 1', 'x'), 'MSG line3.cmd.a 7 1\r\nx\r\n');
  assert.equal(port.status().counters.permissionViolations, 3);
});

test('deny rules: stronger than allow, also inside a wider subscription', async (t) => {
  const { raw } = await start(t);
  const client = await raw('narrow');
  assert.match(await client.answers('PUB n.not.x 0', ''), /Violation for Publish to "n.not.x"/);
  assert.match(await client.answers('SUB n.hidden 1'), /Violation for Subscription to "n.hidden"/);
  assert.match(await client.answers('SUB n.dark.* 1'), /Violation for Subscription/);
  assert.equal(await client.answers('SUB n.> 2', 'PUB n.hidden 1', 'x', 'PUB n.dark.x 1', 'y'), '');
  assert.equal(await client.answers('PUB n.seen 1', 'z'), 'MSG n.seen 2 1\r\nz\r\n');
});

test('placeholders stand for the name of the user and of the connection', async (t) => {
  const { raw } = await start(t);
  const client = await raw('own', { name: 'pump7' });
  assert.equal(await client.answers('SUB own.pump7.> 1', 'PUB own.pump7.x 1', 'a'), 'MSG own.pump7.x 1 1\r\na\r\n');
  assert.match(await client.answers('SUB own.pump8.> 2', 'PUB own.pump8.x 1', 'a'), /Subscription.*\r\n.*Publish/);
  const nameless = await raw('own');
  assert.match(await nameless.answers('SUB own.*.> 1', 'PUB own..x 1', 'a'), /Subscription/);
});

test('allow_responses: as often and as long as the rule says, to whoever asked, and to nobody else', async (t) => {
  const { raw } = await start(t);
  const asker = await raw('flow', { user: undefined, pass: undefined, auth_token: token });
  const responder = await raw('responder');
  const late = await raw('late');
  assert.equal(await responder.answers('SUB svc 1'), '');
  assert.equal(await late.answers('SUB svc 1'), '');
  assert.equal(await asker.answers('SUB box.> 9', 'PUB svc box.1 1', 'q'), '');
  assert.equal(await responder.until('q\r\n'), 'MSG svc 1 box.1 1\r\nq\r\n');
  const denied = `-ERR 'Permissions Violation for Publish to "box.1"'\r\n`;
  assert.equal(await responder.answers('PUB box.2 1', 'x'), denied.replace('box.1', 'box.2'));
  assert.equal(await responder.answers('PUB box.1 1', 'a', 'PUB box.1 1', 'b', 'PUB box.1 1', 'c'), denied);
  assert.equal(await asker.answers(), 'MSG box.1 9 1\r\na\r\nMSG box.1 9 1\r\nb\r\n');
  await late.until('q\r\n');
  await waitFor('it to expire', async () => (await late.answers('PUB box.1 1', 'z')) === denied);
  const info = JSON.parse((await asker.answers('SUB i 3', 'PUB $SYS.REQ.USER.INFO i 0', '')).split('\r\n')[1] ?? '');
  assert.deepEqual(info.data.permissions, { publish: { allow: ['>'] }, subscribe: { allow: ['>'] } });
});

test('failed logins of an address wait longer and longer; right ones do not', async (t) => {
  const { client } = await start(t);
  for (let i = 0; i < 3; i++) await assert.rejects(client({ user: 'line3', pass: `${i}` }));
  const since = performance.now();
  await assert.rejects(client({ authenticator: tokenAuthenticator('guess') }));
  // The third failure makes the next one wait a second; no bound from above on a busy machine.
  assert.ok(performance.now() - since > 500, `${performance.now() - since} ms`);
  await client({ authenticator: tokenAuthenticator(token) });
});

test('on an anonymous listener: as nobody with all rights, or as who one says, but not with a wrong password', async (t) => {
  const { open, raw, client } = await start(t, { listener: { anonymous: true } });
  const nobody = await (await open()).connect();
  assert.equal(await nobody.answers('SUB x 1', 'PUB x 1', 'a'), 'MSG x 1 1\r\na\r\n');
  assert.match(await (await raw('line3')).answers('PUB x 1', 'a'), /Violation/);
  await assert.rejects(client({ user: 'line3', pass: 'wrong' }), /authorization violation/i);
});
