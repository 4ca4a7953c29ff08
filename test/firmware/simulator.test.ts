import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { readBoardHello } from '../../firmware-bridge/codec/hello.ts';
import * as image from '../../firmware-bridge/codec/image-transfer.ts';
import { readAck, readNak, readReply, writeMessage, writeRequest } from '../../firmware-bridge/codec/messages.ts';
import { code, flag, type } from '../../firmware-bridge/codec/words.ts';
import { type HandGateway, openByHand } from '../support/hand-gateway.ts';
import { startBoard } from '../support/simulated-board.ts';
import { waitFor } from '../support/wait-for.ts';

/** The C library in the simulator, and a gateway that does what a test needs: frames lost, again, and at bad times. */

const { numbered, repeat } = flag;
const text = (of: string) => Uint8Array.from(Buffer.from(of));

for (const crc16 of [false, true]) {
  test(`a board refuses again what comes again, and hands it on once${crc16 ? ', with a CRC-16' : ''}`, async (t) => {
    const board = await startBoard(t, { crc16, options: ['--rate', '0'] });
    const gateway = await openByHand(t, board.path);
    // A subject that leads beyond the end; its NAK is lost, as far as the board knows.
    const malformed = Uint8Array.of(0, 40, 0x61);
    gateway.send(type.message, malformed, numbered, 1);
    const nak = readNak(await gateway.first('a NAK', type.nak));
    assert.deepEqual(nak, { sequence: 1, code: code.malformed, waitMs: 0 });
    gateway.clear();
    gateway.send(type.message, malformed, numbered | repeat, 1);
    assert.deepEqual(readNak(await gateway.first('the NAK again', type.nak)), nak);
    assert.deepEqual(gateway.of(type.ack), [], 'a refusal is no receipt');
    gateway.clear();
    const message = writeMessage(0, '.say', text('hello'));
    gateway.send(type.message, message, numbered, 2);
    assert.equal(readAck(await gateway.first('an ACK', type.ack)), 2);
    gateway.clear();
    gateway.send(type.message, message, numbered | repeat, 2);
    assert.equal(readAck(await gateway.first('the ACK again', type.ack)), 2);
    assert.deepEqual(board.told('message'), ['.say hello']);
    assert.deepEqual(gateway.of(type.nak), []);
  });
}

test('a board without room for an answer does nothing of a request until it has room', async (t) => {
  const board = await startBoard(t, { options: ['--rate', '0'] });
  const gateway = await openByHand(t, board.path);
  gateway.acknowledges = false;
  // Fills the memory with values that get no receipt, and then with replies.
  board.say('value 4000');
  await waitFor('a full memory', () => gateway.of(type.data).length > 14);
  const asked: string[] = [];
  const ask = (number: number, flags: number) =>
    gateway.send(
      type.request,
      writeRequest({ id: number, leftMs: 60_000, subject: '.ask.echo', payload: text(`q${number}`.padEnd(150, '.')) }),
      flags,
      number,
    );
  let number = 1;
  for (let isTaken = true; isTaken && number < 64; number++) {
    gateway.clear();
    ask(number, numbered);
    await waitFor('an answer', () => gateway.of(type.ack).length + gateway.of(type.nak).length > 0);
    isTaken = gateway.of(type.nak).length === 0;
    if (isTaken) asked.push(`.ask.echo ${`q${number}`.padEnd(150, '.')}`);
  }
  const refused = number - 1;
  const nak = readNak(await gateway.first('a NAK', type.nak));
  assert.deepEqual([nak.sequence, nak.code, nak.waitMs > 0], [refused, code.busy, true]);
  for (let again = 0; again < 3; again++) {
    gateway.clear();
    ask(refused, numbered | repeat);
    await gateway.first('the NAK again', type.nak);
  }
  assert.deepEqual(board.told('request'), asked, 'what is busy was not done');
  assert.deepEqual(board.told('lost'), [], 'nothing was lost');
  // With the receipts there is room: the request is done once, and answered.
  gateway.acknowledges = true;
  gateway.clear();
  await waitFor('room', () => {
    ask(refused, numbered | repeat);
    return gateway.of(type.reply).some((payload) => readReply(payload).id === refused);
  });
  assert.equal(board.told('request').filter((line) => line.includes(` q${refused}.`)).length, 1);
  assert.deepEqual(board.told('lost'), []);
});

test('a frame that has become too long for its channel is skipped as dropped, and counted once', async (t) => {
  const board = await startBoard(t, { options: ['--rate', '0'] });
  // Built for 256 bytes, before anybody says that there are only 64.
  board.say('value 20');
  await waitFor('the values', () => board.produced === 20);
  const gateway = await openByHand(t, board.path, 64);
  const [why] = await gateway.first('a SKIP', type.skip);
  assert.equal(why, code.dropped);
  await waitFor('the loss', () => board.told('lost').length > 0);
  // From now on batches are as long as the channel lets them be.
  gateway.clear();
  board.say('value 20');
  await waitFor('more values', () => board.produced === 40 && gateway.of(type.data).length >= 4);
  board.say('publish .end here');
  await gateway.first('the end', type.publish);
  assert(gateway.of(type.data).every((payload) => payload.length <= 64 - 10));
  assert.deepEqual(board.told('lost').length, 1, board.told('lost').join());
});

/** Sends an operation until its STATE is there. */
async function operate(gateway: HandGateway, payload: Uint8Array): Promise<image.BoardImageState> {
  gateway.clear();
  gateway.send(type.firmware, payload);
  return image.readImageState(await gateway.first('a STATE', type.firmware)) ?? assert.fail('no STATE');
}

async function transfer(gateway: HandGateway, bytes: Buffer): Promise<image.BoardImageState> {
  const sha256 = createHash('sha256').update(bytes).digest();
  const begin = { size: bytes.length, sha256, target: 'petiole-sim', version: '9.0.0', signature: new Uint8Array() };
  let state = await operate(gateway, image.writeBegin(begin));
  while (state.state === 'receiving' && state.offset < bytes.length) {
    const { offset } = state;
    state = await operate(gateway, image.writeChunk(offset, bytes.subarray(offset, offset + 96)));
    assert(state.offset > offset, JSON.stringify(state));
  }
  assert.deepEqual([state.state, state.code, state.offset], ['receiving', code.ok, bytes.length]);
  const ready = await operate(gateway, image.writeOperation('verify'));
  // A BEGIN that comes late does not undo the verification.
  if (ready.state === 'ready') assert.deepEqual(await operate(gateway, image.writeBegin(begin)), ready);
  return ready;
}

const imageOf = (size: number) => Buffer.from('petiole-board 9.0.0 good\n'.padEnd(size, 'x'));

test('images of all sizes about a block of SHA-256 are verified', async (t) => {
  const board = await startBoard(t, { options: ['--rate', '0'] });
  const gateway = await openByHand(t, board.path);
  for (let size = 320 - 12; size <= 320 + 3; size++) {
    const { state, code: why } = await transfer(gateway, imageOf(size));
    assert.deepEqual([size, state, why], [size, 'ready', code.ok]);
  }
});

for (const how of ['its time is over', 'it is cancelled', 'it is confirmed'] as const) {
  test(`a trial ends in a STATE that says how: ${how}`, async (t) => {
    const board = await startBoard(t, { options: ['--rate', '0'] });
    const gateway = await openByHand(t, board.path);
    const bytes = imageOf(1_000);
    const sha256 = createHash('sha256').update(bytes).digest();
    await transfer(gateway, bytes);
    const { state } = await operate(gateway, image.writeBoot(how === 'its time is over' ? 1_500 : 60_000));
    assert.equal(state, 'booting');
    const isNew = (payload: Uint8Array) => Buffer.from(readBoardHello(payload).hash).equals(sha256);
    await gateway.first('the HELLO of the new image', type.hello, isNew);
    await gateway.open();
    if (how === 'it is confirmed') {
      for (const _ of ['first', 'again']) {
        const done = await operate(gateway, image.writeConfirm(sha256));
        assert.deepEqual([done.state, done.code], ['idle', code.ok]);
      }
      assert.equal((await operate(gateway, image.writeOperation('ask'))).state, 'idle');
      return;
    }
    gateway.clear();
    if (how === 'it is cancelled') gateway.send(type.firmware, image.writeOperation('cancel'));
    const news = image.readImageState(await gateway.first('a STATE', type.firmware)) ?? assert.fail('no STATE');
    assert.deepEqual([news.state, news.code], ['booting', how === 'it is cancelled' ? code.cancelled : code.deadline]);
    await gateway.first('the HELLO of the old image', type.hello, (payload) => !isNew(payload));
    assert.equal(board.told('start').at(-1)?.includes('version=1.0.0'), true, board.told('start').join('\n'));
  });
}
