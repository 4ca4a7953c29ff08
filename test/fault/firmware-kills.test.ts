import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Kill, killTransfers } from '../support/firmware-kills.ts';

/** Each tenth percent; `npm run test:firmware-kills` has every one, for each end. */
test('a transfer goes on where it was, whichever end is killed, and the board runs what was sent', async (t) => {
  const wanted = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90].map(
    (percent): Kill => ({ end: percent % 20 === 0 ? 'board' : 'box', percent }),
  );
  const { kills, hashes, restarts } = await killTransfers(t, wanted);
  assert.equal(kills.length, 10);
  assert.equal(restarts, 0);
  for (const { sent, runs } of hashes) assert.equal(runs, sent);
});
