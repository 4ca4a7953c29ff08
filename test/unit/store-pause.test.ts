import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ENOUGH, Pause, REST_COMMITS_MAX, WORTH } from '../../src/store/pause.ts';
import { waitFor } from '../support/wait-for.ts';

/** Goal: a commit waits for company only where company comes. Method: counts of what waits, as the group commit tells them. */

describe('the pause before a commit', () => {
  it('holds a small commit, and tells when it is over', async () => {
    let elapsed = 0;
    const pause = new Pause(() => elapsed++);
    assert.equal(pause.holds(3), true);
    assert.equal(pause.holds(8), true);
    await waitFor('the end of the pause', () => elapsed === 1);
    assert.equal(pause.holds(10), false);
    pause.committing(10);
    assert.equal(pause.holds(3), true);
    pause.end();
  });

  it('does not hold nothing, nor what is worth a commit as it is', () => {
    let elapsed = 0;
    const pause = new Pause(() => elapsed++);
    assert.equal(pause.holds(0), false);
    assert.equal(pause.holds(ENOUGH), false);
    assert.equal(pause.holds(1), true);
    // It may fill up before its time is over.
    assert.equal(pause.holds(ENOUGH), false);
    pause.committing(ENOUGH);
    assert.equal(elapsed, 0);
  });

  it('is left out for a while after one that brought little: a lone sender waits for its receipt', () => {
    const pause = new Pause(() => {});
    /** Commits until it is tried again, after one that brought so many. */
    const rest = (brought: number) => {
      assert.equal(pause.holds(1), true);
      pause.end();
      pause.committing(1 + brought);
      let commits = 0;
      for (; !pause.holds(1); commits++) pause.committing(1);
      return commits;
    };
    const rests = Array.from({ length: 9 }, () => rest(WORTH - 1));
    assert.deepEqual(rests, [1, 2, 4, 8, 16, 32, 64, 128, REST_COMMITS_MAX]);
    assert.deepEqual([rest(WORTH), rest(0), rest(WORTH), rest(0)], [0, 1, 0, 1]);
    pause.end();
  });

  it('ends at once for whoever waits for a commit', async () => {
    let elapsed = 0;
    const pause = new Pause(() => elapsed++);
    assert.equal(pause.holds(2), true);
    pause.end();
    assert.equal(pause.holds(2), false);
    pause.committing(2 + WORTH);
    assert.equal(pause.holds(2), true);
    await waitFor('the end of the second pause', () => elapsed > 0);
    assert.equal(elapsed, 1);
  });
});
