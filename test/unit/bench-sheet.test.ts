import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setRatios } from '../bench/ratios.ts';
import { Sheet } from '../bench/sheet.ts';

/** Three rounds: the box and mosquitto, whose second one failed. */
function threeRounds(): Sheet {
  const sheet = new Sheet();
  const rates: [box: number, mosquitto: number | null][] = [
    [300, 100],
    [500, null],
    [200, 400],
  ];
  for (const [round, [box, mosquitto]] of rates.entries()) {
    sheet.beginRound(round);
    sheet.set('ingest-1: some', 'messages/s', 'petiole', box, { atLeast: 250 });
    if (mosquitto !== null) sheet.set('ingest-1: some', 'messages/s', 'mosquitto', mosquitto);
    sheet.set('ingest-1: some', 'lost', 'petiole', 0, { atMost: 0 });
    setRatios(sheet, 'petiole saver');
  }
  return sheet;
}

test('a ratio is that of one round, and its median is the median of the ratios', () => {
  const goals = threeRounds().goals();
  assert.match(goals, /ingest-1 +ratio to mosquitto: messages\/s +>= 1\.00 +1\.75 +0\.50 - 3\.00 +2 +met/);
  assert.match(goals, /ingest-1 +messages\/s +>= 250 +300 +200 - 500 +3 +met/);
  assert.doesNotMatch(goals, /lost/);
});

test('the raw figures keep their rounds', () => {
  const figures = JSON.parse(JSON.stringify(threeRounds()));
  const rows = figures['ingest-1: some'];
  assert.deepEqual(rows['messages/s'].mosquitto, [100, null, 400]);
  assert.deepEqual(rows['ratio to mosquitto: messages/s'].petiole, [3, null, 0.5]);
});

test('a goal that is missed is named, and a loss with it', () => {
  const sheet = threeRounds();
  sheet.set('ingest-1: some', 'lost', 'petiole', 3);
  sheet.beginRound(3);
  sheet.set('ingest-1: some', 'lost', 'petiole', 3);
  sheet.set('ingest-1: some', 'messages/s', 'petiole', 1);
  assert.deepEqual(sheet.missed(), ['ingest-1: some: lost']);
  assert.match(sheet.goals(), /lost +<= 0 +2 +0 - 3 +4 +MISSED/);
});
