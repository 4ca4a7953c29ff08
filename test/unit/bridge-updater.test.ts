import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { type ImageState, imageStates, operation } from '../../firmware-bridge/codec/image-transfer.ts';
import { PayloadWriter } from '../../firmware-bridge/codec/payload.ts';
import { code } from '../../firmware-bridge/codec/words.ts';
import { silentLog } from '../../src/core/log.ts';
import { BoardUpdater } from '../../src/serial/bridge/board-updater.ts';
import { makeKeys, openSigned, sealImage } from '../../src/serial/bridge/firmware/image.ts';
import { Relay } from '../../src/serial/bridge/firmware/relay.ts';
import { waitFor } from '../support/wait-for.ts';

/** The gateway's side of an image transfer, against a board that speaks bytes and loses what a test wants lost. */

const keys = makeKeys();
const bytes = Buffer.from('petiole-board 1.1.0 good\n'.padEnd(1_000, 'x'));
const signed = openSigned(sealImage(bytes, 'petiole-sim', '1.1.0', keys.privatePem), [keys.publicKey]);
const { sha256 } = signed.manifest;
const OLD = 'ab'.repeat(32);

/** STATE about the image. */
function stateOf(state: ImageState, offset = 0, why: number = code.ok): Uint8Array {
  const writer = new PayloadWriter().u8(0x80).u8(imageStates.indexOf(state)).u8(why).u32(offset);
  return writer.rest(Buffer.from(sha256, 'hex').subarray(0, 8)).done();
}

/** A board that takes everything; `lose` says which operations do not reach it, `room` what a frame holds. */
function boardOf(hash: string, lose: (of: number) => boolean = () => false, room = 246) {
  const sent: number[] = [];
  let stored = 0;
  const answers: Record<number, () => Uint8Array> = {
    [operation.begin]: () => stateOf('receiving', stored),
    [operation.chunk]: () => stateOf('receiving', stored),
    [operation.verify]: () => stateOf('ready', stored),
    [operation.boot]: () => stateOf('booting', stored),
    [operation.confirm]: () => stateOf('idle', stored),
  };
  const send = (_: number, payload: Uint8Array): void => {
    const [of = 0] = payload;
    sent.push(of);
    if (lose(of)) return;
    if (of === operation.chunk) stored += payload.length - 5;
    const answer = answers[of]?.();
    if (answer !== undefined) setImmediate(() => updater.take(answer));
  };
  const about = { target: 'petiole-sim', takesImages: true, hash, version: hash === OLD ? '1.0.0' : '1.1.0' };
  const updater = new BoardUpdater({ ...about, isOnTrial: hash !== OLD }, { send, room: () => room });
  return { updater, sent };
}

test('a lost operation is repeated after 2 seconds and then twice as long each time', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    for (const [of, ask] of [
      [operation.begin, (updater: BoardUpdater) => updater.begin(signed)],
      [operation.verify, (updater: BoardUpdater) => updater.verify()],
      [operation.boot, (updater: BoardUpdater) => updater.boot(60_000)],
    ] as const) {
      let losses = 0;
      const { updater, sent } = boardOf(OLD, () => losses-- > 0);
      // What the image is; with nothing lost.
      await updater.begin(signed);
      sent.length = 0;
      losses = 2;
      const asked = ask(updater);
      await new Promise(setImmediate);
      mock.timers.tick(1_999);
      assert.deepEqual(sent, [of]);
      mock.timers.tick(1);
      assert.deepEqual(sent, [of, of]);
      mock.timers.tick(3_999);
      assert.deepEqual(sent, [of, of]);
      mock.timers.tick(1);
      assert.deepEqual(sent, [of, of, of]);
      await asked;
    }
  } finally {
    mock.timers.reset();
  }
});

test('a chunk is repeated sooner where the board was seen to be quick', async () => {
  let losses = 0;
  const { updater, sent } = boardOf(OLD, () => losses-- > 0);
  let offset = await updater.begin(signed);
  for (let i = 0; i < 3; i++) offset = await updater.send(bytes, offset);
  losses = 1;
  const fromMs = performance.now();
  // Not yet forgotten that it might be slow: below the two seconds of the beginning nevertheless.
  assert(await updater.send(bytes, offset));
  assert(performance.now() - fromMs < 1_990, `${performance.now() - fromMs} ms`);
  assert.deepEqual(sent, [operation.begin, ...Array(5).fill(operation.chunk)]);
});

test('a BEGIN that does not fit into a frame is refused, and one fits without its signature', async () => {
  await assert.rejects(boardOf(OLD, () => false, 54).updater.begin(signed), { code: 'firmware_refused' });
  assert.equal(await boardOf(OLD, () => false, 60).updater.begin(signed), 0);
});

for (const why of [code.deadline, code.cancelled]) {
  test(`a trial that ends while CONFIRM is lost is no confirmation (code ${why})`, async () => {
    const { updater } = boardOf(sha256, (of) => of === operation.confirm);
    const confirmed = updater.confirm(sha256);
    updater.take(stateOf('booting', 0, why));
    await assert.rejects(confirmed, { code: 'firmware_refused' });
    assert.equal(updater.isConfirmed, false);
  });
}

test('a board that confirms and comes back with the old image soon after is written down as reverted', async () => {
  const states: string[] = [];
  const relay = new Relay(
    'line3',
    null,
    {
      ...{ keys: [keys.publicKey], bucket: null, isApprovedAtOnce: true, windows: [], allowsOlder: false },
      ...{ imageBytesMax: 65_536, cacheBytesMax: 65_536, confirmTimeoutMs: 60_000 },
    },
    {
      keep: async () => undefined,
      image: async () => signed,
      inWindow: () => true,
      changed: ({ state }) => void states.push(state),
    },
    silentLog,
  );
  const before = boardOf(OLD).updater;
  relay.up(before);
  await relay.offer(before, signed.manifest, 'a test');
  await waitFor('the trial', () => relay.transfer?.state === 'trial');
  before.gone();
  relay.down();
  const { updater } = boardOf(sha256);
  relay.up(updater);
  await waitFor('the confirmation', () => relay.transfer?.state === 'confirmed');
  updater.gone();
  relay.down();
  relay.up(boardOf(OLD).updater);
  await waitFor('the reversal', () => relay.transfer?.state === 'reverted');
  assert.match(relay.transfer?.reason ?? '', /confirmed the image, and came back with 1\.0\.0/);
  assert.deepEqual(states.slice(-4), ['verifying', 'trial', 'confirmed', 'reverted']);
  await relay.stop();
});
