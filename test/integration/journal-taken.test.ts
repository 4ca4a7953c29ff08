import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../../src/core/message.ts';
import type { Receipt } from '../../src/core/router.ts';
import type { Journal } from '../../src/store/journal.ts';
import { drain, message, openJournal } from '../support/journal.ts';
import { tempDir } from '../support/temp.ts';

/** What a source sends under a number is journaled once, lane by lane, whatever falls between commit and receipt. */

const SMALL = 64 * 1024;

/** Sends messages under a number as a device does: those that their lane does not have. Resolves with the answers. */
function send(journal: Journal, source: string, number: number, messages: readonly Message[]): Promise<boolean[]> {
  const left = messages.filter((one) => !journal.hasTaken(source, number, one));
  const bytes = left.reduce((sum, { subject, payload }) => sum + subject.length * 3 + payload.length, 0);
  return new Promise((resolve) => {
    const answers: boolean[] = [];
    const add = (answer: boolean): void => {
      answers.push(answer);
      if (answers.length === left.length) resolve(answers);
    };
    const receipt: Receipt = { accepted: () => add(true), refused: () => add(false) };
    if (left.length === 0) resolve([]);
    journal.take(source, number, left.length, bytes, () => {
      for (const one of left) journal.append(journal.laneOf(one), one, receipt, 0, 0);
    });
  });
}

test('a number that was journaled is known to the next run, until it is forgotten or its source is dropped', async (t) => {
  const folder = tempDir(t, 'taken');
  const first = await openJournal(t, { folder });
  const [a, b] = [message('board.a', '1'), message('board.b', '2')];
  assert.deepEqual(await send(first, 'board 1', 7, [a, b]), [true, true]);
  assert.deepEqual(await send(first, 'board 1', 8, [a]), [true]);
  assert.deepEqual(await send(first, 'board 1', 7, [a, b]), []);
  assert.deepEqual(await send(first, 'other', 7, [a]), [true]);
  first.taken.forget('board 1', 7);
  first.taken.drop('other');
  // What is forgotten rides with the next commit.
  assert.deepEqual(await send(first, 'board 1', 9, [b]), [true]);
  await first.stop();

  const second = await openJournal(t, { folder });
  assert.deepEqual(second.taken.sources, ['board 1']);
  assert.deepEqual(second.taken.numbersOf('board 1').sort(), [8, 9]);
  assert.deepEqual(await send(second, 'board 1', 8, [a]), []);
  assert.deepEqual(await send(second, 'board 1', 7, [a, b]), [true, true]);
  assert.deepEqual(
    (await drain(second, 0)).map(({ payload }) => payload.toString()),
    ['1', '2', '1', '1', '2', '1', '2'],
  );
});

test('where one lane is full, only what it refused is taken when it comes again', async (t) => {
  const journal = await openJournal(t, {
    lanes: [
      { name: 'full', subjects: ['full.>'], bytesMax: SMALL },
      { name: 'room', subjects: ['room.>'] },
    ],
  });
  const fill = message('full.x', Buffer.alloc(30_000));
  let refused = 0;
  for (let number = 1; refused === 0; number++) {
    refused = (await send(journal, 'filler', number, [fill])).filter((answer) => !answer).length;
  }
  const frame = [message('full.a', Buffer.alloc(30_000)), message('room.a', '1'), message('room.b', '2')];
  assert.deepEqual((await send(journal, 'board', 1, frame)).sort(), [false, true, true]);
  await drain(journal, 0);
  assert.deepEqual(await send(journal, 'board', 1, frame), [true], 'the lane has room now, and the other has its part');
  assert.deepEqual(await send(journal, 'board', 1, frame), []);
  assert.deepEqual(
    (await drain(journal, 1)).map(({ payload }) => payload.toString()),
    ['1', '2'],
  );
});

test('a lane keeps all of a number or nothing, also where a batch would have been closed amid it', async (t) => {
  const journal = await openJournal(t, { lanes: [{ name: 'small', bytesMax: SMALL }] });
  // A batch of this lane is closed at 4 KiB.
  const frame = (payload: string) => [1, 2, 3].map((n) => message(`s.${n}`, payload.padEnd(1_800)));
  const outcomes: boolean[][] = [];
  for (let number = 1; number <= 20; number++) outcomes.push(await send(journal, 'board', number, frame(`${number}`)));
  assert(
    outcomes.every((answers) => new Set(answers).size === 1),
    JSON.stringify(outcomes),
  );
  assert(
    outcomes.some((answers) => answers[0] === false),
    'the lane became full',
  );
  const kept = outcomes.filter(([answer]) => answer).length;
  assert.equal((await drain(journal, 0)).length, kept * 3);
});
