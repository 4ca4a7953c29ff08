import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildHeaders } from '../../src/core/headers.ts';
import { ClientFault } from '../../src/nats/client-fault.ts';
import { ClientParser } from '../../src/nats/client-parser.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const PAYLOAD_BYTES_MAX = 1_000;
const LINE_BYTES_MAX = 4_096;

/** What the parser hands out, written down; a fault ends it. */
function parse(chunks: readonly Buffer[]): string[] {
  const seen: string[] = [];
  const parser = new ClientParser(
    {
      connect: (json) => seen.push(`connect ${json.trim()}`),
      publish: (subject, reply, headers, payload) =>
        seen.push(`pub ${subject}|${reply}|${headers.toString('latin1')}|${payload.toString('latin1')}`),
      subscribe: (subject, queue, sid) => seen.push(`sub ${subject}|${queue}|${sid}`),
      unsubscribe: (sid, max) => seen.push(`unsub ${sid}|${max}`),
      ping: () => seen.push('ping'),
      pong: () => seen.push('pong'),
    },
    PAYLOAD_BYTES_MAX,
    LINE_BYTES_MAX,
  );
  try {
    for (const chunk of chunks) parser.push(chunk);
  } catch (error) {
    if (!(error instanceof ClientFault)) throw error;
    seen.push(`fault ${error.message}`);
  }
  return seen;
}

const headers = buildHeaders([['A', 'b']]).toString();
const HL = headers.length;

const good: [bytes: string, seen: string][] = [
  ['PUB a.b 5\r\nhello\r\n', 'pub a.b|||hello'],
  ['pub a.b 0\r\n\r\n', 'pub a.b|||'],
  ['PUB  a.b \t r.s   5 \r\nhello\r\n', 'pub a.b|r.s||hello'],
  ['PUB a 5\nhello\r\n', 'pub a|||hello'],
  ['PUB a 2\r\n\r\n\r\n', 'pub a|||\r\n'],
  [`HPUB a ${HL} ${HL + 2}\r\n${headers}hi\r\n`, `pub a||${headers}|hi`],
  [`HPUB a r ${HL} ${HL}\r\n${headers}\r\n`, `pub a|r|${headers}|`],
  ['SUB a.* 1\r\n', 'sub a.*||1'],
  ['SUB a.> workers x9\r\n', 'sub a.>|workers|x9'],
  ['UNSUB 1\r\n', 'unsub 1|0'],
  ['unsub 1 10\r\n', 'unsub 1|10'],
  ['PING\r\n', 'ping'],
  ['Pong\r\n', 'pong'],
  ['CONNECT {"verbose":false}\r\n', 'connect {"verbose":false}'],
  [`SUB ${'a'.repeat(LINE_BYTES_MAX - 6)} 1\r\n`, `sub ${'a'.repeat(LINE_BYTES_MAX - 6)}||1`],
];

for (const [bytes, seen] of good) {
  test(`reads ${JSON.stringify(bytes.slice(0, 60))}, also split at every byte`, () => {
    const whole = Buffer.from(bytes, 'latin1');
    // Something before and behind it, so that what is carried over is carried right.
    const stream = Buffer.concat([Buffer.from('PING\r\n'), whole, Buffer.from('PUB z 1\r\nz\r\n')]);
    const expected = ['ping', seen, 'pub z|||z'];
    assert.deepEqual(parse([stream]), expected);
    for (let at = 1; at < Math.min(stream.length, 300); at++) {
      assert.deepEqual(parse([stream.subarray(0, at), stream.subarray(at)]), expected, `split at ${at}`);
    }
    assert.deepEqual(parse(Array.from(stream, (byte) => Buffer.of(byte))), expected);
  });
}

const bad: [bytes: string, fault: string][] = [
  ['GET / HTTP/1.1\r\n', 'Unknown Protocol Operation'],
  ['\r\n', 'Unknown Protocol Operation'],
  ['LMSG a 0\r\n\r\n', 'Unknown Protocol Operation'],
  ['PUB\r\n', 'Unknown Protocol Operation'],
  ['PUB a\r\n', 'Unknown Protocol Operation'],
  ['PUB a b c 1\r\n', 'Unknown Protocol Operation'],
  ['PUB a -1\r\n', 'Unknown Protocol Operation'],
  ['PUB a 1x\r\n', 'Unknown Protocol Operation'],
  ['PUB a 5\r\nhelloXX', 'Unknown Protocol Operation'],
  ['PUB a\xff\xfe 1\r\n', 'Unknown Protocol Operation'],
  ['PUB a 1001\r\n', 'Maximum Payload Violation'],
  ['PUB a 99999999999999999999\r\n', 'Maximum Payload Violation'],
  ['HPUB a 10 5\r\n', 'Unknown Protocol Operation'],
  ['HPUB a 5\r\n', 'Unknown Protocol Operation'],
  ['SUB a\r\n', 'Unknown Protocol Operation'],
  ['SUB a b c d\r\n', 'Unknown Protocol Operation'],
  ['UNSUB\r\n', 'Unknown Protocol Operation'],
  ['UNSUB 1 -2\r\n', 'Unknown Protocol Operation'],
  [`SUB ${'a'.repeat(LINE_BYTES_MAX)} 1\r\n`, 'maximum control line exceeded'],
  ['x'.repeat(LINE_BYTES_MAX + 2), 'maximum control line exceeded'],
];

for (const [bytes, text] of bad) {
  test(`refuses ${JSON.stringify(bytes.slice(0, 60))}, also byte by byte`, () => {
    const whole = Buffer.from(bytes, 'latin1');
    assert.deepEqual(parse([whole]), [`fault ${text}`]);
    assert.deepEqual(parse(Array.from(whole, (byte) => Buffer.of(byte))), [`fault ${text}`]);
  });
}

test('nothing is handed out after stop', () => {
  const seen: string[] = [];
  const nothing = () => assert.fail();
  const parser = new ClientParser(
    {
      connect: nothing,
      publish: nothing,
      subscribe: nothing,
      unsubscribe: nothing,
      pong: nothing,
      ping: () => {
        seen.push('ping');
        parser.stop();
      },
    },
    PAYLOAD_BYTES_MAX,
    LINE_BYTES_MAX,
  );
  parser.push(Buffer.from('PING\r\nPONG\r\nSUB a 1\r\n'));
  parser.push(Buffer.from('PONG\r\n'));
  assert.deepEqual(seen, ['ping']);
});

test('mutated streams end in the same way however they are cut, and in no error but a fault', () => {
  const random = new SeededRandom(4222);
  const below = (n: number): number => Math.floor(random.next() * n);
  const samples = good.map(([bytes]) => bytes);
  let faults = 0;
  for (let round = 0; round < 3_000; round++) {
    const text = Array.from({ length: 1 + below(5) }, () => samples[below(samples.length)] ?? '').join('');
    const stream = Buffer.from(text, 'latin1');
    for (let mutations = below(4); mutations > 0; mutations--) stream[below(stream.length)] = below(256);
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.length; ) {
      const length = 1 + below(40);
      chunks.push(stream.subarray(at, at + length));
      at += length;
    }
    const whole = parse([stream]);
    assert.deepEqual(parse(chunks), whole, JSON.stringify(text));
    if (whole.at(-1)?.startsWith('fault')) faults++;
  }
  assert.ok(faults > 500 && faults < 2_900, `${faults} faults`);
});
