import { parseArgs } from 'node:util';
import { parseDuration } from '../config/units.ts';
import { describeError, GatewayError } from '../core/errors.ts';
import { actions, type Held } from '../ops/drain-control.ts';
import { CONTROL_HEADER } from '../ops/guard.ts';
import { sentences } from '../ops/words.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';
import { configuredUrl, parsedUrl, unreachable } from './page-url.ts';

const ANSWER_TIMEOUT_MS = 5000;

const usage = `petiole drain pause|resume|status [--lane NAME] [--for TIME] [--url URL] [--config FILE] [--json]

Holds what goes up to the hub, or lets it go on; messages are taken and kept meanwhile. Runs on the box itself, over its
status page. A restart of the box ends every pause. The same by NATS, also from the hub: a request to
$PETIOLE.<gateway>.drain.pause with nothing or {"lane":"telemetry","for_s":3600}.

  --lane NAME    this lane only (default: all); "resume" without it ends every pause
  --for TIME     end the pause after this time, such as 30m or 8h (default: until "resume")
  --url URL      where the status page is (default: status.listen of the configuration)
  --config FILE  the configuration to read that address from
  --json         print what is held as JSON

Exit codes: 0 done, 1 the box doesn't answer or refuses, 64 wrong arguments, 78 a mistake in the configuration.

Examples:
  petiole drain pause --for 2h
  petiole drain pause --lane telemetry
  petiole drain resume
`;

/** `petiole drain`: pauses and resumes the way up of a running box. */
export const drain: Command = { name: 'drain', summary: 'pause and resume what goes up to the hub', usage, run };

async function run(args: string[]): Promise<number> {
  let options: Options;
  try {
    options = optionsOf(args);
  } catch (error) {
    complain(error);
    process.stderr.write(`\n${usage}`);
    return EXIT_USAGE;
  }
  try {
    const base = options.url ? parsedUrl(options.url) : await configuredUrl(options.config);
    const held = await ask(base, options);
    process.stdout.write(options.json ? `${JSON.stringify(held, null, 2)}\n` : `${text(held)}\n`);
    return 0;
  } catch (error) {
    complain(error);
    return error instanceof GatewayError && error.code === 'config_invalid' ? EXIT_CONFIG : 1;
  }
}

interface Options {
  action: string;
  lane: string;
  forS: string;
  url: string | undefined;
  config: string | undefined;
  json: boolean;
}

function optionsOf(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      lane: { type: 'string', default: '' },
      for: { type: 'string' },
      url: { type: 'string' },
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [action = '', ...rest] = positionals;
  if (!(actions as readonly string[]).includes(action) || rest.length > 0) {
    throw new GatewayError('config_invalid', `Give one of ${actions.join(', ')}`);
  }
  const forMs = values.for === undefined ? 0 : parseDuration(values.for);
  if (forMs === null) throw new GatewayError('config_invalid', '--for takes a time with its unit, such as 30m');
  const { lane, url, config, json } = values;
  return { action, lane, forS: String(forMs / 1000), url, config, json };
}

async function ask(base: URL, { action, lane, forS }: Options): Promise<Held> {
  const url = new URL(`drain/${action}`, base);
  url.searchParams.set('lane', lane);
  url.searchParams.set('for_s', forS);
  let response: Response;
  let body: string;
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    response = await fetch(url, { method: 'POST', headers: { [CONTROL_HEADER]: 'yes' }, signal, redirect: 'error' });
    body = await response.text();
  } catch (cause) {
    throw unreachable(base, cause);
  }
  if (response.ok) return JSON.parse(body) as Held;
  if (response.status !== 400) throw new GatewayError('permission_denied', `The box refuses: ${body.trim()}`);
  const { message, hint } = JSON.parse(body) as { message: string; hint: string };
  throw new GatewayError('permission_denied', `The box refuses: ${message}`, { hint });
}

function text({ paused, windows, windowOpen }: Held): string {
  const lines = paused.map(({ lane, by, sinceMs, leftMs }) => {
    const until = leftMs === null ? 'until resumed' : `for another ${Math.ceil(leftMs / 1000)} s`;
    return `${lane === '*' ? 'All lanes' : `Lane ${lane}`} paused by ${by} since ${new Date(sinceMs).toISOString()}, ${until}`;
  });
  if (lines.length === 0) lines.push('Nothing is paused');
  if (windows.length > 0) lines.push(`Drain windows ${windows.join('; ')}: ${windowOpen ? 'open' : 'closed'} now`);
  return lines.join('\n');
}

function complain(error: unknown): void {
  const { message, hint } = describeError(error);
  process.stderr.write(`${sentences(message, hint)}\n`);
}
