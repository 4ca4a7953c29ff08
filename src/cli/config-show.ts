import { readFileSync } from 'node:fs';
import { GatewayError } from '../core/errors.ts';
import type { ConfigCheck, ConfigProblem, ConfigState } from '../ops/api.ts';
import { renderTable } from '../ops/terminal.ts';
import { counted, printable, sentences } from '../ops/words.ts';
import { type BoxPage, boxPage } from './box-page.ts';
import type { ConfigOptions } from './config.ts';
import { terminalOut, writeJson } from './out.ts';

/** Of a value on the screen; a list of subjects may be long. */
const VALUE_CHARACTERS_MAX = 200;

/** `petiole config show`. */
export async function show(options: ConfigOptions): Promise<number> {
  const state = await (await boxPage(options)).json<ConfigState>('/api/config');
  if (options.text) {
    process.stdout.write(state.text);
    return 0;
  }
  const values = state.values.filter(({ origin }) => !options.set || origin !== 'default');
  if (options.json) {
    writeJson({ ...state, values });
    return 0;
  }
  const column = (label: string) => ({ label, numeric: false, minor: false });
  const rows = values.map(({ path, value, origin, where }) => ({
    key: path,
    cells: [path, printable(value, VALUE_CHARACTERS_MAX), where === '' ? origin : `${origin}, ${printable(where)}`],
  }));
  process.stdout.write(
    renderTable({ columns: ['Setting', 'Value', 'From'].map(column), rows, note: '' }, terminalOut()),
  );
  const { file, readOnly, trial } = state;
  process.stdout.write(`${file === '' ? 'There is no file: these are the defaults' : `File: ${file}`}\n`);
  if (readOnly !== null)
    process.stdout.write(`Nothing can be applied: ${sentences(readOnly.message, readOnly.hint)}\n`);
  if (trial !== null)
    process.stdout.write(`On trial since ${new Date(trial.sinceMs).toISOString()}, by ${trial.by}.\n`);
  return 0;
}

/** `petiole config check FILE`. */
export async function check(options: ConfigOptions): Promise<number> {
  const found = await checked(await boxPage(options), options.file);
  if (options.json) {
    writeJson(found);
    return found.isValid ? 0 : 1;
  }
  process.stdout.write(problemLines(found.problems, options.file));
  for (const { path, before, after } of found.changes) {
    const [from, to] = [before, after].map((value) => (value === null ? '(not set)' : printable(value)));
    process.stdout.write(`${path}: ${from} → ${to}\n`);
  }
  process.stdout.write(verdict(found));
  return found.isValid ? 0 : 1;
}

/** `petiole config diff FILE`. */
export async function diff(options: ConfigOptions): Promise<number> {
  const found = await checked(await boxPage(options), options.file);
  if (options.json) writeJson({ diff: found.diff });
  else process.stdout.write(difference(found));
  return 0;
}

export function checked(page: BoxPage, file: string): Promise<ConfigCheck> {
  return page.json<ConfigCheck>('/api/config/check', { method: 'POST', body: { text: copyIn(file) } });
}

/** Throws config_invalid where it cannot be read. */
export function copyIn(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const hint = '`petiole config show --text` prints a copy to edit';
    throw new GatewayError('config_invalid', `${file} cannot be read`, { hint, cause, retriable: false });
  }
}

export function problemLines(problems: readonly ConfigProblem[], file: string): string {
  return problems
    .map(({ path, line, severity, message, hint }) => {
      const where = line === null ? file : `${file}:${line}`;
      return `${where}: ${severity === 'error' ? '' : 'warning: '}${path}: ${printable(sentences(message, hint), 500)}\n`;
    })
    .join('');
}

/** In the colours of such things on a terminal. */
export function difference({ diff: text }: ConfigCheck): string {
  if (text === '') return 'No difference.\n';
  const { colour } = terminalOut();
  const paint = (line: string): string => {
    const code = { '+': 32, '-': 31, '@': 36 }[line.charAt(0)];
    const safe = printable(line, VALUE_CHARACTERS_MAX);
    return colour && code !== undefined ? `\x1b[${code}m${safe}\x1b[0m` : safe;
  };
  return text
    .split('\n')
    .map((line) => `${paint(line)}\n`)
    .join('');
}

function verdict({ isValid, changes, problems }: ConfigCheck): string {
  if (!isValid) return `The box would not take it: ${counted(problems.length, 'problem')}.\n`;
  return changes.length === 0
    ? 'Nothing would change.\n'
    : `The box would take it: ${counted(changes.length, 'change')}.\n`;
}
