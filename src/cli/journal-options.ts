import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import { readPassword } from './password-input.ts';

/** What the `petiole journal` commands are given. */
export interface JournalOptions {
  action: string;
  /** What stands behind the action: a bundle. */
  file: string | undefined;
  lane: string | undefined;
  through: string | undefined;
  format: string;
  seal: boolean;
  passphraseFile: string | undefined;
  move: boolean;
  yes: boolean;
  json: boolean;
  hub: string | undefined;
  data: string | undefined;
  config: string | undefined;
}

/** Throws an Error in the words of its reader. */
export function journalOptionsOf(args: string[]): JournalOptions {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      lane: { type: 'string' },
      through: { type: 'string' },
      format: { type: 'string', default: 'ndjson' },
      seal: { type: 'boolean', default: false },
      'passphrase-file': { type: 'string' },
      move: { type: 'boolean', default: false },
      yes: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      hub: { type: 'string' },
      data: { type: 'string' },
      config: { type: 'string' },
    },
  });
  const [action = '', file, ...rest] = positionals;
  if (rest.length > 0) throw new Error(`one file at a time: what is ${rest[0]}?`);
  if (values.format !== 'ndjson' && values.format !== 'sqlite') throw new Error('--format is ndjson or sqlite');
  const { lane, through, format, seal, move, yes, json, hub, data, config } = values;
  const passphraseFile = values['passphrase-file'];
  if (format === 'sqlite' && (seal || passphraseFile)) throw new Error('an SQLite bundle can’t be sealed: use ndjson');
  return { action, file, lane, through, format, seal, passphraseFile, move, yes, json, hub, data, config };
}

/** The configuration of the box; `hub` replaces its hubs. Throws config_invalid with every problem in it. */
export function configOf({ config: file, hub }: JournalOptions): Config {
  const env = hub === undefined ? process.env : { ...process.env, PETIOLE_UPSTREAM_URLS: hub };
  const loaded = loadConfig({ file: file ?? null, env, cwd: process.cwd() });
  if (loaded.config) return loaded.config;
  const text = describeProblems(loaded.file, loaded.problems).trimEnd();
  throw new GatewayError('config_invalid', text, { retriable: false });
}

export function folderOf(options: JournalOptions): string {
  return options.data ?? configOf(options).gateway.data;
}

/** From the file, else from the terminal or stdin; never from the arguments, which every user of the machine can read. */
export async function passphraseOf({ passphraseFile }: JournalOptions): Promise<string> {
  if (passphraseFile === undefined) return readPassword('the bundle');
  const [line = ''] = readFileSync(passphraseFile, 'utf8').split(/\r?\n/, 1);
  if (line === '') throw new GatewayError('config_invalid', `${passphraseFile} is empty`, { retriable: false });
  return line;
}
