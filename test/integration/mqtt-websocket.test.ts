import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import mqtt from 'mqtt';
import { WebSocket } from 'ws';
import { type EdgeOptions, startEdge, type TestEdge } from '../support/mqtt-edge.ts';
import { connectPacket, DISCONNECT, hex, subackPacket, subscribePacket } from '../support/mqtt-packets.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const listeners: EdgeOptions['listeners'] = [
  { host: '127.0.0.1', port: 0, anonymous: true, websocket: { path: '/mqtt' } },
];

for (const protocolVersion of [4, 5] as const) {
  test(`mqtt.js with protocol ${protocolVersion} over WebSocket: QoS 1 publishes arrive in order`, async (t) => {
    const edge = await startEdge(t, { listeners, inflightMax: 500 });
    const url = `ws://127.0.0.1:${edge.port}/mqtt`;
    const client = await mqtt.connectAsync(url, { protocolVersion, clientId: 'ws', reconnectPeriod: 0 });
    atEnd(t, () => client.endAsync(true));
    const seen: number[] = [];
    client.on('message', (_topic, payload) => seen.push(Number(payload)));
    await client.subscribeAsync('n/#');
    await Promise.all(Array.from({ length: 500 }, (_, i) => client.publishAsync(`n/${i % 7}`, `${i}`, { qos: 1 })));
    await waitFor('all messages', () => seen.length >= 500);
    assert.deepEqual(
      seen,
      Array.from({ length: 500 }, (_, i) => i),
    );
    assert.match(edge.status.clients[0]?.remote ?? '', /^127\.0\.0\.1:\d+$/);
    await client.endAsync();
    await waitFor('the client to be gone', () => edge.status.clients.length === 0);
  });
}

test('packets may span messages, and messages may hold several [MQTT-6.0.0-2]', async (t) => {
  const edge = await startEdge(t, { listeners });
  const { socket, bytes } = await open(t, edge);
  const sent = Buffer.concat([connectPacket({ version: 4 }), subscribePacket(4, 1, [['a', 0]])]);
  for (const byte of sent) socket.send(Buffer.of(byte));
  const expected = Buffer.concat([Buffer.of(0x20, 2, 0, 0), subackPacket(4, 1, 0)]);
  await waitFor('the answers', () => Buffer.concat(bytes).length >= expected.length);
  assert.equal(hex(Buffer.concat(bytes)), hex(expected));
  assert.equal(socket.protocol, 'mqtt');
  assert.equal(socket.extensions, '', 'no compression was agreed on');
  socket.send(DISCONNECT);
  await once(socket, 'close');
});

test('a text message ends the connection [MQTT-6.0.0-1]', async (t) => {
  const edge = await startEdge(t, { listeners });
  const { socket } = await open(t, edge);
  socket.send('not MQTT');
  const [code] = await once(socket, 'close');
  assert.equal(code, 1003);
  await expectServing(t, edge);
});

test('a message beyond the largest packet ends the connection before it has arrived', async (t) => {
  const edge = await startEdge(t, { listeners, packetBytesMax: 2048 });
  const { socket } = await open(t, edge);
  socket.send(Buffer.alloc(2049, 0x10));
  const [code] = await once(socket, 'close');
  assert.equal(code, 1009);
  await expectServing(t, edge);
});

test('a connection that is cut publishes its will', async (t) => {
  const edge = await startEdge(t, { listeners });
  const heard = edge.listen('will');
  const { socket, bytes } = await open(t, edge);
  socket.send(connectPacket({ version: 5, will: { topic: 'will', payload: 'gone' } }));
  await waitFor('the CONNACK', () => bytes.length > 0);
  socket.terminate();
  await waitFor('the will', () => heard.length === 1);
});

test('a subscriber that reads nothing loses messages, not the box its memory', async (t) => {
  const edge = await startEdge(t, { listeners, outboundBytesMax: 65_536 });
  const { socket, bytes } = await open(t, edge);
  socket.send(Buffer.concat([connectPacket({ version: 4 }), subscribePacket(4, 1, [['a', 0]])]));
  await waitFor('the subscription', () => edge.status.clients[0]?.subscriptions === 1 && bytes.length > 0);
  socket.pause();
  const payload = Buffer.alloc(30_000);
  await waitFor('a dropped message', () => {
    edge.publish('a', payload);
    return edge.counter('deliveriesDropped') > 0;
  });
  socket.resume();
  const before = edge.counter('messagesOut');
  await waitFor('room again', () => {
    edge.publish('a', payload);
    return edge.counter('messagesOut') > before;
  });
});

test('what asks for something else is answered in words of HTTP, and counted', async (t) => {
  const edge = await startEdge(t, { listeners });
  const base = `127.0.0.1:${edge.port}`;
  assert.equal((await fetch(`http://${base}/mqtt`)).status, 426);
  const cases: [url: string, protocol: string, origin: string | undefined, status: number][] = [
    ['/other', 'mqtt', undefined, 404],
    ['/mqtt', 'chat', undefined, 400],
    ['/mqtt', 'mqttv3.1', undefined, 400],
    ['/mqtt', 'mqtt', 'https://evil.example', 403],
    ['/mqtt', 'mqtt', 'null', 403],
  ];
  for (const [path, protocol, origin, status] of cases) {
    const socket = new WebSocket(`ws://${base}${path}`, protocol, origin === undefined ? {} : { origin });
    const [, response] = await once(socket, 'unexpected-response');
    assert.equal(response.statusCode, status, `${path} ${protocol} ${origin}`);
    response.destroy();
  }
  assert.equal(edge.counter('handshakesRefused'), 1 + cases.length);
  const local = new WebSocket(`ws://${base}/mqtt?from=page`, 'mqtt', { origin: 'http://localhost:8080' });
  await once(local, 'open');
  local.terminate();
});

test('a WebSocket without a CONNECT is cut, and a stop says goodbye', async (t) => {
  const edge = await startEdge(t, { listeners, connectTimeoutMs: 300 });
  const silent = await open(t, edge);
  await once(silent.socket, 'close');
  assert.equal(edge.counter('connectTimeouts'), 1);
  const { socket, bytes } = await open(t, edge);
  socket.send(connectPacket({ version: 5, clientId: 'c' }));
  await waitFor('the CONNACK', () => bytes.length > 0);
  bytes.length = 0;
  const closed = once(socket, 'close');
  await edge.edge.stop();
  await closed;
  assert.deepEqual([...Buffer.concat(bytes).subarray(0, 1)], [0xe0]);
});

async function open(scope: Scope, edge: TestEdge): Promise<{ socket: WebSocket; bytes: Buffer[] }> {
  const socket = new WebSocket(`ws://127.0.0.1:${edge.port}/mqtt`, 'mqtt');
  const bytes: Buffer[] = [];
  socket.on('message', (data) => bytes.push(data as Buffer));
  socket.on('error', () => {});
  atEnd(scope, () => socket.terminate());
  await once(socket, 'open');
  return { socket, bytes };
}

/** Another client is served: what went before has harmed nobody else. */
async function expectServing(scope: Scope, edge: TestEdge): Promise<void> {
  const { socket, bytes } = await open(scope, edge);
  socket.send(connectPacket({ version: 4, clientId: 'good' }));
  await waitFor('the CONNACK', () => hex(Buffer.concat(bytes)) === '20 02 00 00');
}
