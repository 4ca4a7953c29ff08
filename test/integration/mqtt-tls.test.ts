import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import mqtt from 'mqtt';
import { GatewayError } from '../../src/core/errors.ts';
import type { UserRules } from '../../src/core/users.ts';
import { Authority } from '../support/certificates.ts';
import { mosquittoPub, startLineSub } from '../support/mosquitto.ts';
import { type EdgeOptions, startEdge, TestEdge } from '../support/mqtt-edge.ts';
import { connectPacket, pubackPacket, publishPacket } from '../support/mqtt-packets.ts';
import { openWire, Wire } from '../support/mqtt-wire.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

type Listener = EdgeOptions['listeners'][number];
type Tls = NonNullable<Listener['tls']>;

const press: UserRules = {
  name: 'press',
  passwordHash: null,
  certificate: 'press',
  publish: ['press.>'],
  subscribe: [],
};
const mill: UserRules = { ...press, name: 'mill', certificate: 'mill.plant.example', publish: ['mill.>'] };

function listenerOf(authority: Authority, tls: Partial<Tls> = {}, more: Partial<Listener> = {}): Listener {
  const { cert, key } = authority.issue('localhost', 'IP:127.0.0.1,DNS:localhost');
  const asked = { cert, key, ca: authority.ca, clientCertificates: 'none' as const, ...tls };
  return { host: '127.0.0.1', port: 0, anonymous: true, tls: asked, ...more };
}

for (const version of ['mqttv311', 'mqttv5'] as const) {
  test(`mosquitto clients speak ${version} over TLS`, async (t) => {
    const authority = new Authority(t);
    const edge = await startEdge(t, { listeners: [listenerOf(authority)] });
    const args = ['-V', version, '--cafile', authority.ca];
    const sub = await startLineSub(t, edge.port, ...args, '-t', 'a/#', '-F', '%t=%p');
    assert.equal((await mosquittoPub(edge.port, ...args, '-t', 'a/b', '-m', 'hello', '-q', '1')).code, 0);
    await sub.line('the message', (line) => line === 'a/b=hello', 5_000);
    const stranger = new Authority(t);
    const { code } = await mosquittoPub(edge.port, '-V', version, '--cafile', stranger.ca, '-t', 'a/b', '-m', 'x');
    assert.notEqual(code, 0, 'it trusts another authority');
    await waitFor('the failed handshake', () => edge.counter('tlsHandshakesFailed') === 1);
  });
}

test('a client certificate says who the client is, and its rules hold', async (t) => {
  const authority = new Authority(t);
  const listeners = [listenerOf(authority, { clientCertificates: 'required' }, { anonymous: false })];
  const edge = await startEdge(t, { listeners }, [press, mill]);
  const heard = edge.listen('>');
  const pub = (topic: string, certificate: { cert: string; key: string } | null) => {
    const proof = certificate === null ? [] : ['--cert', certificate.cert, '--key', certificate.key];
    const args = ['-V', 'mqttv5', '--cafile', authority.ca, ...proof, '-t', topic, '-m', 'x', '-q', '1'];
    return mosquittoPub(edge.port, ...args);
  };
  const byCommonName = authority.issue('press', 'DNS:other.example');
  const byAlternative = authority.issue('anything', 'DNS:a.example,DNS:mill.plant.example');
  assert.equal((await pub('press/1', byCommonName)).code, 0);
  assert.equal((await pub('mill/1', byAlternative)).code, 0);
  await pub('mill/2', byCommonName);
  assert.notEqual((await pub('press/2', authority.issue('nobody', 'DNS:nobody.example'))).code, 0);
  assert.notEqual((await pub('press/3', null)).code, 0);
  // The same name, signed by somebody else.
  assert.notEqual((await pub('press/4', new Authority(t).issue('press', 'DNS:press'))).code, 0);
  assert.deepEqual(
    heard.map(({ subject }) => subject),
    ['press.1', 'mill.1'],
  );
});

test('optional certificates: one that is not signed by the authority names nobody', async (t) => {
  const authority = new Authority(t);
  const listeners = [listenerOf(authority, { clientCertificates: 'optional' }, { anonymous: false })];
  const edge = await startEdge(t, { listeners }, [press]);
  const connect = async (files: { cert: string; key: string } | null): Promise<number> => {
    const wire = await openSecure(t, edge.port, authority, files);
    wire.send(connectPacket({ version: 5, clientId: 'c' }));
    return (await wire.connAck()).reasonCode;
  };
  assert.equal(await connect(authority.issue('press', 'DNS:press')), 0);
  assert.equal(await connect(new Authority(t).issue('press', 'DNS:press')), 0x87);
  assert.equal(await connect(null), 0x87);
  assert.equal(await connect(authority.issue('press', 'DNS:press', -1)), 0x87, 'expired');
});

test('what is not TLS is closed, and a handshake that does not go on is cut', async (t) => {
  const authority = new Authority(t);
  const edge = await startEdge(t, { listeners: [listenerOf(authority)], connectTimeoutMs: 300 });
  const plain = await openWire(t, edge.port);
  plain.send(connectPacket({ version: 5 }));
  await waitFor('the end', () => plain.closed);
  const silent = await openWire(t, edge.port);
  await waitFor('the end', () => silent.closed);
  await waitFor('both counted', () => edge.counter('tlsHandshakesFailed') === 2);
  const good = await openSecure(t, edge.port, authority, null);
  good.send(
    connectPacket({ version: 4, clientId: 'good' }),
    publishPacket({ version: 4, topic: 'a', payload: 'x', id: 1 }),
  );
  await good.expect(Buffer.of(0x20, 2, 0, 0), pubackPacket(1));
});

test('mqtt.js over WebSocket and TLS', async (t) => {
  const authority = new Authority(t);
  const edge = await startEdge(t, { listeners: [listenerOf(authority, {}, { websocket: { path: '/mqtt' } })] });
  const options = { ca: readFileSync(authority.ca), protocolVersion: 5, clientId: 'wss', reconnectPeriod: 0 } as const;
  const client = await mqtt.connectAsync(`wss://127.0.0.1:${edge.port}/mqtt`, options);
  atEnd(t, () => client.endAsync(true));
  const seen: string[] = [];
  client.on('message', (topic, payload) => seen.push(`${topic}=${payload}`));
  await client.subscribeAsync('a/#');
  await client.publishAsync('a/b', 'x'.repeat(20_000), { qos: 1 });
  await waitFor('the message', () => seen.length === 1);
  assert.equal(seen[0]?.length, 20_004);
});

test('files that cannot be served with are named at start, with a cure', async (t) => {
  const authority = new Authority(t);
  const other = authority.issue('other', 'DNS:other');
  const cases: [tls: Partial<Tls>, what: RegExp][] = [
    [{ key: other.key }, /key/],
    [{ cert: '/nowhere/server.pem' }, /\/nowhere\/server\.pem/],
    [{ key: authority.ca }, /TLS for MQTT/],
  ];
  for (const [tls, what] of cases) {
    const edge = new TestEdge(t, { listeners: [listenerOf(authority, tls)] });
    await assert.rejects(edge.edge.start(), (error) => {
      assert.ok(error instanceof GatewayError);
      assert.equal(error.code, 'tls_failed');
      assert.match(error.message + error.hint, what);
      assert.notEqual(error.hint, '');
      return true;
    });
    await edge.edge.stop();
  }
});

async function openSecure(
  scope: Scope,
  port: number,
  { ca }: Authority,
  files: { cert: string; key: string } | null,
): Promise<Wire> {
  const proof: ConnectionOptions =
    files === null ? {} : { cert: readFileSync(files.cert), key: readFileSync(files.key) };
  const socket = connectTls({ port, host: '127.0.0.1', ca: readFileSync(ca), ...proof });
  atEnd(scope, () => {
    socket.destroy();
  });
  await once(socket, 'secureConnect');
  return new Wire(socket, 'secure');
}
