import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { code, type } from '../../firmware-bridge/codec/words.ts';
import { NO_ANSWER, NumberedOut } from '../../src/serial/bridge/numbered-out.ts';

/** From gateway to board, section 6 of PROTOCOL.md: one frame at a time, over lost frames and lost channels. */

function queue() {
  const sent: string[] = [];
  const done: string[] = [];
  let gaveUp = 0;
  const out = new NumberedOut({
    send: (_, number, payload, isRepeat) => void sent.push(`${number} ${String(payload)}${isRepeat ? ' again' : ''}`),
    gaveUp: () => void gaveUp++,
  });
  const add = (text: string, survives = false): boolean =>
    out.add({
      type: type.request,
      survives,
      payload: () => Buffer.from(text),
      done: (fault) => void done.push(`${text} ${fault}`),
    });
  return { out, sent, done, add, gaveUp: () => gaveUp };
}

test('nothing is sent on a channel before the board is heard on it, or has had a second for it', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const { out, sent, add } = queue();
    assert.equal(add('too early'), false);
    out.open();
    assert(add('a') && add('b'));
    assert.deepEqual(sent, []);
    out.release();
    assert.deepEqual(sent, ['1 a']);
    out.ack(1);
    assert.deepEqual(sent, ['1 a', '2 b']);
    out.ack(2);
    out.open();
    assert(add('c'));
    mock.timers.tick(1_000);
    assert.deepEqual(sent, ['1 a', '2 b', '1 c']);
  } finally {
    mock.timers.reset();
  }
});

test('what was not sent yet goes out on the next channel, and what may have been done does not', () => {
  const { out, sent, done, add } = queue();
  out.open();
  out.release();
  for (const text of ['a', 'b', 'c']) assert(add(text, true));
  assert(add('message'));
  // A new HELLO.
  out.close(true);
  assert.deepEqual(done, [`a ${NO_ANSWER}`, `message ${NO_ANSWER}`]);
  out.open();
  out.release();
  assert.deepEqual(sent, ['1 a', '1 b']);
  out.nak(1, code.malformed, 0);
  assert.deepEqual(sent, ['1 a', '1 b', '2 c']);
  // The line is lost.
  assert(add('d', true));
  out.close();
  assert.deepEqual(done.slice(2), [`b ${code.malformed}`, `c ${NO_ANSWER}`, `d ${NO_ANSWER}`]);
});

test('behind a frame without an answer nothing is sent before the next channel: the board would throw it away', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const { out, sent, done, add, gaveUp } = queue();
    out.open();
    out.release();
    assert(add('a', true) && add('b', true));
    for (let i = 0; i < 5; i++) mock.timers.tick(1_000);
    assert.deepEqual(sent, ['1 a', ...Array(4).fill('1 a again')]);
    assert.deepEqual([done, gaveUp(), out.hasGivenUp], [[`a ${NO_ANSWER}`], 1, true]);
    assert(add('c', true));
    out.release();
    assert.equal(sent.length, 5);
    out.open();
    out.release();
    assert.deepEqual([sent.at(-1), out.hasGivenUp], ['1 b', false]);
  } finally {
    mock.timers.reset();
  }
});
