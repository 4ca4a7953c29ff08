import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { headerEntries } from '../../src/core/headers.ts';
import { InFlight, type Sent } from '../../src/upstream/in-flight.ts';
import { Pace } from '../../src/upstream/pace.ts';
import { meaningOf, readPubAck } from '../../src/upstream/puback.ts';
import { UploadHeaders } from '../../src/upstream/upload-headers.ts';

const sent = (sequence: number, sentAtMs = 0) => ({ sequence, stream: 'S', predicted: 0, bytes: 10, sentAtMs });

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
    for (const sequence of [5, 6, 8]) inFlight.push(sent(sequence));
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
    inFlight.push(sent(1, 100));
    inFlight.push(sent(2, 200));
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
    for (const sequence of [1, 2, 3, 4]) inFlight.push(sent(sequence));
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

  it('finds nothing for slots that hubs make up', () => {
    const inFlight = new InFlight();
    inFlight.push(sent(1));
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

  it("keep the publisher's own lines, however long", () => {
    const long = 'x'.repeat(20_000);
    const block = Buffer.from(`NATS/1.0\r\nA: 1\r\nB: ${long}\r\n\r\n`);
    const text = headers.withMessageId({ ...record, headers: block }).toString();
    assert(text.startsWith('NATS/1.0\r\nPetiole-Id: '));
    assert(text.endsWith(`\r\nA: 1\r\nB: ${long}\r\n\r\n`));
    assert.equal(text.indexOf('\r\n\r\n'), text.length - 4);
  });
});
