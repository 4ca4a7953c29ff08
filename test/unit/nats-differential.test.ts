/**
 * Goal: what parsers and encoders of the NATS protocol do byte by byte is what the plain way does. Method: the plain way is
 * here, with strings and regular expressions over a whole stream; a fixed seed joins good operations, damages some, and cuts
 * the stream for the parser under test.
 */
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeDecimal } from '../../src/core/decimal.ts';
import { GatewayError } from '../../src/core/errors.ts';
import type { Message } from '../../src/core/message.ts';
import { BlockPool, ClientEncoder } from '../../src/nats/client-encoder.ts';
import { ClientFault } from '../../src/nats/client-fault.ts';
import { ClientParser } from '../../src/nats/client-parser.ts';
import { LeafEncoder } from '../../src/nats/encoder.ts';
import { LeafParser } from '../../src/nats/parser.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const BYTES_MAX = 200;
const LINE_MAX = 4_096;
const HEADERS = 'NATS/1.0\r\nA: b\r\n\r\n';
const END = 'end';

class Refused extends Error {}

/** Bytes as text of one character each. */
const latin1 = (bytes: Buffer): string => bytes.toString('latin1');
const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');
const argumentsOf = (text: string): string[] => text.split(/[ \t]+/).filter((part) => part !== '');

function number(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Refused();
  return Number(text);
}

/** Reads operations off a whole stream: a line, and for messages as many bytes as it says. */
function* plainly(
  stream: Buffer,
  operation: (line: string, body: (bytes: number) => string) => string,
): Generator<string> {
  const text = latin1(stream);
  let at = 0;
  try {
    for (;;) {
      const lineEnd = text.indexOf('\n', at);
      if (lineEnd === -1) return;
      const line = text.slice(at, lineEnd).replace(/\r$/, '');
      at = lineEnd + 1;
      const body = (bytes: number): string => {
        const end = at + bytes + 2;
        if (end > text.length) throw new RangeError();
        const whole = text.slice(at, end);
        at = end;
        return whole;
      };
      const said = operation(line, body);
      if (said !== '') yield said;
    }
  } catch (error) {
    if (error instanceof RangeError) return;
    if (!(error instanceof Refused)) throw error;
    yield END;
  }
}

function withoutEnd(whole: string): string {
  if (!whole.endsWith('\r\n')) throw new Refused();
  return whole.slice(0, -2);
}

function leafOperation(line: string, body: (bytes: number) => string): string {
  const verb = /^(lmsg(?=.)|hmsg(?=.)|ls\+|ls-)(.*)$/is.exec(line);
  if (verb === null) {
    if (/^p[io]ng$/i.test(line)) return line.toLowerCase();
    const [first = '', ...rest] = line.split(' ');
    const text = utf8(rest.join(' ')).trim();
    if (/^info$/i.test(first)) return `info ${text}`;
    if (/^-err$/i.test(first)) return `error ${text.replace(/^'(.*)'$/s, '$1')}`;
    if (/^\+ok$/i.test(first)) return '';
    throw new Refused();
  }
  const [, name = '', tail = ''] = verb;
  const parts = argumentsOf(tail);
  if (parts.length > 0 && !/^[ \t]/.test(tail)) throw new Refused();
  const [subject = '', second = '', third = ''] = parts;
  if (name.toLowerCase() === 'ls+') {
    if (parts.length === 1) return `+ ${utf8(subject)}||1`;
    if (parts.length !== 3) throw new Refused();
    return `+ ${utf8(subject)}|${utf8(second)}|${number(third)}`;
  }
  if (name.toLowerCase() === 'ls-') {
    if (parts.length !== 1 && parts.length !== 2) throw new Refused();
    return `- ${utf8(subject)}|${utf8(second)}`;
  }
  const sizes = name.toLowerCase() === 'hmsg' ? 2 : 1;
  const names = parts.slice(0, -sizes);
  if (parts.length <= sizes) throw new Refused();
  const total = number(parts.at(-1) as string);
  const headers = sizes === 2 ? number(parts.at(-2) as string) : 0;
  if (headers > total || total > 64 * 1024 * 1024) throw new Refused();
  let reply = names.length === 2 ? second : '';
  let queues: string[] = [];
  if (names.length > 2) {
    if (second !== '+' && second !== '|') throw new Refused();
    reply = second === '+' ? third : '';
    queues = names.slice(second === '+' ? 3 : 2);
  }
  const whole = body(total);
  if (total > BYTES_MAX) return `oversize ${utf8(subject)}|${total}`;
  const message = withoutEnd(whole);
  return `${utf8(subject)}|${utf8(reply)}|${queues.map(utf8)}|${message.slice(0, headers)}|${message.slice(headers)}`;
}

function clientOperation(line: string, body: (bytes: number) => string): string {
  if (line.length > LINE_MAX) throw new Refused();
  const [, verb = '', tail = ''] = /^([^ \t]*)(.*)$/s.exec(line) ?? [];
  const parts = argumentsOf(tail);
  const text = (part = ''): string => {
    if (!isUtf8(Buffer.from(part, 'latin1'))) throw new Refused();
    return utf8(part);
  };
  switch (verb.toLowerCase()) {
    case 'pub':
    case 'hpub': {
      const sizes = verb.length === 4 ? 2 : 1;
      if (parts.length !== sizes + 1 && parts.length !== sizes + 2) throw new Refused();
      const total = number(parts.at(-1) as string);
      const headers = sizes === 2 ? number(parts.at(-2) as string) : 0;
      if (headers > total || total > BYTES_MAX) throw new Refused();
      const names = [text(parts[0]), parts.length === sizes + 2 ? text(parts[1]) : ''];
      const message = withoutEnd(body(total));
      return `${names.join('|')}|${message.slice(0, headers)}|${message.slice(headers)}`;
    }
    case 'sub':
      if (parts.length !== 2 && parts.length !== 3) throw new Refused();
      return `+ ${text(parts[0])}|${parts.length === 3 ? text(parts[1]) : ''}|${text(parts.at(-1))}`;
    case 'unsub':
      if (parts.length !== 1 && parts.length !== 2) throw new Refused();
      // The number is read behind the name.
      return `- ${text(parts[0])}|${parts.length === 2 ? number(parts[1] as string) : 0}`;
    case 'ping':
    case 'pong':
      return verb.toLowerCase();
    case 'connect':
      return `connect ${utf8(tail)}`;
    case '+ok':
      return '';
    default:
      throw new Refused();
  }
}

function leaf(chunks: readonly Buffer[]): string[] {
  const seen: string[] = [];
  const parser = new LeafParser(
    {
      info: (json) => seen.push(`info ${json}`),
      ping: () => seen.push('ping'),
      pong: () => seen.push('pong'),
      error: (text) => seen.push(`error ${text}`),
      subscribe: (filter, queue, weight) => seen.push(`+ ${filter}|${queue}|${weight}`),
      unsubscribe: (filter, queue) => seen.push(`- ${filter}|${queue}`),
      message: (subject, reply, queues, headers, payload) =>
        seen.push(`${subject}|${reply}|${queues}|${latin1(headers)}|${latin1(payload)}`),
      oversize: (subject, bytes) => seen.push(`oversize ${subject}|${bytes}`),
    },
    BYTES_MAX,
  );
  return ended(seen, parser, chunks);
}

function client(chunks: readonly Buffer[]): string[] {
  const seen: string[] = [];
  const parser = new ClientParser(
    {
      connect: (json) => seen.push(`connect ${json}`),
      publish: (subject, reply, headers, payload) =>
        seen.push(`${subject}|${reply}|${latin1(headers)}|${latin1(payload)}`),
      subscribe: (subject, queue, sid) => seen.push(`+ ${subject}|${queue}|${sid}`),
      unsubscribe: (sid, max) => seen.push(`- ${sid}|${max}`),
      ping: () => seen.push('ping'),
      pong: () => seen.push('pong'),
    },
    BYTES_MAX,
    LINE_MAX,
  );
  return ended(seen, parser, chunks);
}

function ended(seen: string[], parser: LeafParser | ClientParser, chunks: readonly Buffer[]): string[] {
  try {
    for (const chunk of chunks) parser.push(chunk);
  } catch (error) {
    if (!(error instanceof ClientFault || error instanceof GatewayError)) throw error;
    seen.push(END);
  }
  return seen;
}

const shared = ['PING\r\n', 'pOnG\r\n', '+OK\r\n', 'ping x\r\n', '\r\n', 'PINGS\r\n'];
const messages = [
  'a.b 5\r\nhello',
  'a r.s\t 5\r\nhello',
  'größe.ü ответ 1\r\nx',
  'a 0\r\n',
  'a 4\r\n\r\n\r\n',
  'a 300\r\nx',
];
const withHeaders = [
  `a ${HEADERS.length} ${HEADERS.length + 2}\r\n${HEADERS}hi`,
  `a r 18 18\r\n${HEADERS}`,
  'a 9 3\r\nabc',
];
const leafSamples = [
  ...shared,
  ...messages.map((one) => `LMSG ${one}\r\n`),
  ...withHeaders.map((one) => `hMSG ${one}\r\n`),
  ...['a | q1 5', 'a | q1 q2 5', 'a + r q1 5', 'a + r q1 q2 5', 'a x q 5'].map((one) => `LMSG ${one}\r\nhello\r\n`),
  `LMSG a 300\r\n${'y'.repeat(300)}\r\n`,
  ...['LS+ foo.*\r\n', 'LS+ foo.> workers 17\r\n', 'ls- ü\r\n', 'LS- foo.> workers\r\n', 'LS+ a b\r\n', 'LS+a\r\n'],
  ...['INFO {"a": 1}\r\n', "-ERR 'Stale Connection'\r\n", '-ERR\r\n', 'LMSG a -1\r\n', 'LMSG a 1e3\r\n'],
];
const clientSamples = [
  ...shared,
  ...messages.map((one) => `PUB ${one}\r\n`),
  ...withHeaders.map((one) => `HPUB ${one}\r\n`),
  ...['SUB a.* 1\r\n', 'SUB a.> workers x9\r\n', 'sub a\r\n', 'UNSUB 1\r\n', 'unsub 1 10\r\n', 'UNSUB 1 x\r\n'],
  ...['CONNECT {"verbose":false}\r\n', 'PUB a b c 1\r\n', 'PUBa 1\r\n', 'PUB a 1\nx\r\n'],
];

for (const [name, samples, parse, operation] of [
  ['hub', leafSamples, leaf, leafOperation],
  ['client', clientSamples, client, clientOperation],
] as const) {
  test(`what a ${name} says is read as the plain way reads it, whole, damaged and in pieces`, () => {
    const random = new SeededRandom(1883);
    const below = (n: number): number => Math.floor(random.next() * n);
    let refused = 0;
    for (let round = 0; round < 5_000; round++) {
      const text = Array.from({ length: 1 + below(6) }, () => samples[below(samples.length)] ?? '').join('');
      const stream = Buffer.from(text);
      // Most damage is of a kind that the grammar knows.
      for (let damages = below(4) - 1; damages > 0; damages--) {
        stream[below(stream.length)] = random.chance(0.5) ? below(256) : ' \t\r\n0159+|-LSP'.charCodeAt(below(14)) || 0;
      }
      const chunks: Buffer[] = [];
      for (let at = 0; at < stream.length; ) {
        const length = random.chance(0.2) ? stream.length : 1 + below(30);
        chunks.push(stream.subarray(at, at + length));
        at += length;
      }
      const expected = [...plainly(stream, operation)];
      assert.deepEqual(parse(chunks), expected, JSON.stringify(latin1(stream)));
      if (expected.at(-1) === END) refused++;
    }
    assert.ok(refused > 500 && refused < 4_500, `${refused} refused`);
  });
}

const token = fc.stringMatching(/^[a-z0-9_$ü€😀.*>-]{1,12}$/u);
const message = fc.record({
  subject: token,
  reply: fc.oneof(fc.constant(''), token),
  queues: fc.array(token, { maxLength: 3 }),
  headers: fc.constantFrom('', HEADERS),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    // Copied, and passed on as it is.
    fc.integer({ min: 16_000, max: 17_000 }).map((bytes) => Buffer.alloc(bytes, 9)),
  ),
});

function joined(verb: string, names: readonly string[], headers: string, payload: Buffer): Buffer {
  const total = headers.length + payload.length;
  const sizes = headers === '' ? `${total}` : `${headers.length} ${total}`;
  const line = `${headers === '' ? '' : 'H'}${verb} ${names.filter((one) => one !== '').join(' ')} ${sizes}\r\n`;
  return Buffer.concat([Buffer.from(line + headers), payload, Buffer.from('\r\n')]);
}

test('messages are written to the hub and to clients as strings would write them', () => {
  const toHub = new LeafEncoder();
  const toClient = new ClientEncoder(new BlockPool());
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), token, (all, sid) => {
      const leafWire: Buffer[] = [];
      const clientWire: Buffer[] = [];
      for (const { subject, reply, queues, headers, payload } of all) {
        const block = Buffer.from(headers);
        assert.equal(toHub.message(subject, reply, queues, block, payload), 'ok');
        const mark = queues.length === 0 ? '' : reply === '' ? '|' : '+';
        leafWire.push(joined(headers === '' ? 'LMSG' : 'MSG', [subject, mark, reply, ...queues], headers, payload));
        const given = { subject, reply, headers: block, payload } as Message;
        for (const takesHeaders of [true, false]) {
          toClient.message(given, sid, takesHeaders);
          clientWire.push(joined('MSG', [subject, sid, reply], takesHeaders ? headers : '', payload));
        }
      }
      assert.deepEqual(Buffer.concat(toHub.take()), Buffer.concat(leafWire));
      assert.deepEqual(Buffer.concat(toClient.take()), Buffer.concat(clientWire));
      toHub.recycle();
      toClient.recycle();
    }),
  );
});

test('numbers are written as String writes them', () => {
  const buffer = Buffer.alloc(40, 'x');
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 9, 10, 99, 100, 2 ** 53 - 1)), fc.nat(20), (value, at) => {
      const end = writeDecimal(buffer, at, value);
      assert.equal(buffer.toString('latin1', at, end), String(value));
    }),
  );
});
