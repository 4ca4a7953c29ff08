import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import { GatewayError } from '../core/errors.ts';
import { createLog, type Log } from '../core/log.ts';
import { LogRing } from '../core/log-ring.ts';
import { version } from '../gateway.ts';
import { BoxRunner } from './box-runner.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';
import { settleDown } from './small-memory.ts';

const usage = `Usage: petiole run [--config FILE]

Runs the box until it gets SIGTERM or SIGINT. Without --config: ./petiole.yaml, else /etc/petiole/petiole.yaml, else
safe defaults: MQTT on 127.0.0.1:1883, NATS on 127.0.0.1:4222 where that is free, the status page on
http://127.0.0.1:8080, data in ./data, no upstream.
PETIOLE_ variables override the file (see deploy/petiole.example.yaml). SIGHUP reads the file anew.

Exit codes: 0 stopped as asked, 1 cannot start, 70 a mistake in Petiole, 78 the configuration is wrong.

Examples:
  petiole run
  petiole run --config /etc/petiole/petiole.yaml
  PETIOLE_UPSTREAM_URLS=nats://hub.example.com:7422 petiole run
`;

/** What cannot be written in this time after a signal is not going to be; it was not acknowledged either. */
const STOP_MS = 15_000;
/** EX_SOFTWARE of sysexits.h. */
const EXIT_SOFTWARE = 70;

export const run: Command = {
  name: 'run',
  summary: 'run the box',
  usage,
  async run(args) {
    let file: string | undefined;
    try {
      file = parseArgs({ args, options: { config: { type: 'string', short: 'c' } } }).values.config;
    } catch (error) {
      process.stderr.write(`petiole run: ${error instanceof Error ? error.message : error}\n\n${usage}`);
      return EXIT_USAGE;
    }
    const loaded = loadConfig({ file: file ?? null, env: process.env, cwd: process.cwd() });
    if (!loaded.config) {
      process.stderr.write(describeProblems(loaded.file, loaded.problems));
      return EXIT_CONFIG;
    }
    const { config } = loaded;
    const ring = new LogRing();
    const log = await createLog(config.log.level, process.stdout.isTTY, ring);
    process.on('uncaughtException', (error) => {
      log.fatal({ err: error, part: 'main' }, 'a mistake in Petiole; the process ends and keeps what it acknowledged');
      process.exit(EXIT_SOFTWARE);
    });
    log.info({ part: 'main', version, file: loaded.file, gateway: config.gateway.name }, 'starting');
    return serve(new BoxRunner(loaded, log, ring), log.child({ part: 'main' }));
  },
};

async function serve(box: BoxRunner, log: Log): Promise<number> {
  const signal = new Promise<NodeJS.Signals>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
  try {
    await box.start();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    log.fatal({ code: error.code, hint: error.hint }, error.message);
    return 1;
  }
  settleDown();
  const reload = () => void box.reload();
  process.on('SIGHUP', reload);
  log.info({ listeners: box.gateway.listeners }, 'ready');
  const secret = box.gateway.newSecret;
  // For who has just started it by hand; never into a log.
  if (secret !== null && process.stderr.isTTY) process.stderr.write(`Sign in to the status page with ${secret}\n`);
  log.info({ signal: await signal }, 'stopping');
  const late = setTimeout(() => {
    log.error('not stopped in time; what was acknowledged is on disk');
    process.exit(1);
  }, STOP_MS);
  process.off('SIGHUP', reload);
  await box.stop();
  clearTimeout(late);
  log.info('stopped');
  return 0;
}
