/**
 * `node test/fault/mqtt-fuzz.ts`: a mutation fuzzer of MQTT against a real box (`npm run fuzz:mqtt`).
 *
 *   --cases N    how many (10 million)
 *   --first N    the number of the first (0)
 *   --seed N     with the number it says what a case is (1)
 *   --case N     this one alone
 *   --show N     prints the bytes of a case and sends nothing
 *
 * Exit 0: every good client was served, every answer was MQTT, and the memory was bounded. 1: not so.
 */
import { parseArgs } from 'node:util';
import { fuzz, report } from '../support/mqtt-fuzzer.ts';
import { FuzzCases } from '../support/mqtt-mutations.ts';
import { hex } from '../support/mqtt-packets.ts';
import { Lifetime } from '../support/scope.ts';

const PROGRESS_EVERY = 100_000;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '10000000' },
    first: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    case: { type: 'string' },
    show: { type: 'string' },
  },
});
const seed = Number(values.seed);

if (values.show !== undefined) {
  const { bytes, ...rest } = new FuzzCases(seed).get(Number(values.show));
  console.log(JSON.stringify(rest), hex(bytes));
} else {
  await using life = new Lifetime();
  const result = await fuzz(life, {
    seed,
    first: Number(values.case ?? values.first),
    cases: values.case === undefined ? Number(values.cases) : 1,
    progress: (done) => {
      if (done % PROGRESS_EVERY === 0) console.error(`${done} cases`);
    },
  });
  for (const line of report(result)) console.log(line);
  process.exitCode = result.failures.length === 0 ? 0 : 1;
}
