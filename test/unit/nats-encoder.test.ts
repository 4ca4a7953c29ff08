import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LeafEncoder } from '../../src/nats/encoder.ts';
import { LeafParser } from '../../src/nats/parser.ts';

const NONE = Buffer.alloc(0);
const block = Buffer.from('NATS/1.0\r\nA: b\r\n\r\n');
const written = (encoder: LeafEncoder) => Buffer.concat(encoder.take()).toString();

describe('LeafEncoder', () => {
  it('writes each form of a message', () => {
    const forms: [reply: string, queues: string[], headers: Buffer, wire: string][] = [
      ['', [], NONE, 'LMSG a.b 2\r\nhi\r\n'],
      ['r', [], NONE, 'LMSG a.b r 2\r\nhi\r\n'],
      ['', ['q'], NONE, 'LMSG a.b | q 2\r\nhi\r\n'],
      ['', ['q', 'p'], NONE, 'LMSG a.b | q p 2\r\nhi\r\n'],
      ['r', ['q'], NONE, 'LMSG a.b + r q 2\r\nhi\r\n'],
      ['', [], block, `HMSG a.b 18 20\r\n${block}hi\r\n`],
      ['r', [], block, `HMSG a.b r 18 20\r\n${block}hi\r\n`],
      ['r', ['q', 'p'], block, `HMSG a.b + r q p 18 20\r\n${block}hi\r\n`],
    ];
    for (const [reply, queues, headers, wire] of forms) {
      const encoder = new LeafEncoder();
      assert.equal(encoder.message('a.b', reply, queues, headers, Buffer.from('hi')), 'ok');
      assert.equal(encoder.bytes, wire.length);
      assert.equal(written(encoder), wire);
      assert.equal(encoder.bytes, 0);
    }
  });

  it('writes the other operations in order', () => {
    const encoder = new LeafEncoder();
    encoder.connect({ name: 'ü', headers: true });
    encoder.subscribe('a.>', '', 1);
    encoder.subscribe('a.*', 'q', 12);
    encoder.unsubscribe('a.>', '');
    encoder.unsubscribe('a.*', 'q');
    encoder.ping();
    encoder.pong();
    encoder.error("it's\r\nbroken");
    assert.equal(
      written(encoder),
      'CONNECT {"name":"ü","headers":true}\r\nLS+ a.>\r\nLS+ a.* q 12\r\nLS- a.>\r\nLS- a.* q\r\nPING\r\nPONG\r\n' +
        "-ERR 'it s  broken'\r\n",
    );
  });

  it('writes nothing of what would forge an operation', () => {
    for (const bad of ['', 'a b', 'a\tb', 'a\r\nPING', 'ü b', 'ü\r\n', 'a\0', 'a\x7f']) {
      const encoder = new LeafEncoder();
      encoder.ping();
      assert.equal(encoder.message(bad, '', [], NONE, NONE), 'illegal');
      if (bad !== '') assert.equal(encoder.message('a', bad, [], NONE, NONE), 'illegal');
      assert.equal(encoder.message('a', '', ['q', bad], NONE, NONE), 'illegal');
      assert.equal(encoder.subscribe(bad, '', 1), 'illegal');
      if (bad !== '') assert.equal(encoder.subscribe('a', bad, 1), 'illegal');
      assert.equal(written(encoder), 'PING\r\n');
    }
  });

  it('writes no control line longer than a hub takes', () => {
    const encoder = new LeafEncoder();
    assert.equal(encoder.message('a'.repeat(70_000), '', [], NONE, NONE), 'too-long');
    assert.equal(encoder.message('ü'.repeat(40_000), '', [], NONE, NONE), 'too-long');
    assert.equal(encoder.message('a'.repeat(40_000), 'b'.repeat(30_000), [], NONE, NONE), 'too-long');
    assert.equal(encoder.subscribe('ü'.repeat(40_000), '', 1), 'too-long');
    assert.equal(encoder.message('a'.repeat(60_000), '', [], NONE, NONE), 'ok');
    assert.equal(encoder.bytes, 60_000 + 'LMSG  0\r\n\r\n'.length);
  });

  it('passes a large payload on without copying it', () => {
    const encoder = new LeafEncoder();
    const payload = Buffer.alloc(100_000, 7);
    encoder.message('a', '', [], NONE, payload);
    encoder.ping();
    const segments = encoder.take();
    assert.ok(segments.includes(payload));
    assert.equal(Buffer.concat(segments).length, 'LMSG a 100000\r\n\r\nPING\r\n'.length + payload.length);
  });

  it('uses its memory again, but never while the socket may still read it', () => {
    const encoder = new LeafEncoder();
    const fill = (byte: number) => encoder.message('a', '', [], NONE, Buffer.alloc(1000, byte));
    fill(1);
    const [first] = encoder.take();
    const before = Buffer.from(first as Buffer);
    fill(2);
    encoder.recycle(); // Something is written and not taken: nothing may move.
    encoder.take();
    assert.deepEqual(first, before);
    for (let i = 0; i < 200; i++) fill(3);
    assert.deepEqual(first, before);
    encoder.take();
    encoder.recycle();
    const blocks = new Set<ArrayBufferLike>();
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 200; i++) fill(4);
      for (const segment of encoder.take()) blocks.add(segment.buffer);
      encoder.recycle();
    }
    assert.ok(blocks.size <= 6, `${blocks.size} blocks`);
  });

  it('is understood by the parser, whatever the message', () => {
    const token = fc.stringMatching(/^[a-z0-9_$ü€😀.*>-]{1,12}$/u);
    const fields = {
      subject: token,
      reply: fc.oneof(fc.constant(''), token),
      queues: fc.array(token, { maxLength: 3 }),
      headers: fc.constantFrom(NONE, block),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
        fc.integer({ min: 0, max: 40_000 }).map((bytes) => Buffer.alloc(bytes, 9)),
      ),
    };
    const message = fc.record(fields, { noNullPrototype: true });
    type Heard = { subject: string; reply: string; queues: readonly string[]; headers: Buffer; payload: Buffer };
    const encoder = new LeafEncoder();
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), (messages) => {
        const heard: Heard[] = [];
        const fail = () => assert.fail('only messages were sent');
        const parser = new LeafParser({
          message: (subject, reply, queues, headers, payload) =>
            heard.push({ subject, reply, queues: [...queues], headers, payload }),
          info: fail,
          ping: fail,
          pong: fail,
          error: fail,
          subscribe: fail,
          unsubscribe: fail,
          oversize: fail,
        });
        for (const { subject, reply, queues, headers, payload } of messages) {
          assert.equal(encoder.message(subject, reply, queues, headers, payload), 'ok');
        }
        parser.push(Buffer.concat(encoder.take()));
        encoder.recycle();
        assert.deepEqual(heard, messages);
      }),
      { seed: 7422, numRuns: 300 },
    );
  });
});
