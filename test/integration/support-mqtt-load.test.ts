import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import mqtt from 'mqtt';
import { startMosquitto } from '../support/mosquitto.ts';
import { runLoad } from '../support/mqtt-load.ts';
import { readPayload } from '../support/payload.ts';
import { StreamAudit } from '../support/stream-audit.ts';
import { waitFor } from '../support/wait-for.ts';

for (const version of [4, 5] as const) {
  test(`a load of MQTT version ${version} arrives whole at a real broker`, async (t) => {
    const { port } = await startMosquitto(t);
    const audit = new StreamAudit('number');
    const subscriber = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
    t.after(() => subscriber.endAsync());
    subscriber.on('message', (_topic, payload) => audit.add(payload, ''));
    await subscriber.subscribeAsync('bench/#', { qos: 1 });

    const result = await runLoad(t, { port, version, connections: 3, messages: 700, window: 15 });
    assert.deepEqual(result.errors, []);
    assert.equal(result.complete, true);
    assert.equal(result.acked, 700);
    assert.deepEqual(result.ackedRanges, { c0: [[0, 233]], c1: [[0, 232]], c2: [[0, 232]] });
    await waitFor('all messages at the subscriber', () => audit.messages >= 700);
    const { lost, duplicated, outOfOrder, foreign, unacked } = audit.report(result.ackedRanges);
    assert.deepEqual(
      { lost, duplicated, outOfOrder, foreign, unacked },
      { lost: 0, duplicated: 0, outOfOrder: 0, foreign: 0, unacked: 0 },
    );
  });
}

test('a paced load keeps its pace', async (t) => {
  const { port } = await startMosquitto(t);
  const result = await runLoad(t, { port, connections: 2, messages: 100, messagesPerSecond: 200 });
  assert.equal(result.acked, 100);
  assert.ok(result.elapsedMs > 480, `took ${result.elapsedMs} ms`);
});

/** Fixed header with two bytes of remaining length, topic name, packet identifier, payload. */
const PUBLISH_LENGTH = 3 + 2 + 'bench/c0'.length + 2 + 128;

test('what was not acknowledged is sent again with DUP, in its order, after a reconnect', async (t) => {
  const firstTry: number[] = [];
  const secondTry: { n: number; dup: boolean }[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  // A far end that speaks bytes: acknowledges two of the first five PUBLISHes and hangs up.
  const server = createServer((socket) => {
    const connection = ++connections;
    let bytes = Buffer.alloc(0);
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes[0] === 0x10 && bytes.length >= 2 + (bytes[1] ?? 0)) {
        bytes = bytes.subarray(2 + (bytes[1] ?? 0));
        socket.write(Buffer.of(0x20, 2, 0, 0));
      }
      while (bytes.length >= PUBLISH_LENGTH && (bytes[0] ?? 0) >> 4 === 3) {
        const packet = bytes.subarray(0, PUBLISH_LENGTH);
        bytes = bytes.subarray(PUBLISH_LENGTH);
        const n = readPayload(packet.subarray(PUBLISH_LENGTH - 128))?.n ?? -1;
        const at = PUBLISH_LENGTH - 130;
        const ack = Buffer.of(0x40, 2, packet[at] ?? 0, packet[at + 1] ?? 0);
        if (connection > 1) {
          secondTry.push({ n, dup: ((packet[0] ?? 0) & 8) !== 0 });
          socket.write(ack);
        } else {
          firstTry.push(n);
          if (firstTry.length <= 2) socket.write(ack);
          else if (firstTry.length === 5) socket.end();
        }
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const result = await runLoad(t, { port, messages: 5, window: 5, reconnect: true });
  assert.deepEqual(firstTry, [0, 1, 2, 3, 4]);
  assert.deepEqual(
    secondTry,
    [2, 3, 4].map((n) => ({ n, dup: true })),
  );
  assert.deepEqual(result.ackedRanges, { c0: [[0, 4]] });
  assert.equal(result.resent, 3);
  assert.equal(result.reconnects, 1);
});
