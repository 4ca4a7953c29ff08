import { parseArgs } from 'node:util';
import { parseDuration } from '../config/units.ts';
import { pageOptions, pageUsage } from './box-page.ts';
import { carryOut } from './carry-out.ts';
import type { Command } from './command.ts';

/** What the box takes; see ConfigApply. */
const CONFIRM_S = { min: 10, max: 600 };

const usage = `petiole config show|check|diff|apply|confirm|rollback [FILE] [OPTIONS]

The configuration of a running box, and its change with commit-confirm: what is applied is in force at once and on
trial. Where the link, every listener and every input that was healthy are back in time it is kept and written to the
file of the box; else, and after a power cut, the old one returns by itself.

  show           every value in force, with where it comes from; secrets are redacted
  check FILE     what the box says of an edited copy: each problem with its line, each value that would change
  diff FILE      the difference of the file, without secrets
  apply FILE     puts the copy on trial, follows it, and says how it ended; what is left as [redacted] in the copy keeps
                 its value. Without --yes it asks before
  confirm        keeps what is on trial, also where something is not back
  rollback       takes back what is on trial

  --set          show: only what is not the default
  --text         show: the file instead, redacted: a copy to edit
  --within TIME  apply: how long the box has to be itself again, 10s to 10m (default: 1m)
  --no-wait      apply: do not follow the trial
  --yes          apply: do not ask
  --json         print JSON
${pageUsage}

Exit codes: 0 done, 1 it is refused or was taken back, 64 wrong arguments, 78 a mistake in the configuration.

Examples:
  petiole config show --set
  petiole config show --text > copy.yaml
  petiole config diff copy.yaml
  petiole config apply copy.yaml --within 2m
  petiole config rollback
`;

/** `petiole config`: reads and changes the configuration of a running box. */
export const config: Command = {
  name: 'config',
  summary: 'show and change the configuration of a running box',
  usage,
  run,
};

/** What was asked of `petiole config`. */
export type ConfigOptions = ReturnType<typeof parsed>;
type Action = (options: ConfigOptions) => Promise<number>;

/** Each with whether it takes a file. */
const actions = new Map<string, { takesFile: boolean; load: () => Promise<Action> }>([
  ['show', { takesFile: false, load: async () => (await import('./config-show.ts')).show }],
  ['check', { takesFile: true, load: async () => (await import('./config-show.ts')).check }],
  ['diff', { takesFile: true, load: async () => (await import('./config-show.ts')).diff }],
  ['apply', { takesFile: true, load: async () => (await import('./config-apply.ts')).apply }],
  ['confirm', { takesFile: false, load: async () => (await import('./config-apply.ts')).confirm }],
  ['rollback', { takesFile: false, load: async () => (await import('./config-apply.ts')).rollback }],
]);

function run(args: string[]): Promise<number> {
  const read = async () => {
    const options = parsed(args);
    const known = actions.get(options.action);
    if (known === undefined) throw new Error(`one of ${[...actions.keys()].join(', ')}`);
    if (known.takesFile !== (options.file !== '')) {
      throw new Error(`${options.action} ${known.takesFile ? 'needs a FILE: the edited copy' : 'takes no FILE'}`);
    }
    return { options, action: await known.load() };
  };
  return carryOut(config, read, ({ options, action }) => action(options));
}

function parsed(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...pageOptions,
      set: { type: 'boolean', default: false },
      text: { type: 'boolean', default: false },
      within: { type: 'string', default: '1m' },
      'no-wait': { type: 'boolean', default: false },
      yes: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const [action = '', file = '', ...rest] = positionals;
  if (rest.length > 0) throw new Error('one FILE at a time');
  const confirmS = (parseDuration(values.within) ?? 0) / 1000;
  if (confirmS < CONFIRM_S.min || confirmS > CONFIRM_S.max) throw new Error('--within takes 10s to 10m');
  return { ...values, action, file, confirmS };
}
