import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { describeError, GatewayError } from '../core/errors.ts';
import { fingerprintIn } from '../ops/certificate.ts';
import { secretsIn } from '../ops/sign-in-secrets.ts';
import type { Snapshot } from '../ops/snapshot.ts';
import { render } from '../ops/terminal.ts';
import { view } from '../ops/view.ts';
import { sentences } from '../ops/words.ts';
import { type BoxPage, boxPage, configuredBox, pageOptions, pageUsage } from './box-page.ts';
import type { Command } from './command.ts';
import { terminalOut, writeJson } from './out.ts';
import { parsedUrl } from './page-url.ts';

const WATCH_INTERVAL_MS = 2000;
/** EX_USAGE and EX_CONFIG of sysexits.h. */
const EXIT_USAGE = 64;
const EXIT_CONFIG = 78;

const usage = `petiole status [--url URL] [--config FILE] [--watch] [--json] [--secret]

Prints the state of a running box on one screen: the same as its status page.

${pageUsage}
  --watch             draw it again every two seconds, until interrupted
  --json              print the answer of /status.json instead, one line a time with --watch
  --secret            print the secrets for signing in to the page of the box on this machine (root, or its own user)

Exit codes: 0 the box can take data, 1 it can't or doesn't answer, 64 wrong arguments, 78 a mistake in the
configuration.

Examples:
  petiole status
  petiole status --watch
  petiole status --url http://192.0.2.7:8080 --json
  sudo petiole status --secret
`;

/** `petiole status`: what a running box says of itself, in a terminal. */
export const status: Command = { name: 'status', summary: 'show the state of a running box', usage, run };

async function run(args: string[]): Promise<number> {
  let options: Options;
  let page: BoxPage;
  try {
    options = optionsOf(args);
  } catch (error) {
    complain(error);
    process.stderr.write(`\n${usage}`);
    return EXIT_USAGE;
  }
  try {
    if (options.secret) return await showSecrets(options.config);
    page = await boxPage(options);
  } catch (error) {
    complain(error);
    return error instanceof GatewayError && error.code === 'config_invalid' ? EXIT_CONFIG : 1;
  }
  if (!options.watch) return show(page, options, '');
  // Home, then erase what is below, in the same write as the screen: it doesn't flicker.
  const clear = process.stdout.isTTY && !options.json ? '\x1b[H\x1b[J' : '';
  for (;;) {
    await show(page, options, clear);
    await delay(WATCH_INTERVAL_MS);
  }
}

type Options = ReturnType<typeof optionsOf>;

function optionsOf(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      ...pageOptions,
      watch: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      secret: { type: 'boolean', default: false },
    },
  });
  if (values.url !== undefined) parsedUrl(values.url);
  return values;
}

/** Asks once and prints once; gives the exit code. */
async function show(page: BoxPage, options: Options, before: string): Promise<number> {
  try {
    const snapshot = await ask(page);
    if (options.json) writeJson(snapshot, options.watch);
    else process.stdout.write(before + screen(snapshot, before !== ''));
    return snapshot.problems.some((problem) => problem.severity === 'failing') ? 1 : 0;
  } catch (error) {
    process.stdout.write(before);
    complain(error);
    return 1;
  }
}

/** `whole`: it is redrawn in place, so it must not scroll; what matters most stands at the top. */
function screen(snapshot: Snapshot, whole: boolean): string {
  const text = render(view(snapshot), terminalOut());
  return whole && process.stdout.rows > 0 ? text.split('\n').slice(0, process.stdout.rows).join('\n') : text;
}

function complain(error: unknown): void {
  const { message, hint } = describeError(error);
  process.stderr.write(`${sentences(message, hint)}\n`);
}

async function ask(page: BoxPage): Promise<Snapshot> {
  const answer = await page.json<unknown>('/status.json');
  if (isSnapshot(answer)) return answer;
  throw page.failure(200, null);
}

/** Who can read the file is who may know: root and the user of the box. */
async function showSecrets(file: string | undefined): Promise<number> {
  const { config } = configuredBox(file);
  const secrets = secretsIn(config.gateway.data);
  if (secrets === null) {
    const hint = 'Run it as root, and start the box once before';
    throw new GatewayError('permission_denied', `No secrets can be read in ${config.gateway.data}`, { hint });
  }
  const fingerprint = config.status?.tls?.kind === 'self-made' ? fingerprintIn(config.gateway.data) : '';
  const lines = [`operator  ${secrets.operator}`, `viewer    ${secrets.viewer}`];
  if (fingerprint !== '') lines.push(`The certificate of the page, SHA-256:`, fingerprint);
  if (process.stdout.isTTY) {
    // Loaded only for people: a code is of no use in a pipe.
    const { qrText } = await import('../ops/qr.ts');
    lines.push('', qrText(secrets.operator));
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

/** The border is checked as far as telling a box from something else; the box itself is of our own making. */
function isSnapshot(answer: unknown): answer is Snapshot {
  if (typeof answer !== 'object' || answer === null) return false;
  const { gateway, link, store, mqtt, lanes, ledger, problems } = answer as Record<string, unknown>;
  const objects = [gateway, link, store, mqtt].every((part) => typeof part === 'object' && part !== null);
  return objects && [lanes, ledger, problems].every((part) => Array.isArray(part));
}
