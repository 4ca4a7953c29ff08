import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { CborError, CborReader, type CborValue, encodeCbor } from '../../firmware-bridge/codec/cbor.ts';
import { cobsDecode, cobsEncode, cobsLengthMax } from '../../firmware-bridge/codec/cobs.ts';
import { crc16, crc32c } from '../../firmware-bridge/codec/crc.ts';
import { readData, readDescription, writeDescribed } from '../../firmware-bridge/codec/entities.ts';
import { type Check, encodeFrame, type Frame, FrameDecoder, payloadRoom } from '../../firmware-bridge/codec/frame.ts';
import {
  readBoardHello,
  readGatewayHello,
  writeBoardHello,
  writeGatewayHello,
} from '../../firmware-bridge/codec/hello.ts';
import * as image from '../../firmware-bridge/codec/image-transfer.ts';
import * as messages from '../../firmware-bridge/codec/messages.ts';
import { Malformed } from '../../firmware-bridge/codec/payload.ts';
import { KNOWN_FLAGS } from '../../firmware-bridge/codec/words.ts';

/** The codec against the golden vectors, which the C library and the Python client read too. */

const root = join(import.meta.dirname, '../../firmware-bridge');
const hex = (text = '-'): Uint8Array => (text === '-' ? new Uint8Array() : Uint8Array.from(Buffer.from(text, 'hex')));
const digits = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex') || '-';

const lines = readFileSync(join(root, 'vectors/frames.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split(' '));

function vectors(...kinds: string[]): string[][] {
  const found = lines.filter(([kind = '']) => kinds.includes(kind));
  assert(found.length > 0, `there are vectors of ${kinds.join(', ')}`);
  return found;
}

/** `payload` copied: it is valid during the call only. */
function decode(line: Uint8Array, frameBytesMax = 256): { frames: Frame[]; causes: string[]; discarded: number } {
  const result = { frames: [] as Frame[], causes: [] as string[], discarded: 0 };
  const decoder = new FrameDecoder(
    {
      frame: (frame) => void result.frames.push({ ...frame, payload: frame.payload.slice() }),
      discarded: (cause, count) => {
        result.causes.push(cause);
        result.discarded += count;
      },
    },
    frameBytesMax,
  );
  decoder.push(line);
  return result;
}

test('checks', () => {
  for (const [kind, bytes, value = ''] of vectors('crc32c', 'crc16')) {
    const plain = hex(bytes);
    const found = kind === 'crc32c' ? crc32c(plain, 0, plain.length) : crc16(plain, 0, plain.length);
    assert.equal(found.toString(16).padStart(value.length, '0'), value, `${kind} ${bytes}`);
  }
});

test('hashes', () => {
  for (const [, bytes, digest] of vectors('sha256')) {
    assert.equal(createHash('sha256').update(hex(bytes)).digest('hex'), digest, bytes);
  }
});

test('COBS', () => {
  for (const [kind, name, plain, encoded] of vectors('cobs', 'decode')) {
    const line = hex(encoded);
    const length = cobsDecode(line, 0, line.length);
    assert.equal(digits(line.subarray(0, length)), plain, name);
    if (kind === 'decode') continue;
    const bytes = hex(plain);
    const to = new Uint8Array(cobsLengthMax(bytes.length));
    assert.equal(digits(to.subarray(0, cobsEncode(bytes, to))), encoded, name);
  }
});

test('frames, both ways', () => {
  for (const [, name, check, type, flags, sequence, channel, payload, line] of vectors('frame')) {
    const frame = {
      check: (check === '32' ? 'crc32c' : 'crc16') as Check,
      type: Number(type),
      flags: Number(flags),
      sequence: Number(sequence),
      channel: Number(channel),
      payload: hex(payload),
    };
    assert.equal(digits(encodeFrame(frame)), line, name);
    const { frames, causes } = decode(hex(line));
    assert.deepEqual(causes, [], name);
    assert.deepEqual(
      frames.map((one) => ({ ...one, payload: digits(one.payload) })),
      [{ ...frame, payload }],
      name,
    );
  }
});

test('what is to be discarded, refused and found again between zeros', () => {
  const reasons: Record<string, string> = { cobs: 'bad_code', long: 'overlong', check: 'bad_check' };
  for (const [, name, reason = '', line] of vectors('bad')) {
    const { frames, causes, discarded } = decode(hex(line));
    assert.deepEqual([frames.length, causes], [0, [reasons[reason] ?? reason]], name);
    assert.equal(discarded, hex(line).length, `${name}: every byte is counted`);
  }
  for (const [, name, line] of vectors('flags')) {
    const [frame] = decode(hex(line)).frames;
    assert.notEqual((frame?.flags ?? 0) & ~KNOWN_FLAGS, 0, name);
  }
  for (const [, name, line, ...payloads] of vectors('resync')) {
    assert.deepEqual(
      decode(hex(line)).frames.map(({ payload }) => digits(payload)),
      payloads,
      name,
    );
  }
});

/** Of a vector: KEY=VALUE as a record. */
function fieldsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
}

const told: Record<string, (payload: Uint8Array) => Record<string, unknown>> = {
  hello: (payload) => {
    const hello = readBoardHello(payload);
    assert.equal(digits(writeBoardHello(hello)), digits(payload));
    const { versionMin, versionMax, frameBytesMax: maximum, bootCount: boot, uptimeMs: uptime, hash, ...rest } = hello;
    return { versions: (versionMin << 4) | versionMax, maximum, boot, uptime, hash: digits(hash), ...rest };
  },
  accept: (payload) => {
    const hello = readGatewayHello(payload);
    assert(hello.kind === 'accept');
    assert.equal(digits(writeGatewayHello(hello)), digits(payload.subarray(0, 16)));
    const { frameBytesMax: maximum, wantsDescription, keepAliveS: keepalive, kind: _, ...rest } = hello;
    return { maximum, wants: wantsDescription ? 1 : 0, keepalive, ...rest };
  },
  refuse: (payload) => {
    const hello = readGatewayHello(payload);
    assert(hello.kind === 'refuse');
    assert.equal(digits(writeGatewayHello(hello)), digits(payload));
    return { code: hello.code, seconds: hello.retryS, nonce: hello.nonce };
  },
  described: (payload) => {
    assert.equal(digits(writeDescribed(2, 0)), digits(payload));
    return { next: payload[0], code: payload[1] };
  },
  publish: (payload) => {
    const { subject, payload: body } = messages.readPublish(payload);
    assert.equal(digits(messages.writePublish(subject, body)), digits(payload));
    return { subject, payload: digits(body) };
  },
  subscribe: (payload) => {
    const { subscription, isOn, subject } = messages.readSubscribe(payload);
    assert.equal(digits(messages.writeSubscribe({ subscription, isOn, subject })), digits(payload));
    return { subscription, on: isOn ? 1 : 0, subject };
  },
  subscribed: (payload) => {
    assert.equal(digits(messages.writeSubscribed(3, 7)), digits(payload));
    return { subscription: payload[0], code: payload[1] };
  },
  message: (payload) => {
    const { subscription, subject, payload: body } = messages.readMessage(payload);
    assert.equal(digits(messages.writeMessage(subscription, subject, body)), digits(payload));
    return { subscription, subject, payload: digits(body) };
  },
  request: (payload) => {
    const request = messages.readRequest(payload);
    assert.equal(digits(messages.writeRequest(request)), digits(payload));
    return { id: request.id, left: request.leftMs, subject: request.subject, payload: digits(request.payload) };
  },
  reply: (payload) => {
    const reply = messages.readReply(payload);
    assert.equal(digits(messages.writeReply(reply)), digits(payload));
    return { ...reply, payload: digits(reply.payload) };
  },
  ack: (payload) => {
    const sequence = messages.readAck(payload);
    assert.equal(digits(messages.writeAck(sequence)), digits(payload));
    return { sequence };
  },
  nak: (payload) => {
    const nak = messages.readNak(payload);
    assert.equal(digits(messages.writeNak(nak)), digits(payload));
    return { sequence: nak.sequence, code: nak.code, ...(nak.waitMs > 0 ? { wait: nak.waitMs } : {}) };
  },
  skip: (payload) => ({ code: messages.readSkip(payload) }),
  ping: (payload) => {
    const ping = messages.readPing(payload);
    return { uptime: ping?.uptimeMs, lost: ping?.lost, silent: ping?.silentMs };
  },
  log: (payload) => {
    const { level, text } = messages.readLog(payload);
    return { level: messages.logLevels.indexOf(level), text };
  },
  time: (payload) => {
    assert.equal(digits(messages.writeTime(1_795_896_000_123, true)), digits(payload));
    return { unix: 1_795_896_000_123, trusted: 1 };
  },
  state: (payload) => {
    const { state, code, offset, hash } = image.readImageState(payload) ?? assert.fail();
    return { state: image.imageStates.indexOf(state), code, offset, hash: digits(hash) };
  },
};

test('payloads say what the vectors say, and are written the same', () => {
  for (const [kind, read] of Object.entries(told)) {
    for (const [, name, payload, ...words] of vectors(kind)) {
      const fields = Object.fromEntries(Object.entries(read(hex(payload))).map(([key, value]) => [key, String(value)]));
      assert.deepEqual(fields, fieldsOf(words), name);
    }
  }
});

test('operations on images are written as the vectors have them', () => {
  for (const [, name, payload, ...words] of vectors('begin')) {
    const { size, hash, target = '', version = '', signature } = fieldsOf(words);
    const begin = { size: Number(size), sha256: hex(hash), target, version, signature: hex(signature) };
    assert.equal(digits(image.writeBegin(begin)), payload, name);
  }
  for (const [, name, payload, ...words] of vectors('chunk')) {
    const { offset, payload: bytes } = fieldsOf(words);
    assert.equal(digits(image.writeChunk(Number(offset), hex(bytes))), payload, name);
  }
  assert.equal(digits(image.writeBoot(60_000)), vectors('boot')[0]?.[2]);
  const [, , confirm, hash] = vectors('confirm')[0] as string[];
  assert.equal(digits(image.writeConfirm(hex(hash?.slice(5)))), confirm);
  assert.equal(digits(image.writeOperation('verify')), vectors('verify')[0]?.[2]);
  assert.equal(digits(image.writeOperation('cancel')), vectors('cancel')[0]?.[2]);
  assert.equal(digits(image.writeOperation('ask')), vectors('askstate')[0]?.[2]);
});

test('descriptions and values', () => {
  const types = ['boolean', 'integer', 'float', 'text', 'bytes'];
  for (const [, name, payload, first, total, ...words] of vectors('describe')) {
    const description = readDescription(hex(payload));
    assert.deepEqual([`first=${description.first}`, `total=${description.total}`], [first, total], name);
    const found = description.entities.map((entity, index) => {
      const parts = [`${description.first + index}`, `name=${entity.name}`, `type=${types.indexOf(entity.type)}`];
      if (entity.unit !== '') parts.push(`unit=${entity.unit}`);
      if (entity.scale !== 1) parts.push(`scale=${entity.scale}`);
      if (entity.minimum !== null) parts.push(`minimum=${entity.minimum}`);
      if (entity.maximum !== null) parts.push(`maximum=${entity.maximum}`);
      if (entity.writable) parts.push('writable=true');
      if (entity.intervalMs !== null) parts.push(`interval=${entity.intervalMs}`);
      return parts.join(',');
    });
    assert.deepEqual(found, words, name);
  }
  for (const [, name, payload, age, ...words] of vectors('data')) {
    const values: string[] = [];
    const ageMs = readData(hex(payload), (entity, value, olderMs) => {
      values.push(`${entity}:${typeof value === 'string' ? JSON.stringify(value) : String(value)}:${olderMs}`);
    });
    assert.deepEqual([`age=${ageMs}`, ...values], [age, ...words], name);
  }
});

test('bytes of any kind come out as they went in, whatever the reads cut them into', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<Check>('crc32c', 'crc16'),
      fc.array(fc.uint8Array({ maxLength: payloadRoom(1024, 'crc32c') }), { maxLength: 5 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }),
      (check, payloads, cuts) => {
        const line = Buffer.concat(
          payloads.map((payload, sequence) =>
            encodeFrame({ check, type: 3, flags: 1, sequence, channel: 255, payload }),
          ),
        );
        const found: string[] = [];
        const decoder = new FrameDecoder({
          frame: ({ payload }) => void found.push(digits(payload)),
          discarded: (cause) => assert.fail(cause),
        });
        for (let at = 0, n = 0; at < line.length; n++) {
          const end = at + 1 + (cuts[n % cuts.length] ?? 0);
          decoder.push(line.subarray(at, end));
          at = end;
        }
        assert.deepEqual(found, payloads.map(digits));
      },
    ),
  );
});

test('garbage is discarded or malformed, and nothing else is thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const { frames, discarded } = decode(bytes, 1024);
      assert(discarded <= bytes.length && frames.length <= bytes.length);
      for (const read of [
        ...Object.values(told),
        readDescription,
        (one: Uint8Array) => readData(one, () => undefined),
      ]) {
        try {
          read(bytes);
        } catch (error) {
          assert(error instanceof Malformed || error instanceof assert.AssertionError, String(error));
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test('values of commands survive CBOR', () => {
  const value = fc.oneof(fc.boolean(), fc.string(), fc.double({ noNaN: true }), fc.maxSafeInteger(), fc.uint8Array());
  fc.assert(
    fc.property(value, (one) => {
      const reader = new CborReader(encodeCbor(one));
      const found: CborValue = reader.value();
      assert(reader.isAtEnd);
      // 0 and -0 are one integer.
      assert.deepEqual(found, Object.is(one, -0) ? 0 : one);
    }),
  );
  assert.throws(() => new CborReader(Uint8Array.of(0x9f, 0xff)).value(), CborError);
  assert.throws(() => new CborReader(Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff)).value(), CborError);
  assert.throws(() => new CborReader(new Uint8Array(40).fill(0x81)).value(), CborError);
});

test('the codec is pure: it imports itself alone', () => {
  const folder = join(root, 'codec');
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));
  assert(files.length > 5);
  for (const name of files) {
    const source = readFileSync(join(folder, name), 'utf8');
    for (const [, specifier = ''] of source.matchAll(/from '([^']+)'|import\('/g)) {
      assert.match(specifier, /^\.\/[a-z-]+\.ts$/, name);
    }
    assert.doesNotMatch(source, /\b(?:Buffer|process|require)\b/, name);
  }
});
