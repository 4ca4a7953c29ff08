import { parseArgs } from 'node:util';
import { parseDuration } from '../config/units.ts';
import { describeError, GatewayError } from '../core/errors.ts';
import type { DrainState } from '../ops/api.ts';
import { actions } from '../ops/drain-control.ts';
import { CONTROL_HEADER } from '../ops/guard.ts';
import { sentences } from '../ops/words.ts';
import { type BoxPage, boxPage } from './box-page.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';

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
    const base = await boxPage(options);
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

async function ask(page: BoxPage, { action, lane, forS }: Options): Promise<DrainState> {
  const query = new URLSearchParams({ lane, for_s: forS });
  const headers = { [CONTROL_HEADER]: 'yes' };
  const { statusCode, body } = await page.ask(`/drain/${action}?${query}`, { method: 'POST', headers });
  if (statusCode === 200) return JSON.parse(body.toString()) as DrainState;
  if (statusCode !== 400) throw new GatewayError('permission_denied', `The box refuses: ${body.toString().trim()}`);
  const { message, hint } = JSON.parse(body.toString()) as { message: string; hint: string };
  throw new GatewayError('permission_denied', `The box refuses: ${message}`, { hint });
}

function text({ paused, windows, windowOpen }: DrainState): string {
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
