import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect as openSocket } from 'node:net';
import { test } from 'node:test';
import { connect as openTls } from 'node:tls';
import { type ConnectionOptions, connect, type NatsConnection, wsconnect } from '@nats-io/transport-node';
import { WebSocket } from 'ws';
import type { ListenerOptions } from '../../src/core/listen.ts';
import type { UserRules } from '../../src/core/users.ts';
import { Authority } from '../support/certificates.ts';
import { KIB, type PortChoices, RawClient, startClientPort } from '../support/client-port.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

type Tls = NonNullable<ListenerOptions['tls']>;

const press: UserRules = {
  name: 'press',
  passwordHash: null,
  certificate: 'press.plant',
  publish: ['press.>'],
  subscribe: ['press.>'],
};

interface Rig {
  readonly authority: Authority;
  readonly port: Awaited<ReturnType<typeof startClientPort>>['port'];
  /** Of the listener with this index. */
  address(index?: number): number;
  client(options?: ConnectionOptions, index?: number): Promise<NatsConnection>;
}

async function rig(
  scope: Scope,
  tls: Partial<Tls> | null,
  choices: PortChoices = {},
  listener: Partial<ListenerOptions> = {},
): Promise<Rig> {
  const authority = new Authority(scope);
  const files = authority.issue('box', 'IP:127.0.0.1,DNS:localhost');
  const secure = tls && { ...files, ca: authority.ca, clientCertificates: 'none' as const, ...tls };
  const { port } = await startClientPort(scope, { listener: { ...listener, tls: secure }, ...choices });
  const address = (index = 0) => port.addresses[index]?.port ?? 0;
  const client = async (options: ConnectionOptions = {}, index = 0) => {
    const connection = await connect({ servers: `127.0.0.1:${address(index)}`, reconnect: false, ...options });
    atEnd(scope, () => connection.close());
    return connection;
  };
  return { authority, port, address, client };
}

async function echoes(connection: NatsConnection, subject = 'press.x'): Promise<void> {
  const messages = connection.subscribe(subject, { max: 1 });
  connection.publish(subject, 'x'.repeat(60 * KIB));
  for await (const { data } of messages) assert.equal(data.length, 60 * KIB);
}

test('TLS after INFO: INFO asks for it in clear, the client upgrades, and plain words end there', async (t) => {
  const { authority, client, address, port } = await rig(t, {});
  const secure = await client({ tls: { caFile: authority.ca } });
  assert.equal(secure.info?.tls_required, true);
  await echoes(secure);
  await assert.rejects(client({ tls: {} }), 'an authority that the client does not know');
  const plain = new RawClient(openSocket({ host: '127.0.0.1', port: address() }));
  await plain.until('}\r\n');
  plain.send('CONNECT {}', 'PING');
  await plain.end();
  await waitFor('both to be counted', () => port.status().counters.tlsHandshakesFailed === 2);
  assert.equal(port.status().listeners[0]?.connections, 1);
  await echoes(secure);
});

test('TLS first: nothing is said in clear', async (t) => {
  const { authority, client, address } = await rig(t, { first: true });
  const secure = await client({ tls: { caFile: authority.ca, handshakeFirst: true } });
  await echoes(secure);
  const socket = openTls({ host: '127.0.0.1', port: address(), ca: readFileSync(authority.ca) });
  atEnd(t, () => void socket.destroy());
  assert.match(await new RawClient(socket).until('}\r\n'), /^INFO /);
});

test('a client certificate names its user; none and a strange one are refused where one is required', async (t) => {
  const choices = { users: [press] };
  const { authority, client, port } = await rig(t, { clientCertificates: 'required' }, choices, { anonymous: false });
  const own = authority.issue('press.plant', 'DNS:other');
  const tls = { caFile: authority.ca, certFile: own.cert, keyFile: own.key };
  const connection = await client({ tls });
  await echoes(connection);
  assert.equal(port.status().clients[0]?.user, 'press');
  assert.equal(connection.info?.tls_verify, true);
  // Of a name that is nobody's.
  const nobody = authority.issue('nobody', 'DNS:nobody');
  await assert.rejects(client({ tls: { ...tls, certFile: nobody.cert, keyFile: nobody.key } }), /authorization/i);
  await assert.rejects(client({ tls: { caFile: authority.ca } }));
  const strange = new Authority(t).issue('press.plant', 'DNS:press.plant');
  await assert.rejects(client({ tls: { ...tls, certFile: strange.cert, keyFile: strange.key } }));
  assert.equal(port.status().clients.length, 1);
});

for (const isSecure of [false, true]) {
  test(`WebSocket${isSecure ? ' over TLS' : ''}: the official client, large messages, and a stop`, async (t) => {
    const { authority, address, port } = await rig(t, isSecure ? {} : null, {}, { websocket: { path: '/' } });
    const ca = readFileSync(authority.ca);
    const scheme = isSecure ? 'wss' : 'ws';
    const connection = await wsconnect({
      servers: `${scheme}://127.0.0.1:${address()}`,
      reconnect: false,
      wsFactory: async (url) => ({
        socket: new WebSocket(url, { ca }) as unknown as globalThis.WebSocket,
        encrypted: isSecure,
      }),
    });
    atEnd(t, () => connection.close());
    await echoes(connection);
    for (let i = 0; i < 2_000; i++) connection.publish('burst', `${i}`);
    await connection.flush();
    assert.equal(port.status().counters.messagesIn, 2_001);
    await port.stop();
    await connection.closed();
  });
}

test('WebSocket: another path, an origin that may not, and a request of HTTP are refused in words', async (t) => {
  const websocket = { path: '/nats', origins: ['https://panel.example'] };
  const { address, port } = await rig(t, null, {}, { websocket });
  const ask = (path: string, origin?: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${address()}${path}`, { ...(origin !== undefined && { origin }) });
      atEnd(t, () => socket.terminate());
      socket.on('message', (data) => resolve(String(data).slice(0, 4)));
      socket.on('error', ({ message }) => resolve(message));
    });
  assert.equal(await ask('/nats'), 'INFO');
  assert.equal(await ask('/nats', 'https://panel.example'), 'INFO');
  assert.equal(await ask('/nats', 'http://127.0.0.1:8080'), 'INFO');
  assert.match(await ask('/nats', 'https://elsewhere.example'), /403/);
  assert.match(await ask('/'), /404/);
  assert.equal((await fetch(`http://127.0.0.1:${address()}/`)).status, 426);
  assert.equal(port.status().counters.handshakesRefused, 3);
});

test('WebSocket: operations split over messages and gathered in one, and text as well as binary', async (t) => {
  const { address } = await rig(t, null, {}, { websocket: { path: '/' } });
  const socket = new WebSocket(`ws://127.0.0.1:${address()}`);
  atEnd(t, () => socket.terminate());
  let text = '';
  socket.on('message', (data, isBinary) => {
    assert.equal(isBinary, true);
    text += data;
  });
  await waitFor('INFO', () => text.endsWith('}\r\n'));
  text = '';
  for (const byte of 'CONNECT {"verbose":false}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\n') socket.send(byte);
  socket.send(Buffer.from('PUB a 1\r\nx\r\nPING\r\nPING\r\n'));
  await waitFor('answers', () => text.endsWith('PONG\r\nPONG\r\n'));
  assert.equal(text, 'MSG a 1 2\r\nhi\r\nMSG a 1 1\r\nx\r\nPONG\r\nPONG\r\n');
  // More than any burst of a client.
  socket.send(Buffer.alloc(2 * KIB * KIB));
  await waitFor('the end', () => socket.readyState === WebSocket.CLOSED);
});

test('several listeners serve one subject space, each with its own rules', async (t) => {
  const listeners = [{}, { anonymous: false }, { websocket: { path: '/' } }];
  const { client, address, port } = await rig(t, null, { users: [press], listeners });
  const [plain] = [await client()];
  await assert.rejects(client({}, 1), /authorization violation/i);
  const page = await wsconnect({ servers: `ws://127.0.0.1:${address(2)}`, reconnect: false });
  atEnd(t, () => page.close());
  const messages = page.subscribe('x', { max: 1 });
  await page.flush();
  plain.publish('x', 'over');
  for await (const message of messages) assert.equal(message.string(), 'over');
  assert.deepEqual(
    port.status().listeners.map(({ connections }) => connections),
    [1, 0, 1],
  );
});
