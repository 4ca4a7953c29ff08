import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { headerEntries } from '../../src/core/headers.ts';
import { InFlight, type Sent } from '../../src/upstream/in-flight.ts';
import { Pace } from '../../src/upstream/pace.ts';
import { meaningOf, PubAckReader, readPubAck } from '../../src/upstream/puback.ts';
import { UploadHeaders } from '../../src/upstream/upload-headers.ts';

function send(inFlight: InFlight, sequence: number, sentAtMs = 0): void {
  inFlight.push(sequence, 'S', 0, 10, sentAtMs);
}

function slotOf(inFlight: InFlight, slot: number): Sent {
  const found = inFlight.find(slot);
  assert(found, `slot ${slot} is waited for`);
  return found;
}

function settled(inFlight: InFlight): number[] {
  const sequences: number[] = [];
  inFlight.settle(({ sequence }) => sequences.push(sequence));
  return sequences;
}

describe('what is in flight', () => {
  it('settles in the order of sending, whatever the order of the answers', () => {
    const inFlight = new InFlight();
    for (const sequence of [5, 6, 8]) send(inFlight, sequence);
    inFlight.pass(9);
    inFlight.answer(slotOf(inFlight, 2), 102);
    assert.deepEqual(settled(inFlight), []);
    inFlight.answer(slotOf(inFlight, 0), 100);
    assert.deepEqual(settled(inFlight), [5]);
    assert.equal(inFlight.find(0), null);
    assert.deepEqual([inFlight.waiting, inFlight.length, inFlight.bytes, inFlight.next], [1, 3, 20, 4]);
    inFlight.answer(slotOf(inFlight, 1), 101);
    assert.deepEqual(settled(inFlight), [6, 8, 9]);
    assert.deepEqual([inFlight.waiting, inFlight.length, inFlight.bytes, inFlight.next], [0, 0, 0, 4]);
  });

  it('gives up on old ones, and still takes their answer', () => {
    const inFlight = new InFlight();
    send(inFlight, 1, 100);
    send(inFlight, 2, 200);
    assert.equal(inFlight.expire(99), false);
    assert.equal(inFlight.expire(150), true);
    assert.equal(inFlight.expire(150), false, 'only once');
    assert.equal(inFlight.waiting, 1);
    inFlight.answer(slotOf(inFlight, 0), 7);
    assert.equal(inFlight.waiting, 1, 'it was not counted any more');
    assert.deepEqual(settled(inFlight), [1]);
  });

  it('tells at the end what was answered, refused and unknown', () => {
    const inFlight = new InFlight();
    for (const sequence of [1, 2, 3, 4]) send(inFlight, sequence);
    inFlight.answer(slotOf(inFlight, 1), 9);
    inFlight.refuse(slotOf(inFlight, 2));
    inFlight.giveUp(slotOf(inFlight, 3));
    assert.equal(inFlight.find(2), null, 'a refusal is final');
    assert.deepEqual(
      inFlight.clear().map(({ sequence, state }) => `${sequence} ${state}`),
      ['1 waiting', '2 answered', '3 refused', '4 timed-out'],
    );
    assert.deepEqual([inFlight.waiting, inFlight.length, inFlight.bytes, inFlight.next], [0, 0, 0, 4]);
  });

  it('keeps count over many answers', () => {
    const inFlight = new InFlight();
    let sequence = 0;
    const due: number[] = [];
    for (let n = 0; n < 5_000; n++) {
      while (inFlight.length < 100) send(inFlight, ++sequence);
      const first = sequence - inFlight.length + 1;
      // The second one, then the first: two settle at once.
      inFlight.answer(slotOf(inFlight, first), 1);
      due.push(...settled(inFlight));
      inFlight.answer(slotOf(inFlight, first - 1), 1);
      due.push(...settled(inFlight));
      assert.equal(inFlight.find(first - 1), null, 'what is settled is not waited for');
      assert.deepEqual([inFlight.waiting, inFlight.length, inFlight.bytes], [98, 98, 980]);
      assert.equal(inFlight.next, sequence);
    }
    assert.deepEqual(
      due,
      Array.from({ length: 10_000 }, (_, i) => i + 1),
    );
    assert.equal(inFlight.clear().length, 98);
  });

  it('finds nothing for slots that hubs make up', () => {
    const inFlight = new InFlight();
    send(inFlight, 1);
    for (const slot of [-1, 1, 1.5, Number.NaN, Infinity]) assert.equal(inFlight.find(slot), null);
  });
});

/** Messages that a limit lets through in `seconds`, by somebody who comes back when told. */
function through(limit: ConstructorParameters<typeof Pace>[0], bytes: number, seconds: number): number {
  const pace = new Pace(limit);
  let taken = 0;
  for (let nowMs = 5_000; nowMs < 5_000 + seconds * 1000; ) {
    const waitMs = pace.take(bytes, nowMs);
    if (waitMs === 0) taken++;
    nowMs += waitMs;
  }
  return taken;
}

describe('the pace', () => {
  it('holds a limit of messages, fast and slow', () => {
    for (const messagesPerSecond of [1, 3, 50, 2_000]) {
      const taken = through({ messagesPerSecond, bytesPerSecond: 0 }, 100, 20);
      const due = messagesPerSecond * 20;
      assert(Math.abs(taken - due) <= 1 + messagesPerSecond * 0.2, `${taken} of ${due}`);
    }
  });

  it('holds a limit of bytes, also for messages larger than a second of it', () => {
    for (const bytes of [10, 900, 5_000]) {
      const taken = through({ messagesPerSecond: 0, bytesPerSecond: 1_000 }, bytes, 60) * bytes;
      assert(Math.abs(taken - 60_000) <= bytes + 200, `${taken} bytes of 60000 in messages of ${bytes}`);
    }
  });

  it('lets nothing wait without a limit, and saves up no more than a tenth of a second', () => {
    const free = new Pace({ messagesPerSecond: 0, bytesPerSecond: 0 });
    for (let i = 0; i < 1000; i++) assert.equal(free.take(1_000_000, 0), 0);
    const pace = new Pace({ messagesPerSecond: 100, bytesPerSecond: 0 });
    pace.take(1, 1_000);
    let burst = 0;
    while (pace.take(1, 3_600_000) === 0) burst++;
    assert(burst <= 10, `${burst} at once after an hour of silence`);
  });
});

describe('a PubAck', () => {
  const read = (text: string) => readPubAck(Buffer.from(text));

  it('is read whatever its spacing', () => {
    const ack = { stream: 'S', sequence: 7, duplicate: false, batched: 0, error: null };
    assert.deepEqual(read('{"stream":"S","seq":7}'), ack);
    assert.deepEqual(read('{"stream": "S", "seq": 7, "domain": "hub"}'), ack);
    assert.deepEqual(read('{"stream":"S","seq":7,"duplicate":true}'), { ...ack, duplicate: true });
    assert.deepEqual(read('{"stream":"S","seq":7,"batch":"b","count":4}'), { ...ack, batched: 4 });
    assert.deepEqual(read('{"error":{"code":503,"err_code":10077,"description":"full"},"stream":"S","seq":0}'), {
      stream: 'S',
      sequence: 0,
      duplicate: false,
      batched: 0,
      error: { code: 503, errorCode: 10077, description: 'full' },
    });
  });

  it('is none where somebody else answers', () => {
    for (const text of [
      '',
      'ok',
      'null',
      '[]',
      '7',
      '{}',
      '{"stream":"S"}',
      '{"seq":1}',
      '{"error":{"code":7}}',
      '{"a":',
    ]) {
      assert.equal(read(text), null, text);
    }
    fc.assert(fc.property(fc.uint8Array(), (bytes) => readPubAck(Buffer.from(bytes)) === null));
  });

  it('is read without parsing as it is read with it, whatever came before it', () => {
    const number = fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.constantFrom('0', '007', '1e3', '-1', '1.5', '999999999999999', '9999999999999999', '"7"', ''),
    );
    const name = fc.constantFrom('S', 'BENCH', 'a b', 'x","seq":1,"y', 'ü', '{"seq":', 'seq');
    const before = fc.constantFrom(
      '',
      '"domain":"hub",',
      '"domain": "seq", ',
      '"batch":"b","count":3,',
      '"a\\"seq":4,',
      '"seq":9,',
    );
    const after = fc.constantFrom(
      '',
      ',"duplicate":true',
      ', "duplicate": true',
      ',"domain":"hub"',
      ',"seq":3',
      '}',
      ' ',
    );
    const error = fc.constantFrom('', '"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},');
    const space = fc.constantFrom('', ' ', '\n');
    const text = fc
      .record({ error, name, before, number, after, space })
      .map(
        (a) =>
          `{${a.error}"stream":${a.space}${JSON.stringify(a.name)},${a.before}${a.space}"seq":${a.space}${a.number}${a.after}}`,
      );
    // One byte of it is another one, for what no stream says.
    const damaged = fc.tuple(text, fc.nat(), fc.nat(255)).map(([whole, at, byte]) => {
      const bytes = Buffer.from(whole);
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    const answers = fc.array(
      fc.oneof(
        text.map((whole) => Buffer.from(whole)),
        damaged,
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(answers, (payloads) => {
        const reader = new PubAckReader();
        // Twice: the second time around all that can be remembered is.
        for (const payload of [...payloads, ...payloads]) assert.deepEqual(reader.read(payload), readPubAck(payload));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is told from one of another stream', () => {
    const reader = new PubAckReader();
    for (let n = 1; n < 200; n++) {
      const stream = `S${n % 40}`;
      const ack = { stream, sequence: n, duplicate: false, batched: 0, error: null };
      assert.deepEqual(reader.read(Buffer.from(`{"stream":"${stream}","seq":${n}}`)), ack);
    }
  });

  it('means what the hub knows', () => {
    assert.equal(meaningOf(10071), 'doubt');
    assert.equal(meaningOf(10164), 'doubt');
    assert.equal(meaningOf(10054), 'never');
    assert.equal(meaningOf(10077), 'busy');
    assert.equal(meaningOf(10008), 'unclear');
    assert.equal(meaningOf(19999), 'unclear');
  });
});

describe('the headers of an upload', () => {
  const headers = new UploadHeaders('box.epoch.lane', Infinity);
  const record = {
    sequence: 42,
    subject: 's',
    receivedAtMs: 1_790_000_000_000,
    headers: Buffer.alloc(0),
    payload: Buffer.alloc(0),
  };
  const own = [
    ['Petiole-Id', 'box.epoch.lane.42'],
    ['Petiole-Time', '1790000000000'],
  ];

  it('identify the record, and say what the procedure needs and nothing of the other one', () => {
    assert.deepEqual([...headerEntries(headers.withMessageId(record))], [...own, ['Nats-Msg-Id', 'box.epoch.lane.42']]);
    assert.deepEqual(
      [...headerEntries(headers.withExpectedSequence(record, 'S', 9))],
      [...own, ['Nats-Expected-Stream', 'S'], ['Nats-Expected-Last-Sequence', '9']],
    );
  });

  it('are built anew for each record', () => {
    const byTime = new UploadHeaders('box.epoch.lane', 60_000, (sequence, ms) =>
      sequence % 3 === 0 ? { ms: ms + 1, quality: sequence % 2 === 0 ? 'restamped' : 'untrusted' } : null,
    );
    const hour = 3_600_000;
    const times = fc.constantFrom(0, 1, 2, hour);
    const publishers = fc.constantFrom('', 'NATS/1.0\r\n\r\n', 'NATS/1.0\r\nNats-Msg-Id: 7\r\nA: ü\r\n\r\n');
    const line = fc.record({
      sequence: fc.maxSafeNat(),
      ago: times,
      block: publishers,
      name: fc.constantFrom('S', 'T'),
      kind: fc.nat(2),
      n: fc.nat(),
    });
    const now = Date.now();
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        for (const { sequence, ago, block, name, kind, n } of lines) {
          const receivedAtMs = now - ago;
          const one = { ...record, sequence, receivedAtMs, headers: Buffer.from(block) };
          const built = [
            () => byTime.withMessageId(one),
            () => byTime.withExpectedSequence(one, name, n),
            () => byTime.inBatch(one, name, n),
          ][kind]?.();
          const isStamped = sequence % 3 === 0;
          const ms = receivedAtMs + (isStamped ? 1 : 0);
          const quality = sequence % 2 === 0 ? 'restamped' : 'untrusted';
          const time = isStamped ? `${ms};q=${quality}` : `${ms}`;
          const late = ago === hour ? `Petiole-Historical: ${time}\r\n` : '';
          const procedure = [
            `Nats-Msg-Id: box.epoch.lane.${sequence}`,
            `Nats-Expected-Stream: ${name}\r\nNats-Expected-Last-Sequence: ${n}`,
            `Nats-Batch-Id: ${name}\r\nNats-Batch-Sequence: ${n}`,
          ][kind];
          const own = `NATS/1.0\r\nPetiole-Id: box.epoch.lane.${sequence}\r\nPetiole-Time: ${time}\r\n${late}${procedure}`;
          const theirs = block.replace('NATS/1.0\r\n', '').replace('Nats-Msg-Id', 'Petiole-Msg-Id') || '\r\n';
          assert.equal(built?.toString(), `${own}\r\n${theirs}`);
        }
      }),
    );
  });

  it("keep the publisher's own lines, however long", () => {
    const long = 'x'.repeat(20_000);
    const block = Buffer.from(`NATS/1.0\r\nA: 1\r\nB: ${long}\r\n\r\n`);
    const text = headers.withMessageId({ ...record, headers: block }).toString();
    assert(text.startsWith('NATS/1.0\r\nPetiole-Id: '));
    assert(text.endsWith(`\r\nA: 1\r\nB: ${long}\r\n\r\n`));
    assert.equal(text.indexOf('\r\n\r\n'), text.length - 4);
  });
});
