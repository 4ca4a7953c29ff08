import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEdge } from '../support/mqtt-edge.ts';
import { connectPacket, packet, pubackPacket, publishPacket, raw, varint } from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

/** First bytes that are no CONNECT. */
const strangers: Record<string, Buffer> = {
  'an HTTP request': raw('GET / HTTP/1.1\r\nHost: box\r\n\r\n'),
  'a TLS hello': Buffer.from('160301020001000001fc0303', 'hex'),
  'a NATS client': raw('CONNECT {"verbose":false}\r\nPING\r\n'),
  'a PUBLISH [MQTT-3.1.0-1]': publishPacket(),
  'a PINGREQ': packet(0xc0),
  'zero bytes': Buffer.alloc(100),
  'a CONNECT of 256 MiB': Buffer.concat([Buffer.of(0x10), Buffer.of(0xff, 0xff, 0xff, 0x7f), raw('MQTT')]),
  'a CONNECT of 1 MiB': Buffer.concat([Buffer.of(0x10), varint(1_048_576), raw('MQTT')]),
  'a remaining length of five bytes': Buffer.of(0x10, 0x80, 0x80, 0x80, 0x80, 0x01),
};

test('a connection that does not begin with a CONNECT of a sane size is closed at once', async (t) => {
  const edge = await startEdge(t);
  for (const [what, bytes] of Object.entries(strangers)) {
    await t.test(what, async () => {
      const wire = await edge.open(what);
      wire.send(bytes);
      await wire.expectClosed();
      const slow = await edge.open(what);
      await slow.sendInPieces(bytes.subarray(0, 8));
      await slow.expectClosed();
    });
  }
  await edge.expectServing();
});

test('random bytes harm nobody', async (t) => {
  const edge = await startEdge(t);
  let seed = 12_345;
  const random = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 16;
  };
  for (let round = 0; round < 60; round++) {
    const garbage = Buffer.from(Array.from({ length: 1 + (random() % 400) }, () => random() & 0xff));
    const version = round % 2 === 0 ? 4 : 5;
    const wire = round % 3 === 0 ? await edge.open('garbage') : await edge.connect(version, 'garbage');
    wire.send(garbage);
    wire.end();
    await waitFor('the end', () => wire.closed);
  }
  await waitFor('no connection left', () => edge.status.clients.length === 0);
  await edge.expectServing();
});

test('one flipped byte in a good conversation harms nobody', async (t) => {
  const edge = await startEdge(t);
  for (const version of [4, 5] as const) {
    const good = Buffer.concat([
      connectPacket({ version, clientId: 'flip', username: 'u', password: 'p', will: { topic: 'w' } }),
      publishPacket({ version, topic: 'a/b', id: 1 }),
      packet(0x82, Buffer.of(0, 2), ...(version === 5 ? [Buffer.of(0)] : []), 'c/#', 0),
    ]);
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      const wire = await edge.open(`byte ${at}`);
      wire.send(bad);
      wire.end();
      await waitFor('the end', () => wire.closed);
    }
  }
  await edge.expectServing();
});

test('a packet beyond the bound is refused by its header, before its body comes', async (t) => {
  const edge = await startEdge(t, { packetBytesMax: 4096 });
  const heard = edge.listen('>');
  // 0x30, two bytes of length, and 4094 more: one too many.
  const head = Buffer.concat([Buffer.of(0x30), varint(4094)]);
  const five = await edge.connect(5, 'five');
  five.send(head);
  await five.expectDisconnect(0x95);
  const three = await edge.connect(4, 'three');
  three.send(head);
  await three.expectClosed();
  // The answer arrives even where the whole packet is already on its way.
  const eager = await edge.connect(5, 'eager');
  eager.send(packet(0x30, Buffer.alloc(2_000_000)));
  await eager.expectDisconnect(0x95);
  assert.deepEqual(heard, []);
  await edge.expectServing();
});

test('a remaining length of five bytes after CONNECT is malformed [MQTT5 1.5.5]', async (t) => {
  const edge = await startEdge(t);
  const five = await edge.connect(5, 'five');
  five.send(Buffer.of(0x30, 0x80, 0x80, 0x80, 0x80));
  await five.expectDisconnect(0x81);
  const three = await edge.connect(4, 'three');
  three.send(Buffer.of(0x30, 0x80, 0x80, 0x80, 0x80));
  await three.expectClosed();
  await edge.expectServing();
});

test('packet type 0 and flags that are reserved are malformed [MQTT-2.2.2-2]', async (t) => {
  const edge = await startEdge(t);
  for (const first of [0x00, 0x41, 0x83, 0xc1]) {
    const five = await edge.connect(5, 'five');
    five.send(packet(first, Buffer.of(0, 1)));
    await five.expectDisconnect(0x81);
    const three = await edge.connect(4, 'three');
    three.send(packet(first, Buffer.of(0, 1)));
    await three.expectClosed();
  }
  await edge.expectServing();
});

test('a packet that never ends is not passed on', async (t) => {
  const edge = await startEdge(t);
  const heard = edge.listen('half');
  const whole = publishPacket({ topic: 'half', id: 1, payload: 'payload' });
  for (let length = 1; length < whole.length; length++) {
    const wire = await edge.connect(4, 'half');
    wire.send(whole.subarray(0, length));
    wire.end();
    await wire.expectClosed();
  }
  const half = await edge.open();
  half.send(connectPacket().subarray(0, 9));
  half.end();
  await half.expectClosed();
  assert.deepEqual(heard, []);
  await edge.expectServing();
});

test('every split of a conversation is understood', async (t) => {
  const edge = await startEdge(t);
  const conversation = Buffer.concat([
    publishPacket({ id: 1 }),
    publishPacket({ id: 2, payload: 'y'.repeat(200) }),
    packet(0xc0),
  ]);
  for (let size = 1; size <= 16; size++) {
    const wire = await edge.connect(4, `split-${size}`);
    await wire.sendInPieces(conversation, size);
    await wire.expectInAnyOrder(pubackPacket(1), pubackPacket(2), packet(0xd0));
    wire.send(packet(0xe0));
    await wire.expectClosed();
  }
});

test('a client that takes for ever over its CONNECT is cut in time', async (t) => {
  const edge = await startEdge(t, { connectTimeoutMs: 300 });
  const startedAtMs = performance.now();
  const mute = await edge.open('mute');
  const slow = await edge.open('slow');
  const dripping = (async () => {
    for (const byte of connectPacket({ clientId: 'x'.repeat(200) })) {
      if (slow.closed) return;
      slow.send(Buffer.of(byte));
      await sleep(20);
    }
  })();
  await Promise.all([mute.expectClosed(), slow.expectClosed()]);
  await dripping;
  const tookMs = performance.now() - startedAtMs;
  assert.ok(tookMs >= 290, `cut after ${Math.round(tookMs)} ms`);
  // Who has connected is not under that clock.
  const good = await edge.connect(4, 'good');
  await sleep(700);
  await good.expectQuiet();
});

test('at the bound of connections a further one is told so, and has its place once another goes', async (t) => {
  const edge = await startEdge(t, { connectionsMax: 3 });
  const wires = [await edge.connect(4, 'one'), await edge.connect(5, 'two'), await edge.connect(4, 'three')];
  const old = await edge.open();
  old.send(connectPacket({ version: 4, clientId: 'four' }));
  await old.expect(Buffer.of(0x20, 2, 0, 3));
  await old.expectClosed();
  const five = await edge.open();
  five.send(connectPacket({ version: 5, clientId: 'five' }));
  assert.equal((await five.connAck()).reasonCode, 0x97);
  await five.expectClosed();
  for (const wire of wires) await wire.expectQuiet();
  wires[0]?.reset();
  await waitFor('a free place', () => edge.status.clients.length === 2);
  await edge.connect(4, 'four');
});

test('sockets without a CONNECT cannot pile up far beyond the bound of connections', async (t) => {
  const edge = await startEdge(t, { connectionsMax: 4 });
  // Some more may stay: to be told why they are refused, or to take over their own old connection.
  const mute = await Promise.all(Array.from({ length: 150 }, () => edge.open('mute')));
  await waitFor('half of them to be closed', () => mute.filter((wire) => wire.closed).length >= 75);
  for (const wire of mute) wire.reset();
  await waitFor('all to be gone', () => edge.status.listeners[0]?.connections === 0);
  await edge.expectServing();
});
