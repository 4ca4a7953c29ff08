import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { describeError, GatewayError } from '../core/errors.ts';
import type { Snapshot } from '../ops/snapshot.ts';
import { render } from '../ops/terminal.ts';
import { view } from '../ops/view.ts';
import { sentences } from '../ops/words.ts';
import type { Command } from './command.ts';
import { configuredUrl, DEFAULT_URL, parsedUrl, unreachable } from './page-url.ts';

const ANSWER_TIMEOUT_MS = 5000;
const WATCH_INTERVAL_MS = 2000;
/** Where the terminal does not know its own width. */
const CONSOLE_COLUMNS = 80;
/** A snapshot of 5,000 clients is near 2 MB: what is much longer is not one. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;
/** EX_USAGE and EX_CONFIG of sysexits.h. */
const EXIT_USAGE = 64;
const EXIT_CONFIG = 78;

const usage = `petiole status [--url URL] [--config FILE] [--watch] [--json]

Prints the state of a running box on one screen: the same as its status page.

  --url URL      where its status page is (default: status.listen of the configuration, else ${DEFAULT_URL})
  --config FILE  the configuration to read that address from
  --watch        draw it again every two seconds, until interrupted
  --json         print the answer of /status.json instead, one line a time with --watch

Exit codes: 0 the box can take data, 1 it can't or doesn't answer, 64 wrong arguments, 78 a mistake in the
configuration.

Examples:
  petiole status
  petiole status --watch
  petiole status --url http://192.0.2.7:8080 --json
`;

/** `petiole status`: what a running box says of itself, in a terminal. */
export const status: Command = { name: 'status', summary: 'show the state of a running box', usage, run };

async function run(args: string[]): Promise<number> {
  let options: Options;
  let url: URL;
  try {
    options = optionsOf(args);
  } catch (error) {
    complain(error);
    process.stderr.write(`\n${usage}`);
    return EXIT_USAGE;
  }
  try {
    url = options.url ?? (await configuredUrl(options.config));
  } catch (error) {
    complain(error);
    return error instanceof GatewayError && error.code === 'config_invalid' ? EXIT_CONFIG : 1;
  }
  if (!options.watch) return show(url, options, '');
  // Home, then erase what is below, in the same write as the screen: it doesn't flicker.
  const clear = process.stdout.isTTY && !options.json ? '\x1b[H\x1b[J' : '';
  for (;;) {
    await show(url, options, clear);
    await delay(WATCH_INTERVAL_MS);
  }
}

interface Options {
  url: URL | undefined;
  config: string | undefined;
  watch: boolean;
  json: boolean;
}

function optionsOf(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: 'string' },
      config: { type: 'string' },
      watch: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  return { ...values, url: values.url === undefined ? undefined : parsedUrl(values.url), config: values.config };
}

/** Asks once and prints once; gives the exit code. */
async function show(url: URL, options: Options, before: string): Promise<number> {
  try {
    const snapshot = await ask(url);
    process.stdout.write(before + (options.json ? json(snapshot, options.watch) : screen(snapshot, before !== '')));
    return snapshot.problems.some((problem) => problem.severity === 'failing') ? 1 : 0;
  } catch (error) {
    process.stdout.write(before);
    complain(error);
    return 1;
  }
}

/** `whole`: it is redrawn in place, so it must not scroll; what matters most stands at the top. */
function screen(snapshot: Snapshot, whole: boolean): string {
  // no-color.org: set and not empty means no colours.
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  // Piped output is for a file or grep, where a cut line would lose what it is looked for.
  // A serial console reports no size: 0.
  const columns = process.stdout.isTTY ? process.stdout.columns || CONSOLE_COLUMNS : Number.MAX_SAFE_INTEGER;
  const text = render(view(snapshot), { colour, columns });
  return whole && process.stdout.rows > 0 ? text.split('\n').slice(0, process.stdout.rows).join('\n') : text;
}

function json(snapshot: Snapshot, oneLine: boolean): string {
  const text = JSON.stringify(snapshot, null, oneLine ? 0 : 2);
  // JSON leaves these as they are, and some terminals obey them.
  return `${text.replace(/[\u007f-\u009f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

function complain(error: unknown): void {
  const { message, hint } = describeError(error);
  process.stderr.write(`${sentences(message, hint)}\n`);
}

async function ask(base: URL): Promise<Snapshot> {
  const url = new URL('status.json', base);
  let text: string;
  let ok: boolean;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS), redirect: 'error' });
    ok = response.ok;
    text = await bounded(response);
  } catch (cause) {
    throw cause instanceof GatewayError ? cause : unreachable(base, cause);
  }
  const answer = ok ? parsed(text) : null;
  if (isSnapshot(answer)) return answer;
  throw new GatewayError('protocol_violation', `What answers on ${base.origin} is not the status page of a box`, {
    hint: 'Check the port, and that the box and this command are of the same version',
    retriable: false,
  });
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) {
      throw new GatewayError('protocol_violation', `The answer of ${response.url} is longer than any status`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The border is checked as far as telling a box from something else; the box itself is of our own making. */
function isSnapshot(answer: unknown): answer is Snapshot {
  if (typeof answer !== 'object' || answer === null) return false;
  const { gateway, link, store, mqtt, lanes, ledger, problems } = answer as Record<string, unknown>;
  const objects = [gateway, link, store, mqtt].every((part) => typeof part === 'object' && part !== null);
  return objects && [lanes, ledger, problems].every((part) => Array.isArray(part));
}
