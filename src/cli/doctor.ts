import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { accepts } from '../ops/service-manager.ts';
import { printable } from '../ops/words.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';
import { clock, disk, type Finding, hub, listening, type Place, power } from './doctor-checks.ts';
import { machine, ports } from './doctor-machine.ts';

const usage = `Usage: petiole doctor [--config FILE] [--json]

Tries everything that the box needs, one after the other, and says what is wrong and how to mend it: the configuration,
the clock, the disk (room, how long an fsync takes, wear), the machine, the addresses to listen on, the serial ports and
their permissions, the way to the hub (name, port, TLS, sign-in), the stream of each lane and the power supply. A box
that runs is not disturbed.

  --config FILE  the configuration (default: as petiole run finds it)
  --json         one JSON array: name, verdict (good, warning, bad or unknown), message, cure

Exit codes: 0 nothing is bad, 1 something is, 64 wrong arguments, 78 the configuration is wrong.

Examples:
  petiole doctor
  petiole doctor --config /etc/petiole/petiole.yaml
  petiole doctor --json | jq '.[] | select(.verdict == "bad")'
`;

/** `petiole doctor`: what would keep this box from working. */
export const doctor: Command = {
  name: 'doctor',
  summary: 'try what the box needs, with a cure for each fault',
  usage,
  run,
};

async function run(args: string[]): Promise<number> {
  let values: { config?: string | undefined; json?: boolean | undefined };
  try {
    ({ values } = parseArgs({ args, options: { config: { type: 'string', short: 'c' }, json: { type: 'boolean' } } }));
  } catch (error) {
    process.stderr.write(`petiole doctor: ${error instanceof Error ? error.message : error}\n\n${usage}`);
    return EXIT_USAGE;
  }
  const { config, file, problems } = loadConfig({ file: values.config ?? null, env: process.env, cwd: process.cwd() });
  if (config === null) {
    process.stderr.write(describeProblems(file, problems));
    return EXIT_CONFIG;
  }
  const findings: Finding[] = [];
  for await (const finding of checks(config, file)) {
    findings.push(finding);
    if (!values.json) process.stdout.write(line(finding));
  }
  if (values.json) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  const isBad = findings.some(({ verdict }) => verdict === 'bad');
  if (!values.json) process.stdout.write(isBad ? '' : 'Nothing is in the way of this box.\n');
  return isBad ? 1 : 0;
}

async function* checks(config: Config, file: string | null): AsyncGenerator<Finding> {
  const read = file === null ? 'no file: the defaults' : `${file} is read`;
  yield { name: 'configuration', verdict: 'good', message: read, cure: '' };
  yield clock();
  yield* disk(config);
  yield* await machine(config.gateway.data);
  for (const place of places(config)) {
    // Who answers there is, as a rule, the box itself; what it says of itself, `petiole status` tells.
    const isServed = await accepts(place.host, place.port).then(
      () => true,
      () => false,
    );
    const where = `${place.host}:${place.port}`;
    yield isServed
      ? { name: place.name, verdict: 'good', message: `something listens on ${where}: the box, if it runs`, cure: '' }
      : await listening(place);
  }
  yield* await ports(config);
  if (config.upstream) yield* await hub(config, config.upstream);
  else yield { name: 'hub', verdict: 'unknown', message: 'no upstream is configured', cure: '' };
  yield power();
}

function places({ mqtt, nats, status }: Config): Place[] {
  const found: Place[] = mqtt.listeners.map(({ host, port }) => ({ name: 'mqtt', host, port }));
  if (nats) found.push(...nats.listeners.map(({ host, port }) => ({ name: 'nats', host, port })));
  if (status) found.push({ name: 'status', host: status.host, port: status.port });
  return found.filter(({ port }) => port !== 0);
}

const WORDS: Record<Finding['verdict'], { text: string; colour: number }> = {
  good: { text: 'good', colour: 32 },
  warning: { text: 'look', colour: 33 },
  bad: { text: 'BAD', colour: 31 },
  unknown: { text: '?', colour: 2 },
};

function line({ name, verdict, message, cure }: Finding): string {
  const { text, colour } = WORDS[verdict];
  const word = text.padEnd(5);
  const coloured = process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[${colour}m${word}\x1b[0m` : word;
  const mend = cure === '' ? '' : `${' '.repeat(8)}cure: ${printable(cure, 500)}\n`;
  return `  ${coloured} ${printable(name)}: ${printable(message, 500)}\n${mend}`;
}
