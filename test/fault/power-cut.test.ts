import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, it } from 'node:test';
import { breakBuild, changeBuild } from '../support/broken-build.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { cutBoxes } from './power-box.ts';
import { cutStores } from './power-rig.ts';

/** 300 with those of whole boxes. */
const CUTS = 284;
/** Half of them with the flash saver. */
const BOXES = 16;

describe('a power cut', () => {
  it(`loses nothing that was acknowledged and never keeps the store from opening, ${CUTS} times`, async (scope) => {
    const random = new SeededRandom(randomInt(1_000_000));
    scope.diagnostic(`seed ${random.seed}`);
    const verdict = await cutStores({ cycles: CUTS, cutsPerLife: 96, random, say: (line) => scope.diagnostic(line) });
    assert.deepEqual(verdict.faults.slice(0, 10), []);
    assert.equal(verdict.cycles, CUTS);
    assert(verdict.acked > 1_000, `${verdict.acked} acknowledged`);
    scope.diagnostic(JSON.stringify({ ...verdict, faults: verdict.faults.length }));
  });

  for (const saver of [false, true]) {
    const flush = saver ? ' with the flash saver' : '';
    it(`of the whole box${flush} brings each record to the hub once, ${BOXES / 2} times`, async (scope) => {
      const random = new SeededRandom(randomInt(1_000_000));
      scope.diagnostic(`seed ${random.seed}`);
      const verdict = await cutBoxes({ cycles: BOXES / 2, random, saver });
      assert.deepEqual(verdict.faults, []);
      assert(verdict.acked > BOXES, `${verdict.acked} acknowledged`);
      // With it, how many depends on how busy the machine is; that it is in force is proven in flash-saver.test.ts.
      if (!saver) assert.equal(verdict.spared, 0);
      scope.diagnostic(JSON.stringify(verdict));
    });
  }
});

describe('the rig of the power cuts sees a build', () => {
  const builds = {
    'that does not sync': {
      file: 'store/database.js',
      line: "db.pragma('synchronous = FULL');",
      instead: "db.pragma('synchronous = OFF');",
    },
    'that leaves the folder unsynced': {
      file: 'store/files.js',
      line: 'fsyncSync(fd);',
      instead: '',
    },
    'that acknowledges before the commit': {
      file: 'store/admission.js',
      line: 'this.#commits.gathering.add(part, message, receipt, token, reached);',
      instead:
        'receipt?.accepted(token, reached, 1); this.#commits.gathering.add(part, message, null, token, reached);',
    },
  };
  for (const [what, change] of Object.entries(builds)) {
    it(what, async (scope) => {
      const verdict = await cutStores({
        cycles: 16,
        cutsPerLife: 16,
        ackedPerLife: 300,
        dist: changeBuild(scope, 'power', change),
        random: new SeededRandom(7),
        say: () => undefined,
      });
      assert(verdict.faults.length > 0, 'nothing was missed');
      scope.diagnostic(`${verdict.faults.length} of ${verdict.cycles}: ${verdict.faults[0]}`);
    });
  }

  it('that acknowledges what it has only sent, with the flash saver', async (scope) => {
    const [random, dist] = [new SeededRandom(7), breakBuild(scope, 'unheld')];
    const verdict = await cutBoxes({ cycles: 2, random, saver: true, way: 'records lost', dist });
    assert.match(verdict.faults.join(), /acknowledged messages are missing/);
    scope.diagnostic(verdict.faults.join());
  });
});
