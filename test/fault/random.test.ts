/**
 * Goal: whatever happens to the box, its disk, its clock, the link and the hub, and in whatever order, the hub ends up
 * with what the model says. Method: the script random.ts with three seeds that between them draw every kind of fault, one
 * for each procedure, one of them with the flash saver, and with a build that breaks the promise. `npm run test:random` runs it for two hours.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Child } from '../support/child.ts';
import type { Procedure } from '../support/procedures.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { faultNames, planOf } from './random-faults.ts';

const SCRIPT = join(import.meta.dirname, 'random.ts');
const ROUNDS = 6;
const SEEDS: [seed: number, procedure: Procedure, saver: 'yes' | 'no'][] = [
  [3, 'read-back', 'yes'],
  [6, 'atomic', 'no'],
  [10, 'own', 'no'],
];

async function run(scope: Scope, ...args: string[]) {
  const child = new Child(process.execPath, [SCRIPT, ...args]);
  atEnd(scope, async () => {
    await child.kill();
  });
  const { code } = await child.exited;
  return { code, text: child.lines.join('\n') };
}

// Mostly waits. The bound is for what hangs.
describe('faults at random', { concurrency: 3, timeout: 900_000 }, () => {
  it('are of every kind with these seeds, and the same each time', () => {
    const drawn = SEEDS.flatMap(([seed]) => planOf(seed, ROUNDS));
    const names = new Set(drawn.flatMap(({ text }) => text.split(' + ')));
    assert.deepEqual([...names].sort(), [...faultNames].sort());
    assert.deepEqual(planOf(3, ROUNDS), planOf(3, ROUNDS));
  });

  for (const [seed, procedure, saver] of SEEDS) {
    it(`${procedure}${saver === 'yes' ? ', flash saver' : ''}: what must be at the hub is there (seed ${seed})`, async (scope) => {
      const draws = ['--seed', String(seed), '--procedure', procedure, '--saver', saver];
      const options = [...draws, '--rounds', String(ROUNDS)];
      const { code, text } = await run(scope, ...options);
      assert.equal(code, 0, text);
      assert.match(text, /1 episodes, 0 broken/);
    });
  }

  it('a build that does not believe its watermark is caught, and its seed named', async (scope) => {
    const options = [
      '--seed',
      '5',
      '--procedure',
      'atomic',
      '--saver',
      'no',
      '--rounds',
      '1',
      '--break',
      'no-watermark',
    ];
    const { code, text } = await run(scope, ...options);
    assert.equal(code, 1, text);
    assert.match(text, /BROKEN: \d+ records twice/);
    assert.match(text, /--seed 5 --procedure atomic/);
  });
});
