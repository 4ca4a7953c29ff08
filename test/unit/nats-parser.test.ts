import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../src/core/errors.ts';
import { controlLineBytesMax, type LeafOperations, LeafParser } from '../../src/nats/parser.ts';

/** Every operation as one line of text. */
class Heard implements LeafOperations {
  readonly lines: string[] = [];
  info(json: string): void {
    this.lines.push(`info ${json}`);
  }
  ping(): void {
    this.lines.push('ping');
  }
  pong(): void {
    this.lines.push('pong');
  }
  error(text: string): void {
    this.lines.push(`error ${text}`);
  }
  subscribe(filter: string, queue: string, weight: number): void {
    this.lines.push(`+ ${filter} [${queue}] ${weight}`);
  }
  unsubscribe(filter: string, queue: string): void {
    this.lines.push(`- ${filter} [${queue}]`);
  }
  message(subject: string, reply: string, queues: readonly string[], headers: Buffer, payload: Buffer): void {
    this.lines.push(
      `${subject} <${reply}> [${queues}] ${JSON.stringify(`${headers}`)} ${JSON.stringify(`${payload}`)}`,
    );
  }
  oversize(subject: string, bytes: number): void {
    this.lines.push(`oversize ${subject} ${bytes}`);
  }
}

function parse(text: string | Buffer, payloadBytesMax?: number): string[] {
  const heard = new Heard();
  new LeafParser(heard, payloadBytesMax).push(Buffer.from(text));
  return heard.lines;
}

const block = 'NATS/1.0\r\nA: b\r\n\r\n';
const forms: [wire: string, heard: string][] = [
  ['LMSG a.b 5\r\nhello\r\n', 'a.b <> [] "" "hello"'],
  ['LMSG a.b r.s 5\r\nhello\r\n', 'a.b <r.s> [] "" "hello"'],
  ['LMSG a.b | q1 5\r\nhello\r\n', 'a.b <> [q1] "" "hello"'],
  ['LMSG a.b | q1 q2 q3 5\r\nhello\r\n', 'a.b <> [q1,q2,q3] "" "hello"'],
  ['LMSG a.b + r.s q1 5\r\nhello\r\n', 'a.b <r.s> [q1] "" "hello"'],
  ['LMSG a.b + r.s q1 q2 5\r\nhello\r\n', 'a.b <r.s> [q1,q2] "" "hello"'],
  ['LMSG a 0\r\n\r\n', 'a <> [] "" ""'],
  ['LMSG a 4\r\n\r\n\r\n\r\n', 'a <> [] "" "\\r\\n\\r\\n"'],
  ['lmsg  a\t r   1 \r\nx\r\n', 'a <r> [] "" "x"'],
  ['LMSG größe.ü ответ 1\r\nx\r\n', 'größe.ü <ответ> [] "" "x"'],
  [`HMSG a 18 20\r\n${block}hi\r\n`, `a <> [] ${JSON.stringify(block)} "hi"`],
  [`HMSG a r 18 18\r\n${block}\r\n`, `a <r> [] ${JSON.stringify(block)} ""`],
  [`HMSG a | q 18 20\r\n${block}hi\r\n`, `a <> [q] ${JSON.stringify(block)} "hi"`],
  [`HMSG a + r q1 q2 18 20\r\n${block}hi\r\n`, `a <r> [q1,q2] ${JSON.stringify(block)} "hi"`],
  ['INFO {"a": 1, "b":"c d"}\r\n', 'info {"a": 1, "b":"c d"}'],
  ['PING\r\n', 'ping'],
  ['pOnG\r\n', 'pong'],
  ["-ERR 'Stale Connection'\r\n", 'error Stale Connection'],
  ["-ERR 'Violation for \"x 'y'\"'\r\n", 'error Violation for "x \'y\'"'],
  ['LS+ foo.*\r\n', '+ foo.* [] 1'],
  ['LS+ foo.> workers 17\r\n', '+ foo.> [workers] 17'],
  ['LS- foo.*\r\n', '- foo.* []'],
  ['LS- foo.> workers\r\n', '- foo.> [workers]'],
];

describe('LeafParser', () => {
  for (const [wire, heard] of forms) {
    it(`reads ${JSON.stringify(wire)}`, () => assert.deepEqual(parse(wire), [heard]));
  }

  it('says nothing of +OK', () => assert.deepEqual(parse('+OK\r\nPING\r\n'), ['ping']));

  it('reads the same whatever way the stream is split', () => {
    const stream = Buffer.from(forms.map(([wire]) => wire).join(''));
    const whole = forms.map(([, heard]) => heard);
    assert.deepEqual(parse(stream), whole);
    for (let size = 1; size < 40; size++) {
      const heard = new Heard();
      const parser = new LeafParser(heard);
      for (let at = 0; at < stream.length; at += size) parser.push(stream.subarray(at, at + size));
      assert.deepEqual(heard.lines, whole, `chunks of ${size}`);
    }
    for (let at = 0; at <= stream.length; at++) {
      const heard = new Heard();
      const parser = new LeafParser(heard);
      parser.push(stream.subarray(0, at));
      parser.push(stream.subarray(at));
      assert.deepEqual(heard.lines, whole, `split at ${at}`);
    }
  });

  it('hands out slices of the chunk where a payload lies whole in it, and its own copy otherwise', () => {
    const payloads: Buffer[] = [];
    const heard = new Heard();
    heard.message = (_subject, _reply, _queues, _headers, payload) => payloads.push(payload);
    const parser = new LeafParser(heard);
    const chunk = Buffer.from('LMSG a 3\r\none\r\nLMSG a 3\r\nt');
    parser.push(chunk);
    const rest = Buffer.from('wo\r\nLMSG a 5\r\n');
    parser.push(rest);
    const third = Buffer.from('three\r\n');
    parser.push(third);
    assert.deepEqual(payloads.map(String), ['one', 'two', 'three']);
    assert.equal(payloads[0]?.buffer, chunk.buffer);
    assert.notEqual(payloads[1]?.buffer, chunk.buffer);
    assert.equal(payloads[2]?.buffer, third.buffer);
  });

  it('stops in the middle of a chunk when told to', () => {
    const heard = new Heard();
    const parser = new LeafParser(heard);
    heard.ping = () => {
      heard.lines.push('ping');
      parser.stop();
    };
    parser.push(Buffer.from('PONG\r\nPING\r\nPONG\r\n'));
    assert.deepEqual(heard.lines, ['pong', 'ping']);
  });

  const violations = [
    'LMSG\r\n',
    'LMSG a\r\n',
    'LMSG 5\r\n',
    'LMSG a x\r\n',
    'LMSG a -1\r\n',
    'LMSG a 1e3\r\n',
    'LMSG a 9999999999\r\n',
    'LMSG a 99999999\r\n',
    'LMSG a b c 1\r\n',
    'LMSGa 1\r\nx\r\n',
    'LMSG a 1\r\nxy\r\n',
    'LMSG a 1\r\nx\n\n',
    'HMSG a 5\r\nhello\r\n',
    'HMSG a 6 5\r\nhello\r\n',
    'MSG a 1 5\r\nhello\r\n',
    'LS+\r\n',
    'LS+ a b\r\n',
    'LS+ a b x\r\n',
    'LS+ a b 1 2\r\n',
    'LS- a b c\r\n',
    'PINGS\r\n',
    '\r\n',
    'GET / HTTP/1.1\r\n',
  ];
  for (const wire of violations) {
    it(`refuses ${JSON.stringify(wire)}`, () => {
      assert.throws(() => parse(wire), { name: 'GatewayError', code: 'protocol_violation' });
    });
  }

  it('bounds a control line, however it is cut', () => {
    for (const size of [1, 1000, 65_000]) {
      const parser = new LeafParser(new Heard());
      const chunk = Buffer.alloc(size, 'a');
      let pushed = 0;
      assert.throws(() => {
        for (; pushed < 10 * controlLineBytesMax; pushed += size) parser.push(chunk);
      }, /control line longer/);
      assert.ok(pushed <= controlLineBytesMax);
    }
    const info = `INFO {"x":"${'y'.repeat(300_000)}"}\r\n`;
    assert.equal(parse(info)[0]?.length, info.length - 2);
  });

  it('skips a message above its limit, counts it, and goes on', () => {
    const stream = Buffer.from(`LMSG a 10\r\n0123456789\r\nLMSG b r 11\r\n0123456789x\r\nPING\r\n`);
    for (let size = 1; size <= stream.length; size++) {
      const heard = new Heard();
      const parser = new LeafParser(heard, 10);
      for (let at = 0; at < stream.length; at += size) parser.push(stream.subarray(at, at + size));
      assert.deepEqual(heard.lines, ['a <> [] "" "0123456789"', 'oversize b 11', 'ping']);
    }
  });

  it('meets noise with a protocol violation and nothing else', () => {
    const pieces = fc.oneof(
      fc.constantFrom(...forms.map(([wire]) => wire), ...violations, 'LMSG ', ' ', '\r\n', '+', '|', '5', '\0', '\xff'),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), fc.integer({ min: 1, max: 64 }), (parts, size) => {
        const stream = Buffer.from(parts.join(''), 'latin1');
        const parser = new LeafParser(new Heard(), 1024);
        try {
          for (let at = 0; at < stream.length; at += size) parser.push(stream.subarray(at, at + size));
        } catch (error) {
          assert.ok(error instanceof GatewayError, String(error));
          assert.equal(error.code, 'protocol_violation');
        }
      }),
      { seed: 7422, numRuns: 3_000 },
    );
  });
});
