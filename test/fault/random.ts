/**
 * `node test/fault/random.ts`: faults of every kind at random, over the whole box. In episodes: each has a seed of its own,
 * and begins and ends with a judgement of everything that is at the hub.
 *
 *   --minutes N          begins no episode after so many (0: one episode)
 *   --rounds N           of each episode (8)
 *   --procedure NAME     read-back, own or atomic (in turn)
 *   --saver YES_OR_NO    `journal.flush: { saver: true }` (drawn by the seed)
 *   --seed N             of the first episode; the ones after it count up
 *   --break NAME         a build that breaks a promise, to show that it is seen
 *
 * A failing episode is run again by its seed and procedure, as it says: `--seed N --procedure NAME --saver YES_OR_NO`.
 *
 * Exit 0: the promise was kept. 1: it was broken. 2: the rig itself could not go on.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type BreakName, breakNames, isBreakName } from '../support/broken-build.ts';
import { type Procedure, procedures } from '../support/procedures.ts';
import { Lifetime } from '../support/scope.ts';
import { apply, isForgotten, isSaving, planOf, startGround } from './random-faults.ts';
import { judgeRandom } from './random-verdict.ts';

const SEEDS = 1_000_000;
const PER_S = 500;

interface Episode {
  seed: number;
  procedure: Procedure;
  rounds: number;
  saver: boolean;
  build: BreakName | null;
}

const say = (line: string) => console.log(line);

/** What was wrong, fault by fault. */
async function runEpisode({ seed, procedure, rounds, saver, build }: Episode): Promise<string[]> {
  const plan = planOf(seed, rounds);
  const flush = saver ? 'flash saver' : 'flush always';
  say(`seed ${seed}, procedure ${procedure}, ${flush}, build ${build ?? 'as it is'}`);
  await using life = new Lifetime();
  const ground = await startGround(life, { seed, procedure, build, saver, messagesPerSecond: PER_S, say });
  const { rig } = ground;
  await rig.whilePublishing('r', async () => {
    for (const [index, round] of plan.entries()) {
      say(`  ${index + 1} ${round.text}`);
      await apply(ground, round);
    }
  });
  // The rig tells by the box's clock how fresh its status is.
  ground.setClock(0);
  const had = (name: string) => plan.some(({ steps }) => [steps.onTheBox?.name, steps.onTheWay?.name].includes(name));
  const { acked, audit, declared, epochs, faults, told } = await judgeRandom(rig, {
    wasDamaged: had('corrupt file'),
    hasRefused: saver && had('disk full'),
    isForgotten: saver && plan.some(isForgotten),
  });
  say(`  ${acked} acknowledged, ${audit.messages} at the hub, ${declared} declared lost, ${epochs} stores`);
  if (faults.length === 0) return faults;
  for (const fault of faults) say(`BROKEN: ${fault}`);
  for (const row of told) say(`  ledger: ${row}`);
  for (const [lane, { records, lastSequence }] of Object.entries(audit.lanes))
    say(`  at the hub: ${lane}, ${records} records up to ${lastSequence}`);
  say(
    `again: node test/fault/random.ts --seed ${seed} --procedure ${procedure} --saver ${saver ? 'yes' : 'no'} --rounds ${rounds}`,
  );
  return faults;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '0' },
      rounds: { type: 'string', default: '8' },
      procedure: { type: 'string' },
      saver: { type: 'string' },
      seed: { type: 'string', default: String(randomInt(SEEDS)) },
      break: { type: 'string' },
    },
  });
  const build = values.break ?? null;
  if (build !== null && !isBreakName(build)) throw new Error(`--break: expected one of ${breakNames.join(', ')}`);
  const one = procedures.find((name) => name === values.procedure);
  if (values.procedure !== undefined && !one) throw new Error(`--procedure: expected one of ${procedures.join(', ')}`);
  if (values.saver !== undefined && !['yes', 'no'].includes(values.saver)) throw new Error('--saver: yes or no');
  const endsAtMs = performance.now() + Number(values.minutes) * 60_000;
  const first = Number(values.seed);
  const broken: number[] = [];
  let episodes = 0;
  do {
    const seed = first + episodes;
    const procedure = one ?? procedures[seed % procedures.length] ?? 'read-back';
    const saver = values.saver === undefined ? isSaving(seed) : values.saver === 'yes';
    const faults = await runEpisode({ seed, procedure, rounds: Number(values.rounds), saver, build });
    if (faults.length > 0) broken.push(seed);
    episodes++;
  } while (performance.now() < endsAtMs);
  say(`${episodes} episodes, ${broken.length} broken${broken.length > 0 ? `: seeds ${broken.join(', ')}` : ''}`);
  return broken.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error('the rig could not go on:', error);
  process.exitCode = 2;
}
