import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import { hashPassword } from '../core/password.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';
import { readPassword } from './password-input.ts';
import { UserFile } from './user-file.ts';

const usage = `Usage: petiole user ACTION [NAME] [OPTIONS]

  petiole user list             names, how they prove who they are, and their rules
  petiole user add NAME         adds a user; asks for a password
  petiole user passwd NAME      sets a new password
  petiole user remove NAME      removes a user

Changes the configuration file in place and keeps its comments; a running box reads it at its next start. The password
is typed twice and not shown, or it is the first line of stdin; the file holds only its scrypt hash.

  --config FILE        the file (default: ./petiole.yaml, else /etc/petiole/petiole.yaml)
  --publish FILTER     with add: may publish to these subjects; as often as needed
  --subscribe FILTER   with add: may subscribe to them
  --certificate NAME   with add: is who has a client certificate of this name; then without a password

A FILTER is a NATS subject filter: "*" is one token, a last ">" the rest; {clientid} and {username} stand for one token.

Exit codes: 0 done, 1 not done, 64 wrong arguments, 78 a mistake in the configuration.

Examples:
  petiole user add line3 --publish 'line3.>' --subscribe 'line3.cmd.>'
  petiole user add sensors --publish 'sensors.{clientid}.>' < password.txt
  petiole user add press --certificate press.plant.example --publish 'press.>'
`;

const actions = ['list', 'add', 'passwd', 'remove'] as const;
type Action = (typeof actions)[number];

export const user: Command = { name: 'user', summary: 'list, add, change and remove users', usage, run };

interface Asked {
  readonly action: Action;
  readonly name: string;
  readonly config: string | null;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly certificate: string | null;
}

async function run(args: string[]): Promise<number> {
  let asked: Asked;
  try {
    asked = parse(args);
  } catch (error) {
    complain(error);
    process.stderr.write(`\n${usage}`);
    return EXIT_USAGE;
  }
  const loaded = loadConfig({ file: asked.config, env: {}, cwd: process.cwd() });
  const { file } = loaded;
  if (file === null) {
    complain('there is no configuration file: write ./petiole.yaml first, or name one with --config');
    return 1;
  }
  try {
    if (asked.action !== 'list') return await change(file, asked);
  } catch (error) {
    complain(error);
    return 1;
  }
  if (loaded.config === null) {
    process.stderr.write(describeProblems(file, loaded.problems));
    return EXIT_CONFIG;
  }
  for (const { name, passwordHash, certificate, publish, subscribe } of loaded.config.users) {
    const proofs = [passwordHash && 'password', certificate && `certificate ${certificate}`].filter(Boolean);
    const rules = (filters: readonly string[]): string => filters.join(' ') || 'nothing';
    const line = `${name}  by ${proofs.join(' or ')}; publishes ${rules(publish)}; subscribes ${rules(subscribe)}`;
    process.stdout.write(`${line}\n`);
  }
  return 0;
}

function parse(args: string[]): Asked {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c' },
      publish: { type: 'string', multiple: true },
      subscribe: { type: 'string', multiple: true },
      certificate: { type: 'string' },
    },
  });
  const [first, name, ...rest] = positionals;
  const action = actions.find((known) => known === first);
  if (action === undefined) throw new Error(`an action is needed: one of ${actions.join(', ')}`);
  const { config = null, publish = [], subscribe = [], certificate = null } = values;
  if (rest.length > 0) throw new Error('too many arguments; a password is never one of them');
  if ((name === undefined) !== (action === 'list')) {
    throw new Error(action === 'list' ? 'list takes no NAME' : `${action} needs the NAME of a user`);
  }
  if (action !== 'add' && (publish.length > 0 || subscribe.length > 0 || certificate !== null)) {
    throw new Error('--publish, --subscribe and --certificate are for add; change them in the file');
  }
  return { action, name: name ?? '', config, publish, subscribe, certificate };
}

async function change(file: string, { action, name, publish, subscribe, certificate }: Asked): Promise<number> {
  const users = new UserFile(file);
  if (users.has(name) === (action === 'add')) {
    throw new Error(action === 'add' ? `there is a user ${name} already` : `there is no user ${name} in ${file}`);
  }
  if (action === 'remove') users.remove(name);
  else {
    const hash = action === 'add' && certificate !== null ? null : await hashPassword(await readPassword(name));
    if (action === 'add') users.add({ name, passwordHash: hash, certificate, publish, subscribe });
    else if (hash !== null) users.setPassword(name, hash);
  }
  const { isSaved, problems } = users.save();
  if (!isSaved) {
    process.stderr.write(describeProblems(file, problems));
    complain('nothing was changed');
    return EXIT_CONFIG;
  }
  process.stdout.write(`${file}: ${done[action]} ${name}; the box reads it at its next start\n`);
  if (problems.length > 0) complain(`the file has ${problems.length} other problems: see petiole check`);
  return 0;
}

const done: Readonly<Record<Action, string>> = {
  list: 'listed',
  add: 'added',
  passwd: 'new password for',
  remove: 'removed',
};

function complain(error: unknown): void {
  process.stderr.write(`petiole user: ${error instanceof Error ? error.message : error}\n`);
}
