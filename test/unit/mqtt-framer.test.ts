import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PacketError } from '../../src/mqtt/packet-error.ts';
import { PacketFramer } from '../../src/mqtt/packet-framer.ts';

const BYTES_MAX = 512;
const connect = Buffer.from('100c00044d5154540402003c0000', 'hex');
const pingreq = Buffer.from('c000', 'hex');

function publish(bodyBytes: number): Buffer {
  const length = bodyBytes < 128 ? [bodyBytes] : [(bodyBytes & 0x7f) | 0x80, bodyBytes >> 7];
  return Buffer.concat([Buffer.of(0x30, ...length), Buffer.alloc(bodyBytes, bodyBytes)]);
}

/** Every packet that is complete, copied out, with where its body begins. */
function drain(framer: PacketFramer): { packet: string; body: number }[] {
  const packets: { packet: string; body: number }[] = [];
  while (framer.next()) {
    packets.push({ packet: framer.bytes.toString('hex', framer.start, framer.end), body: framer.body - framer.start });
  }
  return packets;
}

function refusal(bytes: Buffer, framer = new PacketFramer(BYTES_MAX)): number {
  try {
    framer.push(bytes);
    while (framer.next());
  } catch (error) {
    assert.ok(error instanceof PacketError);
    return error.reasonCode;
  }
  return 0;
}

const stream = [connect, pingreq, publish(0), publish(127), publish(128), publish(BYTES_MAX - 3), pingreq];
const expected = stream.map((packet) => ({ packet: packet.toString('hex'), body: packet.length > 129 ? 3 : 2 }));
// A body of 128 bytes is the first one with a length of two bytes.
expected[4] = { packet: publish(128).toString('hex'), body: 3 };

test('packets come out whole wherever the stream is split in two', () => {
  const bytes = Buffer.concat(stream);
  for (let at = 0; at <= bytes.length; at++) {
    const framer = new PacketFramer(BYTES_MAX);
    const packets = [bytes.subarray(0, at), bytes.subarray(at)].flatMap((chunk) => {
      framer.push(chunk);
      return drain(framer);
    });
    assert.deepEqual(packets, expected, `split at ${at}`);
    assert.equal(framer.pendingBytes, 0);
  }
});

test('packets come out whole from any chunks, byte by byte included', () => {
  const bytes = Buffer.concat(stream);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
      const framer = new PacketFramer(BYTES_MAX);
      const packets: unknown[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i % sizes.length] ?? 1;
        framer.push(bytes.subarray(at, at + size));
        packets.push(...drain(framer));
        at += size;
      }
      assert.deepEqual(packets, expected);
    }),
  );
});

test('whole packets are not copied, and a reader may stop between two', () => {
  const chunk = Buffer.concat([connect, publish(5), publish(6)]);
  const framer = new PacketFramer(BYTES_MAX);
  framer.push(chunk);
  assert.ok(framer.next());
  assert.equal(framer.bytes, chunk);
  assert.ok(framer.next());
  assert.equal(framer.bytes.buffer, chunk.buffer);
  // More arrives while the third packet still waits.
  framer.push(pingreq);
  assert.deepEqual(
    drain(framer).map(({ packet }) => packet),
    [publish(6).toString('hex'), 'c000'],
  );
});

test('what a caller keeps of a packet in pieces stays as it is', () => {
  const framer = new PacketFramer(BYTES_MAX);
  const kept: Buffer[] = [];
  for (const packet of [connect, publish(40), publish(50)]) {
    framer.push(packet.subarray(0, 3));
    assert.ok(!framer.next());
    framer.push(packet.subarray(3));
    assert.ok(framer.next());
    kept.push(framer.bytes.subarray(framer.body, framer.end));
  }
  assert.deepEqual(kept[1], Buffer.alloc(40, 40));
  assert.deepEqual(kept[2], Buffer.alloc(50, 50));
});

test('anything but a CONNECT first is a protocol error, on its first byte [MQTT-3.1.0-1]', () => {
  for (let first = 0; first < 256; first++) {
    const type = first >> 4;
    const wanted = type !== 1 ? 0x82 : first === 0x10 ? 0 : 0x81;
    assert.equal(refusal(Buffer.of(first)), wanted, `first byte ${first}`);
  }
});

test('flags must be those of the packet type [MQTT-2.2.2-2]', () => {
  const required = new Map([
    [6, 2],
    [8, 2],
    [10, 2],
  ]);
  for (let first = 0; first < 256; first++) {
    const type = first >> 4;
    const isRight = type === 3 || (type !== 0 && (first & 15) === (required.get(type) ?? 0));
    const framer = new PacketFramer(BYTES_MAX);
    framer.push(connect);
    assert.ok(framer.next());
    assert.equal(refusal(Buffer.of(first), framer), isRight ? 0 : 0x81, `first byte ${first}`);
  }
});

test('the bound holds for the whole packet, before its body arrives', () => {
  const framer = new PacketFramer(connect.length);
  assert.equal(refusal(connect, framer), 0);
  assert.equal(refusal(connect, new PacketFramer(connect.length - 1)), 0x95);
  assert.equal(refusal(connect.subarray(0, 2), new PacketFramer(connect.length - 1)), 0x95);
  framer.bytesMax = 130;
  assert.equal(refusal(publish(127), framer), 0);
  framer.bytesMax = 131;
  assert.equal(refusal(publish(128), framer), 0);
  assert.equal(refusal(publish(129).subarray(0, 3), framer), 0x95);
});

test('the largest remaining length is too large, a fifth byte is malformed', () => {
  assert.equal(refusal(Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f)), 0x95);
  assert.equal(refusal(Buffer.of(0x10, 0xff, 0xff, 0xff, 0xff)), 0x81);
  assert.equal(refusal(Buffer.of(0x10, 0x80, 0x80, 0x80)), 0);
});

test('a header alone reserves no memory', () => {
  const framer = new PacketFramer(256 * 1024 * 1024);
  const header = Buffer.of(0x10, 0xff, 0xff, 0xff, 0x3f);
  const before = process.memoryUsage().arrayBuffers;
  framer.push(header);
  assert.ok(!framer.next());
  assert.equal(framer.pendingBytes, header.length);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
});
