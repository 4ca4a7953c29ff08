import { createInterface } from 'node:readline/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';
import type { ConfigState, ConfigTrial } from '../ops/api.ts';
import { printable, span } from '../ops/words.ts';
import { type BoxPage, boxPage } from './box-page.ts';
import type { ConfigOptions } from './config.ts';
import { checked, copyIn, difference, problemLines } from './config-show.ts';
import { writeJson } from './out.ts';

const LOOK_MS = 500;
/** After the end of a trial the old box starts again; a slow card takes its time. */
const GRACE_MS = 60_000;

/** `petiole config apply FILE`: shows what will change, asks, and follows the trial. */
export async function apply(options: ConfigOptions): Promise<number> {
  const page = await boxPage(options);
  const { revision } = await page.json<ConfigState>('/api/config');
  const found = await checked(page, options.file);
  if (!found.isValid) {
    process.stderr.write(problemLines(found.problems, options.file));
    throw refused('The box does not take it', 'Mend what stands above');
  }
  if (found.diff === '') {
    process.stdout.write('No difference: nothing is applied.\n');
    return 0;
  }
  if (!options.json) process.stdout.write(difference(found));
  if (!options.yes && !(await isWanted())) {
    process.stdout.write('Nothing is applied.\n');
    return 1;
  }
  const body = { text: copyIn(options.file), revision, confirmS: options.confirmS };
  const trial = await page.json<ConfigTrial>('/api/config/apply', { method: 'POST', body });
  if (options['no-wait']) return told(trial, options);
  if (!options.json) process.stdout.write(`On trial for ${span(options.confirmS)}.\n`);
  return told(await followed(page, trial), options);
}

/** `petiole config confirm`. */
export async function confirm(options: ConfigOptions): Promise<number> {
  return ended(options, 'keep');
}

/** `petiole config rollback`: taken back is what was asked for here. */
export async function rollback(options: ConfigOptions): Promise<number> {
  await ended(options, 'revert');
  return 0;
}

async function ended(options: ConfigOptions, action: 'keep' | 'revert'): Promise<number> {
  const page = await boxPage(options);
  const trial = await page.json<ConfigTrial>(`/api/config/${action}`, { method: 'POST', body: {} });
  return told(await followed(page, trial), options);
}

async function isWanted(): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw refused('Nobody is here to be asked', 'Say --yes to apply it without being asked');
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(?:es)?$/i.test((await terminal.question('Apply this on trial? [y/N] ')).trim());
  } finally {
    terminal.close();
  }
}

/** Until it has ended. The box is away for a moment meanwhile, and its page may come back elsewhere. */
async function followed(page: BoxPage, trial: ConfigTrial): Promise<ConfigTrial> {
  const deadline = performance.now() + (trial.untilMs - trial.sinceMs) + GRACE_MS;
  let shown = '';
  for (;;) {
    await delay(LOOK_MS);
    const state = await page.json<ConfigState>('/api/config').catch((error) => {
      if (performance.now() >= deadline) throw error;
      return null;
    });
    if (state === null) continue;
    const { trial: current, last } = state;
    if (last?.id === trial.id) {
      clear();
      return last;
    }
    if (current?.id !== trial.id)
      throw refused('The trial is over, and the box does not know how it ended', 'See `petiole config show`');
    const missing = current.missing.length === 0 ? '' : `, not back yet: ${printable(current.missing.join(', '), 200)}`;
    const text = `${current.state}${missing}`;
    if (process.stderr.isTTY && text !== shown) process.stderr.write(`\r${text}\x1b[K`);
    shown = text;
  }
}

function clear(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function told(trial: ConfigTrial, { json }: ConfigOptions): number {
  if (json) writeJson(trial);
  else process.stdout.write(`${sentence(trial)}\n`);
  return trial.state === 'reverted' ? 1 : 0;
}

function sentence({ state, reason, untilMs }: ConfigTrial): string {
  if (state === 'kept') return 'It is kept, and written to the file.';
  if (state === 'reverted') return `The old configuration is back: ${printable(reason, 500)}.`;
  return `On trial until ${new Date(untilMs).toISOString()}: \`petiole config confirm\` keeps it, \`rollback\` takes it back.`;
}

function refused(message: string, hint: string): GatewayError {
  return new GatewayError('permission_denied', message, { hint, retriable: false });
}
