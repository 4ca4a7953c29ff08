/**
 * `npm run test:powercut`: power cuts by the thousand.
 *
 *   --cycles N   cuts in the write log of a box, each of them checked by opening the store (9600)
 *   --boxes N    cuts of a whole box with a hub that stays, every other one with the flash saver (400)
 *   --seed N     chooses loads, moments and fates, as far as the timing of the machine lets them be chosen
 *
 * Exit 0: nothing acknowledged was lost, every start succeeded, nothing is at the hub twice. 1: otherwise.
 */
import { randomInt } from 'node:crypto';
import { enableCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../support/seeded-random.ts';
import { cutBoxes } from './power-box.ts';
import { cutStores } from './power-rig.ts';

/** Of one log, so that its load of seconds pays. */
const CUTS_PER_LIFE = 200;
/** Boxes on one hub, whose stream is read as a whole. */
const BOXES_PER_HUB = 25;

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '9600' },
    boxes: { type: 'string', default: '400' },
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
  },
});
// Each cut has a writer thread of its own, which would read and strip its sources again: half of the time of a cut.
enableCompileCache();
const random = new SeededRandom(Number(values.seed));
const say = (line: string) => console.log(line);
say(`seed ${random.seed}`);
let broken = 0;
const [cycles, boxes] = [Number(values.cycles), Number(values.boxes)];
for (let done = 0; done < cycles; ) {
  const verdict = await cutStores({
    cycles: Math.min(3 * CUTS_PER_LIFE, cycles - done),
    cutsPerLife: CUTS_PER_LIFE,
    random,
    say,
  });
  done += verdict.cycles;
  broken += verdict.faults.length;
  say(`${done} of ${cycles} cuts: ${verdict.acked} acknowledged in ${verdict.lives} lives, ${broken} faults`);
}
for (let done = 0, saver = false; done < boxes; saver = !saver) {
  const { cycles, acked, spared, atHub, faults } = await cutBoxes({
    cycles: Math.min(BOXES_PER_HUB, boxes - done),
    random,
    saver,
  });
  done += cycles;
  broken += faults.length;
  for (const fault of faults) say(`FAULT ${fault}`);
  const flush = saver ? `flash saver, ${spared} never on the disk` : 'flush always';
  say(`${done} of ${boxes} boxes (${flush}): ${acked} acknowledged, ${atHub} at the hub, ${broken} faults`);
}
process.exitCode = broken === 0 ? 0 : 1;
