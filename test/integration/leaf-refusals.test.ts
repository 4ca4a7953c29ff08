import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Authority, type Certificate } from '../support/certificates.ts';
import { leafInfo, startFakeHub } from '../support/fake-hub.ts';
import { failureOf, startLeafBox, startLinkedBox } from '../support/leaf-box.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { freePort } from '../support/ports.ts';
import { Lifetime, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const NONE = Buffer.alloc(0);

describe('credentials', () => {
  it('user and password: right ones link, wrong ones say what to check', async (scope) => {
    const password = 'sésame 1';
    const hub = await startNatsServer(scope, { leafnodes: { user: 'plant1', password } });
    await startLinkedBox(scope, hub.leafUrl, { user: 'plant1', password });
    const inUrl = hub.leafUrl.replace('://', `://plant1:${encodeURIComponent(password)}@`);
    const { link } = await startLinkedBox(scope, inUrl, { name: 'plant2' });
    assert.equal(link.status().url, hub.leafUrl);
    assert.ok(!JSON.stringify(link.status()).includes(password));

    const wrong = await failureOf(await startLeafBox(scope, hub.leafUrl, { user: 'plant1', password: 'wrong' }));
    assert.equal(wrong.code, 'authorization_failed');
    assert.match(wrong.message, /Authorization Violation/);
    assert.match(wrong.hint, /upstream\.user and upstream\.password/);
    const none = await failureOf(await startLeafBox(scope, hub.leafUrl));
    assert.equal(none.code, 'authorization_failed');
  });

  it('token: sent as hubs look for it, and a refusal is told', async (scope) => {
    const hub = await startFakeHub(scope);
    const box = await startLeafBox(scope, hub.url, { token: 's3cret' });
    const { auth_token, user, pass, lang } = JSON.parse((await hub.hears(/CONNECT (\{.*\})\r\n/))[1] ?? '');
    assert.deepEqual(
      { auth_token, user, pass, lang },
      { auth_token: 's3cret', user: 's3cret', pass: undefined, lang: undefined },
    );
    hub.say("-ERR 'Authorization Violation'\r\n");
    assert.match((await failureOf(box)).hint, /upstream\.token/);
    const real = await startNatsServer(scope, { leafnodes: true, authorization: { token: 's3cret' } });
    await startLinkedBox(scope, real.leafUrl, { token: 's3cret' });
  });
});

describe('TLS', () => {
  const life = new Lifetime();
  let authority: Authority;
  let stranger: Authority;
  let good: Certificate;
  const tls = (
    ca: string | null,
    { cert, key }: { cert: string | null; key: string | null } = { cert: null, key: null },
  ) => ({
    tls: { ca, cert, key, handshakeFirst: false },
  });
  const hubWith = (scope: Scope, certificate: Certificate, verify = false) =>
    startNatsServer(scope, { leafnodes: { tls: { ...certificate, ca: authority.ca, verify } } });
  const failure = async (scope: Scope, url: string, options: Parameters<typeof startLeafBox>[2]) =>
    failureOf(await startLeafBox(scope, url, options));

  before(() => {
    authority = new Authority(life);
    stranger = new Authority(life);
    good = authority.issue('hub', 'IP:127.0.0.1,DNS:localhost');
  });
  after(() => life.end());

  it('links with the right authority, whether the URL or the hub asks for it', async (scope) => {
    const hub = await hubWith(scope, good);
    const box = await startLinkedBox(scope, hub.leafUrl, tls(authority.ca));
    assert.equal(box.link.status().url, hub.leafUrl);
    await startLinkedBox(scope, hub.leafUrl.replace('tls:', 'nats:').replace('127.0.0.1', 'localhost'), {
      ...tls(authority.ca),
      name: 'plant2',
    });
  });

  it('refuses a hub of another authority, and of none it knows', async (scope) => {
    const hub = await hubWith(scope, good);
    for (const ca of [stranger.ca, null]) {
      const { code, hint } = await failure(scope, hub.leafUrl, tls(ca));
      assert.equal(code, 'tls_failed');
      assert.match(hint, /upstream\.tls\.ca/);
    }
  });

  it('refuses an expired certificate and speaks of the clock', async (scope) => {
    const hub = await hubWith(scope, authority.issue('expired', 'IP:127.0.0.1', -1));
    const { code, message, hint } = await failure(scope, hub.leafUrl, tls(authority.ca));
    assert.equal(code, 'tls_failed');
    assert.match(message, /expired/);
    assert.match(hint, /clock of this box says 20/);
  });

  it('refuses a certificate for another name', async (scope) => {
    const hub = await hubWith(scope, authority.issue('other', 'DNS:hub.example'));
    const { code, message } = await failure(scope, hub.leafUrl, tls(authority.ca));
    assert.equal(code, 'tls_failed');
    assert.match(message, /another name/);
  });

  it('mutual TLS: links with a certificate, says when one is missing, wrong or expired', async (scope) => {
    const hub = await hubWith(scope, good, true);
    await startLinkedBox(scope, hub.leafUrl, tls(authority.ca, authority.issue('plant1', 'DNS:plant1')));
    const missing = await failure(scope, hub.leafUrl, tls(authority.ca));
    assert.match(missing.message, /requires a client certificate/);
    for (const bad of [stranger.issue('thief', 'DNS:plant1'), authority.issue('old', 'DNS:plant1', -1)]) {
      const { code, hint } = await failure(scope, hub.leafUrl, tls(authority.ca, bad));
      assert.equal(code, 'tls_failed');
      assert.match(hint, /upstream\.tls\.cert/);
    }
  });

  it('never speaks in the clear where TLS is demanded', async (scope) => {
    const hub = await startFakeHub(scope);
    const box = await startLeafBox(scope, hub.url.replace('nats:', 'tls:'), {
      user: 'u',
      password: 'p',
      ...tls(authority.ca),
    });
    const { code, message } = await failureOf(box);
    assert.equal(code, 'tls_failed');
    assert.match(message, /does not speak TLS/);
    assert.equal(hub.said, '');
  });

  it("takes no plain text for the hub's words once TLS is due", async (scope) => {
    const hub = await startFakeHub(
      scope,
      `INFO ${JSON.stringify({ ...leafInfo, tls_required: true })}\r\nLS+ evil\r\n`,
    );
    const { code, message } = await failure(scope, hub.url, tls(authority.ca));
    assert.equal(code, 'protocol_violation');
    assert.match(message, /before the TLS handshake/);
  });

  it("names the file it can't use", async (scope) => {
    const hub = await hubWith(scope, good);
    const folder = tempDir(scope);
    const absent = join(folder, 'absent.pem');
    assert.equal(existsSync(absent), false);
    const missing = await failure(scope, hub.leafUrl, tls(absent));
    assert.match(missing.message, /upstream\.tls\.ca: cannot read .*absent\.pem \(ENOENT\)/);
    const garbage = join(folder, 'garbage.pem');
    writeFileSync(garbage, 'not a certificate');
    const unusable = await failure(scope, hub.leafUrl, tls(authority.ca, { cert: garbage, key: good.key }));
    assert.match(unusable.hint, /PEM/);
    const foreign = await failure(
      scope,
      hub.leafUrl,
      tls(authority.ca, { cert: good.cert, key: stranger.issue('x', 'DNS:x').key }),
    );
    assert.match(foreign.hint, /the key must belong to the certificate/);
  });
});

describe('the wrong far end', () => {
  const cases: [what: string, greeting: string, code: string, hint: RegExp][] = [
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n', 'wrong_port', /leafnodes block/],
    ['an INFO that is not JSON', 'INFO {nonsense\r\n', 'protocol_violation', /^/],
    ['an INFO that is not an object', 'INFO 7\r\n', 'protocol_violation', /^/],
    ['an INFO without end', `INFO ${'x'.repeat(600_000)}`, 'wrong_port', /leafnodes block/],
  ];
  for (const [what, greeting, code, hint] of cases) {
    it(`${what} is told`, async (scope) => {
      const hub = await startFakeHub(scope, greeting);
      const failure = await failureOf(await startLeafBox(scope, hub.url));
      assert.equal(failure.code, code);
      assert.match(failure.hint, hint);
    });
  }

  it('the client port of a real hub is told from its leafnode port', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const { code, hint } = await failureOf(await startLeafBox(scope, hub.clientUrl));
    assert.equal(code, 'wrong_port');
    assert.match(hint, /7422/);
  });

  it('one that accepts and says nothing is given up within the bound, at every step', async (scope) => {
    const steps: [greeting: string, during: RegExp][] = [
      ['', /waiting for INFO/],
      [`INFO ${JSON.stringify(leafInfo)}\r\n`, /answer to CONNECT/],
      [
        `INFO ${JSON.stringify(leafInfo)}\r\nINFO ${JSON.stringify({ ...leafInfo, connect_info: true })}\r\n`,
        /first PONG/,
      ],
    ];
    for (const [greeting, during] of steps) {
      const hub = await startFakeHub(scope, greeting);
      const { code, message, hint } = await failureOf(await startLeafBox(scope, hub.url, { connectTimeoutMs: 100 }));
      assert.equal(code, 'connection_timeout');
      assert.match(message, during);
      assert.notEqual(hint, '');
      await waitFor('the socket to be let go', () => hub.sockets[0]?.readableEnded || hub.sockets[0]?.destroyed);
    }
  });

  it('nobody there: refused, and a name that does not exist', async (scope) => {
    const refused = await failureOf(await startLeafBox(scope, `nats://127.0.0.1:${await freePort()}`));
    assert.equal(refused.code, 'connection_refused');
    assert.match(refused.hint, /7422/);
    const unknown = await failureOf(await startLeafBox(scope, 'nats://hub.invalid'));
    assert.equal(unknown.code, 'name_not_found');
    assert.match(unknown.hint, /DNS/);
  });

  it('a URL that is none is a mistake of the configuration, told without its password', async (scope) => {
    for (const url of ['http://u:secret@host', 'nats://', 'nats://u:secret@host:99999']) {
      await assert.rejects(startLeafBox(scope, url), (error: Error & { code: string }) => {
        assert.equal(error.code, 'config_invalid');
        assert.ok(!error.message.includes('secret'));
        return true;
      });
    }
  });
});

describe('what a hub may object to', () => {
  const objections: [says: string, code: string, retryInMsMin: number][] = [
    ['connection rejected since minimum version required is "2.99.0"', 'hub_error', 4_000],
    ['Duplicate Remote LeafNode Connection', 'hub_duplicate', 29_000],
    ['remote leafnode has same cluster name', 'hub_duplicate', 29_000],
    ['Loop detected for leafnode account="A". Delaying attempt to reconnect for 30s', 'hub_loop', 29_000],
    ['Permissions Violation for Subscription to "x"', 'permission_denied', 29_000],
    ['Maximum Payload Violation', 'payload_too_large', 0],
    ['Stale Connection', 'stale_connection', 0],
    ['Something New', 'hub_error', 0],
  ];
  for (const [says, code, retryInMsMin] of objections) {
    it(`${says}: ${code}, and the wait fits`, async (scope) => {
      const hub = await startFakeHub(scope);
      const box = await startLeafBox(scope, hub.url);
      await hub.shakeHands();
      hub.say(`-ERR '${says}'\r\n`);
      const failure = await failureOf(box);
      assert.equal(failure.code, code);
      assert.ok(failure.message.includes(says));
      assert.notEqual(failure.hint, '');
      const { retryInMs, state } = box.link.status();
      assert.ok(state !== 'up' && (retryInMs ?? 0) >= retryInMsMin);
    });
  }

  it('a complaint that costs nothing keeps the link', async (scope) => {
    const hub = await startFakeHub(scope);
    const { link } = await startLeafBox(scope, hub.url);
    await hub.shakeHands();
    hub.say("PONG\r\n-ERR 'Invalid Subscription'\r\nPING\r\n");
    await hub.hears(/PONG\r\n/);
    assert.equal(link.up, true);
  });

  it('a real hub that wants a newer version: told, and the link is never called up', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: { raw: '  min_version: "2.99.0"' } });
    const box = await startLeafBox(scope, hub.leafUrl);
    const { code, message } = await failureOf(box);
    assert.equal(code, 'hub_error');
    assert.match(message, /2\.99\.0/);
    assert.equal(box.seen.ups.length, 0);
  });

  it('a real hub whose cluster bears our name', async (scope) => {
    const hub = await startNatsServer(scope, {
      leafnodes: true,
      extra: `cluster { name: plant1, listen: "127.0.0.1:${await freePort()}" }`,
    });
    const { code, hint } = await failureOf(await startLeafBox(scope, hub.leafUrl));
    assert.equal(code, 'hub_duplicate');
    assert.match(hint, /gateway\.name/);
  });

  it('a loop: our own announcement comes back, the hub is told and the link closed for 30 s', async (scope) => {
    const hub = await startFakeHub(scope);
    const box = await startLeafBox(scope, hub.url);
    await hub.hears(/CONNECT /);
    hub.say(`INFO ${JSON.stringify({ ...leafInfo, connect_info: true })}\r\n`);
    const [, own] = await hub.hears(/LS\+ (\$LDS\.\S+)\r\n/);
    hub.say(`PONG\r\nLS+ ${own}\r\n`);
    await hub.hears(/-ERR 'Loop detected/);
    assert.equal((await failureOf(box)).code, 'hub_loop');
    assert.ok((box.link.status().retryInMs ?? 0) > 29_000);
  });

  it('a hub without headers: linked, messages without them, and the limit is told', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true, extra: 'no_header_support: true' });
    const { link } = await startLinkedBox(scope, hub.leafUrl);
    const { hub: known, lastError } = link.status();
    assert.equal(known?.headers, false);
    assert.equal(lastError?.code, 'hub_no_headers');
    const fake = await startFakeHub(scope);
    const other = await startLeafBox(scope, fake.url);
    await fake.shakeHands({ ...leafInfo, headers: false });
    fake.say('PONG\r\nLS+ x\r\n');
    await waitFor('interest', () => other.link.wants('x'));
    other.link.publish('x', '', Buffer.from('NATS/1.0\r\nA: b\r\n\r\n'), Buffer.from('y'), []);
    await fake.hears(/^LMSG x 1\r\ny\r\n/m);
  });

  it('a hub that breaks the protocol loses the connection, not the box', async (scope) => {
    for (const bytes of ['LMSG a b c d 5\r\n', 'LMSG a 99999999999\r\n', 'GARBAGE\r\n', `LS+ ${'a'.repeat(70_000)}`]) {
      const hub = await startFakeHub(scope);
      const box = await startLeafBox(scope, hub.url);
      await hub.shakeHands();
      hub.say(`PONG\r\n${bytes}`);
      assert.equal((await failureOf(box)).code, 'protocol_violation', bytes);
      assert.equal(box.seen.downs.length, 1);
    }
  });

  it('a hub that announces without end is cut off', async (scope) => {
    const hub = await startFakeHub(scope);
    const box = await startLeafBox(scope, hub.url);
    await hub.shakeHands();
    let lines = 'PONG\r\n';
    for (let i = 0; i <= 50_000; i++) lines += `LS+ s.${i}\r\n`;
    hub.say(lines);
    const { code, message } = await failureOf(box);
    assert.equal(code, 'hub_error');
    assert.match(message, /50000/);
  });

  it("a message above the box's own limit is skipped and counted", async (scope) => {
    const hub = await startFakeHub(scope);
    const { link, seen } = await startLeafBox(scope, hub.url);
    await hub.shakeHands({ ...leafInfo, max_payload: 64 * 1024 * 1024 });
    hub.say('PONG\r\n');
    hub.say(`LMSG big ${9 * 1024 * 1024}\r\n${'x'.repeat(9 * 1024 * 1024)}\r\nLMSG small 2\r\nok\r\n`);
    await waitFor('the message behind it', () => seen.messages.length > 0);
    assert.deepEqual(
      seen.messages.map(({ subject }) => subject),
      ['small'],
    );
    assert.equal(link.status().drops.oversize, 1);
    assert.equal(link.publish('x', '', NONE, NONE, []), 'no-interest');
  });
});
