/**
 * `node test/fault/exactly-once.ts`: everything that can break is broken, in three phases.
 *
 *   A  kill -9 of the box at random moments of a flood of QoS 1 publishes
 *   B  the hub killed, and away for longer than its duplicate window, with kills of the box beside it
 *   C  the link cut: PubAcks lost, records lost, half-open, a silent hub
 *
 * The senders reconnect and send again what was not acknowledged. At the end every PUBACKed message must be in the
 * hub's stream, each record once, in the order of its lane.
 *
 *   --messages N         publishes of phase A (200000)
 *   --kills N            kills of phase A (50)
 *   --outages N          of phase B (6)
 *   --cuts N             of phase C (20)
 *   --procedure NAME     read-back (default), own or atomic
 *   --hub VERSION        of nats-server (the one on PATH; for atomic the newest)
 *   --prefix TOKENS      upstream.prefix (none)
 *   --saver              the hub's PubAck may be the receipt (journal.flush)
 *   --seed N             chooses the moments, as far as the timing of the machine lets them be chosen
 *   --break NAME         early-ack, no-reconcile, no-watermark, early-trim, unheld, reused-numbers: a build that breaks the promise, to show that it is seen
 *
 * Exit 0: the promise was kept. 1: it was broken. 2: the rig itself could not go on.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { breakNames, isBreakName } from '../support/broken-build.ts';
import { natsServers, procedures } from '../support/procedures.ts';
import { Lifetime } from '../support/scope.ts';
import { breakHub, cutLink, killBox } from './phases.ts';
import { type RigOptions, startRig } from './rig.ts';
import { judge, tableOf } from './verdict.ts';

const SEEDS = 1_000_000;

function optionsOf(): RigOptions {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string', default: '200000' },
      kills: { type: 'string', default: '50' },
      outages: { type: 'string', default: '6' },
      cuts: { type: 'string', default: '20' },
      procedure: { type: 'string', default: 'read-back' },
      hub: { type: 'string' },
      prefix: { type: 'string', default: '' },
      saver: { type: 'boolean', default: false },
      seed: { type: 'string' },
      break: { type: 'string' },
    },
  });
  const count = (key: 'messages' | 'kills' | 'outages' | 'cuts' | 'seed') => {
    const number = Number(values[key] ?? randomInt(SEEDS));
    if (Number.isSafeInteger(number) && number >= 0) return number;
    throw new Error(`--${key} ${values[key]}: expected a number from 0 on`);
  };
  const procedure = procedures.find((name) => name === values.procedure);
  if (!procedure) throw new Error(`--procedure ${values.procedure}: expected one of ${procedures.join(', ')}`);
  const hub = natsServers().find(({ version }) => version === values.hub);
  if (values.hub !== undefined && !hub) throw new Error(`--hub ${values.hub}: there is no such nats-server here`);
  const build = values.break ?? null;
  if (build !== null && !isBreakName(build)) {
    throw new Error(`--break ${build}: expected one of ${breakNames.join(', ')}`);
  }
  const counts = { messages: count('messages'), kills: count('kills'), outages: count('outages'), cuts: count('cuts') };
  const program = hub ? { binary: hub.path } : {};
  const say = (line: string) => console.log(line);
  const { prefix, saver } = values;
  return { ...counts, ...program, seed: count('seed'), prefix, saver, procedure, build, say };
}

async function main(): Promise<number> {
  const options = optionsOf();
  const { seed, procedure, build, messages, outages, cuts } = options;
  console.log(`seed ${seed}, procedure ${procedure}, build ${build ?? 'as it is'}`);
  await using life = new Lifetime();
  const rig = await startRig(life, options);
  if (messages > 0) await killBox(rig);
  if (outages > 0) await breakHub(rig);
  if (cuts > 0) await cutLink(rig);
  const verdict = await judge(rig);
  console.log(`\n${tableOf(verdict)}\n`);
  for (const fault of verdict.faults) console.log(`BROKEN: ${fault}`);
  if (verdict.faults.length === 0) console.log('exactly once: kept');
  return verdict.faults.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error('the rig could not go on:', error);
  process.exitCode = 2;
}
