/**
 * Goal: every way to reach a hub and to prove who one is, with every version of the hub that can be had.
 * Method: a real hub for each version, authentication and kind of listener; a link over each transport of it must carry a
 * request to the hub and a message back. The table of it is printed.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createUser } from '@nats-io/nkeys';
import type { LeafOptions } from '../../src/nats/leaf-types.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { type HttpProxyServer, startHttpProxy } from '../support/http-proxy.ts';
import { failureOf, startLeafBox, startLinkedBox } from '../support/leaf-box.ts';
import { TestOperator } from '../support/nats-jwt.ts';
import { type NatsServer, type NatsServerOptions, type NatsTls, startNatsServer } from '../support/nats-server.ts';
import { allNatsServers } from '../support/newer-nats-server.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const cache = join(import.meta.dirname, '../../.cache');
mkdirSync(cache, { recursive: true });
const { found, missing } = allNatsServers(cache);
const suite = new Lifetime();
const seed = createUser();
const seedText = Buffer.from(seed.getSeed()).toString();
const operator = new TestOperator();

interface Way {
  name: string;
  /** First minor version that has it. */
  since?: number;
  hub: Omit<NatsServerOptions, 'leafnodes'> & { leafnodes?: { user?: string; password?: string; raw?: string } };
  box(): Partial<LeafOptions>;
  /** Only where the listener asks for certificates. */
  mapped?: boolean;
}

const ways: Way[] = [
  { name: 'none', hub: {}, box: () => ({}) },
  {
    name: 'user/password',
    hub: { leafnodes: { user: 'plant1', password: 's3cret' } },
    box: () => ({ user: 'plant1', password: 's3cret' }),
  },
  {
    name: 'account user',
    hub: { accounts: 'A: { users: [{ user: plant1, password: s3cret }] }' },
    box: () => ({ user: 'plant1', password: 's3cret' }),
  },
  { name: 'token', hub: { authorization: { token: 's3cret' } }, box: () => ({ token: 's3cret' }) },
  {
    name: 'nkey, leafnodes block',
    since: 10,
    hub: { leafnodes: { raw: `  authorization { nkey: ${seed.getPublicKey()} }` } },
    box: () => ({ nkeySeed: seedText }),
  },
  {
    name: 'nkey, account',
    hub: { accounts: `A: { users: [{ nkey: ${seed.getPublicKey()} }] }` },
    box: () => ({ nkeySeed: seedText }),
  },
  { name: 'credentials file', hub: { extra: operator.serverConfig }, box: () => ({ credentials: file('user') }) },
  { name: 'bearer JWT', hub: { extra: operator.serverConfig }, box: () => ({ credentials: file('bearer') }) },
  {
    name: 'certificate is user',
    hub: { accounts: 'A: { users: [{ user: "plant1.example" }] }' },
    box: () => ({}),
    mapped: true,
  },
];

const TRANSPORTS = ['tcp', 'tls', 'mutual tls', 'tls first', 'ws', 'wss', 'tcp by proxy', 'wss by proxy'] as const;
type Transport = (typeof TRANSPORTS)[number];

const files = new Map<string, string>();
function file(name: string): string {
  return files.get(name) ?? assert.fail(name);
}
let authority: Authority;
let server: Certificate;
let client: Certificate;
let proxy: HttpProxyServer;

before(async () => {
  authority = new Authority(suite);
  server = authority.issue('hub', 'IP:127.0.0.1');
  client = authority.issue('plant1', 'DNS:plant1.example');
  proxy = await startHttpProxy(suite, 'plant1:pass word');
  const dir = tempDir(suite, 'creds');
  for (const [name, text] of [
    ['user', operator.credentials()],
    ['bearer', operator.credentials({ bearer: true })],
    ['expired', operator.credentials({ expiresInS: -60 })],
    ['wrong-seed', operator.credentials({ otherSeed: true })],
    ['clients-only', operator.credentials({ types: ['STANDARD'] })],
    ['stranger', new TestOperator().credentials()],
    ['no-jwt', 'hello'],
  ] as const) {
    const path = join(dir, `${name}.creds`);
    writeFileSync(path, text, { mode: 0o600 });
    files.set(name, path);
  }
});
after(() => suite.end());

/** The listeners that a hub has at the same time, and the transports that reach them. */
const listeners: { tls?: Pick<NatsTls, 'verify' | 'map' | 'first'>; since?: number; transports: Transport[] }[] = [
  { transports: ['tcp', 'ws', 'tcp by proxy'] },
  { tls: {}, transports: ['tls', 'wss', 'wss by proxy'] },
  { tls: { verify: true }, transports: ['mutual tls'] },
  { tls: { first: true }, since: 10, transports: ['tls first'] },
];

function boxOptions(transport: Transport, hub: NatsServer): { url: string; options: Partial<LeafOptions> } {
  const isSecure = transport.includes('tls') || transport.startsWith('wss');
  const tls = {
    ca: isSecure ? authority.ca : null,
    cert: transport === 'mutual tls' ? client.cert : null,
    key: transport === 'mutual tls' ? client.key : null,
    handshakeFirst: transport === 'tls first',
  };
  const byProxy = { host: '127.0.0.1', port: proxy.port, user: 'plant1', password: 'pass word' };
  const url = transport.startsWith('ws') ? hub.webSocketUrl : hub.leafUrl;
  return { url, options: { tls, proxy: transport.endsWith('by proxy') ? byProxy : null } };
}

describe('versions, authentication, transports', () => {
  for (const command of missing) it(`a hub is missing: ${command}`, { skip: command }, () => {});

  for (const { path: binary, version } of found) {
    const minor = Number(version.split('.')[1]);
    it(`nats-server ${version}`, async (scope) => {
      const rows: string[] = [];
      for (const way of ways) {
        const cells = new Map<Transport, string>();
        if (minor < (way.since ?? 0)) {
          rows.push(`${way.name.padEnd(22)} (since 2.${way.since})`);
          continue;
        }
        for (const { tls, since, transports } of listeners) {
          if (minor < (since ?? 0) || (way.mapped && !tls?.verify)) continue;
          const { first, ...web } = { ...tls, ...server, ca: authority.ca };
          const life = new Lifetime();
          scope.after(() => life.end());
          const hub = await startNatsServer(life, {
            ...way.hub,
            binary,
            websocket: tls ? { tls: web } : true,
            leafnodes: {
              ...way.hub.leafnodes,
              ...(tls ? { tls: { ...web, ...(first ? { first } : {}), ...(way.mapped ? { map: true } : {}) } } : {}),
            },
          });
          for (const transport of transports) {
            const { url, options } = boxOptions(transport, hub);
            const tunnels = proxy.targets.length;
            const name = `box-${transport.replaceAll(' ', '-')}`;
            const { link } = await startLinkedBox(life, url, { name, ...way.box(), ...options });
            // There and back: what a second box publishes comes to the first one through the hub.
            const other = await startLinkedBox(life, url, { name: `${name}-2`, ...way.box(), ...options });
            other.link.interest('there.and.back', '', 1);
            await waitFor('interest', () => link.wants('there.and.back'));
            link.publish('there.and.back', '', Buffer.alloc(0), Buffer.alloc(100_000, 7), []);
            const got = await waitFor('the message', () => other.seen.messages.at(0));
            assert.equal(got.payload.length, 100_000);
            assert.equal(proxy.targets.length - tunnels, transport.endsWith('by proxy') ? 2 : 0);
            cells.set(transport, 'ok');
            await Promise.all([link.stop(), other.link.stop()]);
          }
          await life.end();
        }
        rows.push(`${way.name.padEnd(22)}${TRANSPORTS.map((one) => (cells.get(one) ?? '-').padEnd(14)).join('')}`);
      }
      const head = `${version.padEnd(22)}${TRANSPORTS.map((one) => one.padEnd(14)).join('')}`;
      scope.diagnostic(`\n${[head, ...rows].join('\n')}`);
    });
  }
});

describe('papers that a hub refuses, or would', () => {
  it('credentials: expired, seed of another user, kind of connection, unknown account, no JWT, no file', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true, extra: operator.serverConfig });
    const failure = async (credentials: string) =>
      failureOf(await startLeafBox(scope, hub.leafUrl, { name: 'plant9', credentials }));
    const expired = await failure(file('expired'));
    assert.equal(expired.code, 'credentials_expired');
    assert.match(expired.message, /expired at 20\d\d-/);
    assert.match(expired.hint, /clock of this box says 20.*|new credentials/);
    const wrong = await failure(file('wrong-seed'));
    assert.equal(wrong.code, 'credentials_invalid');
    assert.match(wrong.message, /the seed is that of U[A-Z2-7]{55}, the JWT is for U[A-Z2-7]{55}/);
    const kind = await failure(file('clients-only'));
    assert.equal(kind.code, 'credentials_invalid');
    assert.match(kind.message, /allows STANDARD only/);
    const stranger = await failure(file('stranger'));
    assert.equal(stranger.code, 'authorization_failed');
    assert.match(stranger.hint, /does not know the account A[A-Z2-7]{55}/);
    assert.match((await failure(file('no-jwt'))).message, /BEGIN NATS USER JWT/);
    assert.match((await failure('/nowhere/x.creds')).message, /cannot read \/nowhere\/x\.creds \(ENOENT\)/);
  });

  it('credentials that are mended on the disk link at the next try', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true, extra: operator.serverConfig });
    const path = join(tempDir(scope, 'creds'), 'box.creds');
    writeFileSync(path, operator.credentials({ expiresInS: -60 }));
    const box = await startLeafBox(scope, hub.leafUrl, { credentials: path });
    assert.equal((await failureOf(box)).code, 'credentials_expired');
    writeFileSync(path, operator.credentials());
    await waitFor('the link', () => box.link.up);
  });

  it('credentials that run out while linked: the hub closes, the box says why', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true, extra: operator.serverConfig });
    const path = join(tempDir(scope, 'creds'), 'box.creds');
    writeFileSync(path, operator.credentials({ expiresInS: 3 }));
    const box = await startLinkedBox(scope, hub.leafUrl, { credentials: path });
    const reason = await waitFor('the end', () => box.seen.downs.at(0));
    assert.equal(reason.code, 'credentials_expired');
    assert.match(reason.message, /expired at 20\d\d-/);
  });

  it('an NKey that the hub does not know names its public key, and a seed with a wrong checksum is none', async (scope) => {
    const accounts = `A: { users: [{ nkey: ${createUser().getPublicKey()} }] }`;
    const hub = await startNatsServer(scope, { leafnodes: true, accounts });
    const unknown = await failureOf(await startLeafBox(scope, hub.leafUrl, { nkeySeed: seedText }));
    assert.equal(unknown.code, 'authorization_failed');
    assert.ok(unknown.hint.includes(seed.getPublicKey()));
    // Not the last character: two of its five bits are padding, so that another one may still spell the same seed.
    const broken = seedText.replace(/.(?=.{9}$)/, (inner) => (inner === 'A' ? 'B' : 'A'));
    const invalid = await failureOf(await startLeafBox(scope, hub.leafUrl, { nkeySeed: broken }));
    assert.equal(invalid.code, 'credentials_invalid');
    assert.ok(!JSON.stringify([unknown, invalid]).includes(seedText.slice(0, 20)));
  });
});

describe('what stands in the way', () => {
  it('a proxy that wants a login, forbids, or cannot reach the hub: named, with the cure', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const own = await startHttpProxy(scope, 'me:right');
    const at = (password: string) => ({ proxy: { host: '127.0.0.1', port: own.port, user: 'me', password } });
    const wrong = await failureOf(await startLeafBox(scope, hub.leafUrl, at('wrong')));
    assert.equal(wrong.code, 'proxy_refused');
    assert.match(wrong.hint, /upstream\.proxy\.user/);
    const away = await failureOf(await startLeafBox(scope, 'nats://127.0.0.1:1', at('right')));
    assert.equal(away.code, 'connection_refused');
    assert.match(away.message, /the proxy can't reach the hub/);
    own.refuseWith = 403;
    assert.match((await failureOf(await startLeafBox(scope, hub.leafUrl, at('right')))).hint, /CONNECT/);
    const dead = { proxy: { host: '127.0.0.1', port: 1, user: null, password: null } };
    assert.equal((await failureOf(await startLeafBox(scope, hub.leafUrl, dead))).code, 'connection_refused');
    const none = { proxy: { host: '127.0.0.1', port: hub.clientPort, user: null, password: null } };
    assert.equal((await failureOf(await startLeafBox(scope, hub.leafUrl, none))).code, 'proxy_refused');
  });

  it('a web server that opens no WebSocket, a leafnode port asked for one, TLS first where none is spoken', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const web = await failureOf(await startLeafBox(scope, hub.monitorUrl.replace('http', 'ws')));
    assert.equal(web.code, 'wrong_port');
    assert.match(web.hint, /websocket block/);
    assert.equal((await failureOf(await startLeafBox(scope, `ws://127.0.0.1:${hub.leafPort}`))).code, 'wrong_port');
    const first = { tls: { ca: authority.ca, cert: null, key: null, handshakeFirst: true } };
    assert.equal((await failureOf(await startLeafBox(scope, hub.leafUrl, first))).code, 'tls_failed');
  });
});
