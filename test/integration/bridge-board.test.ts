import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '@nats-io/transport-node';
import { CborReader } from '../../firmware-bridge/codec/cbor.ts';
import {
  readMessage,
  readReply,
  readRequest,
  writeAck,
  writePublish,
  writeReply,
  writeRequest,
  writeSubscribe,
} from '../../firmware-bridge/codec/messages.ts';
import { code, feature, flag, type } from '../../firmware-bridge/codec/words.ts';
import { type Box, startBox } from '../support/box.ts';
import { BridgeBoard, text } from '../support/bridge-board.ts';
import type { Scope } from '../support/scope.ts';
import { plugDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** The real box and a board whose every byte is the test's: what the C library would never send, and what it relies on. */

async function startWithBoard(t: Scope, serial: object = {}, rest: object = {}) {
  const device = await plugDevice(t, join(tempDir(t, 'bridge'), 'ttyBoard'));
  const box = await startBox(t, {
    config: { serial: [{ name: 'line3', port: device.path, baud: 115_200, bridge: true, ...serial }], ...rest },
  });
  const board = new BridgeBoard(device);
  const port = async () => (await box.status()).serial[0];
  await waitFor('the port to open', async () => (await port()).state === 'open');
  return { box, board, port, device };
}

async function clientOf(t: Scope, box: Box) {
  const nats = await connect({ servers: box.natsUrl });
  t.after(async () => nats.close());
  return nats;
}

/** The status is composed once a second at most. */
async function journaled(box: Box, count: number): Promise<void> {
  await waitFor(`${count} records`, async () => (await box.status()).lanes[0].lastSequence === count);
}

/** Payloads of everything on a filter as text, by subject. */
async function watch(t: Scope, box: Box, filter: string) {
  const nats = await clientOf(t, box);
  const seen: { subject: string; payload: string }[] = [];
  nats.subscribe(filter, {
    callback: (_, message) => void seen.push({ subject: message.subject, payload: message.string() }),
  });
  await nats.flush();
  return { nats, seen };
}

test('values are JSON with unit and time on the subjects of their entities, and acknowledged once they are journaled', async (t) => {
  const { box, board, port } = await startWithBoard(t);
  const { seen } = await watch(t, box, 'line3.>');
  const answer = await board.hello();
  assert(answer.kind === 'accept' && answer.wantsDescription && answer.window === 8 && answer.session !== 0);
  await board.describe();
  const before = Date.now();
  await board.data(1, [0, 215, 0], [1, true, 0]);
  await waitFor('the receipt', () => board.acknowledged === 1);
  assert.deepEqual(
    seen.map(({ subject }) => subject),
    ['line3.temp', 'line3.valve'],
  );
  const [temp, valve] = seen.map(({ payload }) => JSON.parse(payload));
  assert.deepEqual([temp.value, temp.unit, valve.value, valve.unit], [21.5, '°C', true, undefined]);
  assert(Date.parse(temp.time) <= Date.now() && Date.parse(temp.time) > before - 1000, temp.time);
  await journaled(box, 2);
  const facts = await port();
  assert.deepEqual(
    [facts.kind, facts.messagesIn, facts.board.identity, facts.board.isThere],
    ['bridge', 2, 'test-1', true],
  );
  assert.deepEqual(
    facts.board.entities.map(({ name, value, unit }: Record<string, unknown>) => [name, value, unit]),
    [
      ['temp', 21.5, '°C'],
      ['valve', true, ''],
    ],
  );
});

test('gaps are named, frames behind them wait, and each is journaled once and in order', async (t) => {
  const { box, board, port } = await startWithBoard(t);
  const { seen } = await watch(t, box, 'line3.temp');
  await board.hello();
  await board.describe();
  await board.data(2, [0, 20, 0]);
  await board.data(3, [0, 30, 0]);
  await waitFor('the missing number to be named', () => board.naks.some(({ sequence }) => sequence === 1));
  assert.equal(board.naks[0]?.code, code.missing);
  await board.data(1, [0, 10, 0]);
  await waitFor('the receipt', () => board.acknowledged === 3);
  // Again, all of them, and again on another channel.
  for (const number of [1, 2, 3]) await board.data(number, [0, number * 10, 0]);
  await board.hello({ uptimeMs: 2000 });
  for (const number of [1, 2, 3, 4]) await board.data(number, [0, number * 10, 0]);
  await waitFor('the receipt', () => board.acknowledged === 4);
  assert.deepEqual(
    seen.map(({ payload }) => JSON.parse(payload).value),
    [1, 2, 3, 4],
  );
  await journaled(box, 4);
  const { counters } = (await port()).board;
  assert.equal(counters.gaps, 1);
  assert(counters.duplicates >= 6, JSON.stringify(counters));
});

test('a box that is killed between commit and receipt knows what comes again', async (t) => {
  const { box, board, port } = await startWithBoard(t);
  await board.hello();
  await board.describe();
  for (let number = 1; number <= 5; number++) await board.data(number, [0, number * 10, 0]);
  await waitFor('the receipt', () => board.acknowledged === 5);
  await box.kill9();
  await box.start();
  const { seen } = await watch(t, box, 'line3.temp');
  await waitFor('the port to open', async () => (await port()).state === 'open');
  // The board never saw the receipts: it holds 2 and later.
  const answer = await board.hello({ oldest: 2, uptimeMs: 9000 });
  assert(answer.kind === 'accept' && !answer.wantsDescription, 'its description is known from before');
  for (let number = 2; number <= 7; number++) await board.data(number, [0, number * 10, 0]);
  await waitFor('the receipt', () => board.acknowledged === 7);
  assert.deepEqual(
    seen.map(({ payload }) => JSON.parse(payload).value),
    [6, 7],
  );
  await journaled(box, 7);
  // Another session has numbers of its own, and those of the old one are let go.
  board.session = 0;
  await board.hello({ uptimeMs: 10, bootCount: 2 });
  await board.data(1, [0, 80, 0]);
  await waitFor('the receipt', () => board.acknowledged === 1);
  await journaled(box, 8);
  await waitFor('the reset', async () => (await port()).board.resets === 1);
});

test('what can never be taken is refused until it is skipped, and the ledger has it', async (t) => {
  const { box, board, port } = await startWithBoard(t, { bridge: { publish: ['plant.>'] } });
  const { seen } = await watch(t, box, '>');
  await board.hello();
  await board.describe();
  await board.send(type.publish, writePublish('$SYS.x', text('no')), { number: 1 });
  await board.send(type.publish, writePublish('plant.ok', text('yes')), { number: 2 });
  await waitFor('the refusal', () =>
    board.naks.some(({ sequence, code: why }) => sequence === 1 && why === code.not_permitted),
  );
  await board.send(type.skip, Uint8Array.of(code.not_permitted), { number: 1 });
  await waitFor('the receipt', () => board.acknowledged === 2);
  await board.send(type.publish, writePublish('.door', text('open')), { number: 3 });
  await board.data(4, [9, 1, 0]);
  await waitFor('the refusal', () =>
    board.naks.some(({ sequence, code: why }) => sequence === 4 && why === code.unknown_entity),
  );
  await board.send(type.skip, Uint8Array.of(code.unknown_entity), { number: 4 });
  await board.send(0x7e, text('later'), { number: 5 });
  await waitFor('the refusal', () =>
    board.naks.some(({ sequence, code: why }) => sequence === 5 && why === code.unknown_type),
  );
  await board.send(type.data, text('x'), { number: 6, flags: flag.numbered | 0x40 });
  await waitFor('the refusal', () =>
    board.naks.some(({ sequence, code: why }) => sequence === 6 && why === code.unknown_flags),
  );
  assert.equal(board.acknowledged, 4);
  assert.deepEqual(
    seen
      .filter(({ subject }) => !subject.startsWith('petiole.'))
      .map(({ subject, payload }) => `${subject} ${payload}`),
    ['plant.ok yes', 'line3.door open'],
  );
  const { ledger } = await waitFor('the ledger', async () => {
    const status = await box.status();
    return status.ledger.length > 0 &&
      status.ledger.reduce((sum: number, { count }: { count: number }) => sum + count, 0) === 2
      ? status
      : null;
  });
  assert.equal(ledger[0].lane, 'serial line3');
  const { counters } = await waitFor('its counters', async () => {
    const { board: facts } = await port();
    return facts.counters.unknownFlags === 1 ? facts : null;
  });
  assert.equal(counters.unknownTypes, 1);
});

test('messages, requests and commands reach the board, and its answers come back', async (t) => {
  const { box, board } = await startWithBoard(t);
  const nats = await clientOf(t, box);
  await board.hello();
  await board.describe();
  await board.send(type.subscribe, writeSubscribe({ subscription: 1, isOn: true, subject: '.ask.>' }));
  await waitFor('the subscription', () => board.of(type.subscribe).some(({ payload }) => payload[1] === code.ok));
  nats.publish('line3.ask.news', 'hello');
  const message = await waitFor('the message', () => board.of(type.message)[0]);
  const read = readMessage(message.payload);
  assert.deepEqual([read.subject, Buffer.from(read.payload).toString()], ['.ask.news', 'hello']);
  await board.send(type.ack, writeAck(message.sequence));

  const asked = nats.request('line3.ask.echo', 'one two', { timeout: 8000 });
  const request = await waitFor('the request', () => board.of(type.request)[0]);
  const { id, subject, payload } = readRequest(request.payload);
  assert.equal(subject, '.ask.echo');
  await board.send(type.ack, writeAck(request.sequence));
  await board.send(type.reply, writeReply({ id, code: code.ok, payload }), { number: 1 });
  assert.equal((await asked).string(), 'one two');

  const set = nats.request('line3.valve.set', 'true', { timeout: 8000 });
  const command = await waitFor('the command', () => board.of(type.request)[1]);
  const ordered = readRequest(command.payload);
  const items = new CborReader(ordered.payload);
  assert.deepEqual([ordered.subject, items.unsigned(), items.value()], ['', 1, true]);
  await board.send(type.ack, writeAck(command.sequence));
  await board.send(type.reply, writeReply({ id: ordered.id, code: code.ok, payload: Uint8Array.of(0xf5) }), {
    number: 2,
  });
  assert.deepEqual((await set).json(), { value: true });

  const errors = async (subjectOf: string, body: string) => {
    const answer = await nats.request(subjectOf, body, { timeout: 8000 });
    return answer.headers?.get('Nats-Service-Error-Code');
  };
  assert.equal(await errors('line3.temp.set', '1'), '400', 'it is not writable');
  assert.equal(await errors('line3.valve.set', '7'), '400', 'it is no boolean');
  assert.equal(await errors('line3.valve.set', 'yes'), '400', 'it is no JSON');
  const refused = errors('line3.ask.fail', 'x');
  const third = await waitFor('the request', () => board.of(type.request)[2]);
  await board.send(type.ack, writeAck(third.sequence));
  const failure = { id: readRequest(third.payload).id, code: code.failed, payload: text('no water') };
  await board.send(type.reply, writeReply(failure), { number: 3 });
  assert.equal(await refused, '503');

  // The board asks, and somebody on the box answers; then nobody does.
  const service = nats.subscribe('plant.time', { callback: (_, one) => void one.respond('noon') });
  await nats.flush();
  await board.send(type.request, writeRequest({ id: 7, leftMs: 5000, subject: 'plant.time', payload: text('?') }), {
    number: 4,
  });
  const reply = await waitFor('the reply', () => board.of(type.reply)[0]);
  assert.deepEqual(
    { ...readReply(reply.payload), payload: Buffer.from(readReply(reply.payload).payload).toString() },
    { id: 7, code: 0, payload: 'noon' },
  );
  await board.send(type.ack, writeAck(reply.sequence));
  service.unsubscribe();
  await nats.flush();
  await board.send(type.request, writeRequest({ id: 8, leftMs: 5000, subject: 'plant.nobody', payload: text('?') }), {
    number: 5,
  });
  const none = await waitFor('the reply', () => board.of(type.reply)[1]);
  assert.deepEqual([readReply(none.payload).id, readReply(none.payload).code], [8, code.no_responders]);
});

test('a board that can only speak is heard, and what it lost is counted', async (t) => {
  const { box, board, port } = await startWithBoard(t);
  const { seen } = await watch(t, box, 'line3.temp');
  board.check = 'crc16';
  await board.hello({ features: feature.oneWay, window: 0 });
  await board.describe();
  await board.data(null, [0, 10, 0]);
  board.loseFrame();
  await board.data(null, [0, 20, 0]);
  await waitFor('both values', () => seen.length === 2);
  const facts = await waitFor('its status', async () => {
    const one = await port();
    return one.messagesIn === 2 ? one : null;
  });
  assert.deepEqual([facts.board.check, facts.board.counters.lostFrames], ['crc16', 1]);
  assert.equal(board.frames.filter(({ type: found }) => found === type.ack).length, 0);
});

test('what a board has lost since its reset goes to the ledger once', async (t) => {
  const { box, board, port } = await startWithBoard(t);
  await board.hello({ lost: 3 });
  const lost = async () => {
    const { ledger } = await box.status();
    return ledger
      .filter(({ lane }: { lane: string }) => lane === 'serial line3')
      .reduce((sum: number, { count }: { count: number }) => sum + count, 0);
  };
  await waitFor('the ledger', async () => (await lost()) === 3);
  await box.kill9();
  await box.start();
  await waitFor('the port to open', async () => (await port()).state === 'open');
  await board.hello({ lost: 5, uptimeMs: 20_000 });
  await waitFor('the ledger', async () => (await lost()) === 5);
});
