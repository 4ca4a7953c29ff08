/**
 * `node test/fault/nats-fuzz.ts`: hostile NATS clients against a real box, and a hostile hub against leaf links
 * (`npm run fuzz:nats`).
 *
 *   --role ROLE  client or hub (client)
 *   --cases N    how many (1 million)
 *   --first N    the number of the first (0)
 *   --seed N     with the number it says what a case is (1)
 *   --case N     this one alone
 *   --show N     prints the bytes of a case and sends nothing
 *
 * Exit 0: every answer was one of a server, every good client was served, and the memory was bounded. 1: not so.
 */
import { parseArgs } from 'node:util';
import { natsFuzz, natsReport } from '../support/nats-fuzzer.ts';
import { NatsCases } from '../support/nats-mutations.ts';
import { Lifetime } from '../support/scope.ts';

const PROGRESS_EVERY = 50_000;

const { values } = parseArgs({
  options: {
    role: { type: 'string', default: 'client' },
    cases: { type: 'string', default: '1000000' },
    first: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    case: { type: 'string' },
    show: { type: 'string' },
  },
});
const seed = Number(values.seed);
const role = values.role === 'hub' ? 'hub' : 'client';

if (values.show !== undefined) {
  console.log(JSON.stringify(new NatsCases(role, seed).get(Number(values.show)).bytes.toString('latin1')));
} else {
  await using life = new Lifetime();
  const result = await natsFuzz(life, {
    role,
    seed,
    first: Number(values.case ?? values.first),
    cases: values.case === undefined ? Number(values.cases) : 1,
    progress: (done) => {
      if (done % PROGRESS_EVERY === 0) console.error(`${done} cases`);
    },
  });
  for (const line of natsReport(result)) console.log(line);
  process.exitCode = result.failures.length === 0 ? 0 : 1;
}
