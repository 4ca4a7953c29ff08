import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import { hashPassword } from '../core/password.ts';
import { hashToken, newToken } from '../core/token.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';
import { readPassword } from './password-input.ts';
import { UserFile } from './user-file.ts';

const usage = `Usage: petiole user ACTION [NAME] [OPTIONS]

  petiole user list             names, how they prove who they are, and their rules
  petiole user add NAME         adds a user; asks for a password
  petiole user passwd NAME      sets a new password
  petiole user token NAME       makes a new token for NATS clients and prints it, this once
  petiole user remove NAME      removes a user

Changes the configuration file in place and keeps its comments; a running box reads it at its next start. The password
is typed twice and not shown, or it is the first line of stdin; the file holds only its scrypt hash.

  --config FILE        the file (default: ./petiole.yaml, else /etc/petiole/petiole.yaml)
  --publish FILTER     with add: may publish to these subjects; as often as needed
  --subscribe FILTER   with add: may subscribe to them
  --certificate NAME   with add: is who has a client certificate of this name; then without a password
  --token              with add: gets a token for NATS clients instead of a password
  --nkey KEY           with add: is who has the seed of this NKey (U…; NATS clients); then without a password

A FILTER is a NATS subject filter: "*" is one token, a last ">" the rest; {clientid} and {username} stand for one token.

Exit codes: 0 done, 1 not done, 64 wrong arguments, 78 a mistake in the configuration.

Examples:
  petiole user add line3 --publish 'line3.>' --subscribe 'line3.cmd.>'
  petiole user add sensors --publish 'sensors.{clientid}.>' < password.txt
  petiole user add flow --token --publish 'flow.>' --subscribe '_INBOX.>'
  petiole user add press --certificate press.plant.example --publish 'press.>'
`;

const actions = ['list', 'add', 'passwd', 'token', 'remove'] as const;
type Action = (typeof actions)[number];

export const user: Command = { name: 'user', summary: 'list, add, change and remove users', usage, run };

interface Asked {
  readonly action: Action;
  readonly name: string;
  readonly config: string | null;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly certificate: string | null;
  readonly nkey: string | null;
  readonly token: boolean;
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
  for (const { name, passwordHash, tokenHash, nkey, certificate, publish, subscribe } of loaded.config.users) {
    const proofs = [
      passwordHash && 'password',
      tokenHash && 'token',
      nkey && `NKey ${nkey}`,
      certificate && `certificate ${certificate}`,
    ].filter(Boolean);
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
      nkey: { type: 'string' },
      token: { type: 'boolean' },
    },
  });
  const [first, name, ...rest] = positionals;
  const action = actions.find((known) => known === first);
  if (action === undefined) throw new Error(`an action is needed: one of ${actions.join(', ')}`);
  const { config = null, publish = [], subscribe = [], certificate = null, nkey = null, token = false } = values;
  if (rest.length > 0) throw new Error('too many arguments; a password is never one of them');
  if ((name === undefined) !== (action === 'list')) {
    throw new Error(action === 'list' ? 'list takes no NAME' : `${action} needs the NAME of a user`);
  }
  if (
    action !== 'add' &&
    (publish.length > 0 || subscribe.length > 0 || certificate !== null || nkey !== null || token)
  ) {
    throw new Error('all options but --config are for add; change the rest in the file');
  }
  return { action, name: name ?? '', config, publish, subscribe, certificate, nkey, token };
}

async function change(file: string, asked: Asked): Promise<number> {
  const { action, name, publish, subscribe, certificate, nkey } = asked;
  const users = new UserFile(file);
  if (users.has(name) === (action === 'add')) {
    throw new Error(action === 'add' ? `there is a user ${name} already` : `there is no user ${name} in ${file}`);
  }
  const token = action === 'token' || asked.token ? newToken() : null;
  const tokenHash = token === null ? null : hashToken(token);
  if (action === 'remove') users.remove(name);
  else if (action === 'token') users.set(name, 'token_hash', tokenHash ?? '');
  else {
    const hasOther = certificate !== null || nkey !== null || token !== null;
    const passwordHash = action === 'add' && hasOther ? null : await hashPassword(await readPassword(name));
    if (action === 'add') users.add({ name, passwordHash, tokenHash, nkey, certificate, publish, subscribe });
    else if (passwordHash !== null) users.set(name, 'password_hash', passwordHash);
  }
  const { isSaved, problems } = users.save();
  if (!isSaved) {
    process.stderr.write(describeProblems(file, problems));
    complain('nothing was changed');
    return EXIT_CONFIG;
  }
  process.stdout.write(`${file}: ${done[action]} ${name}; the box reads it at its next start\n`);
  if (token !== null) process.stdout.write(`token: ${token}\n`);
  if (problems.length > 0) complain(`the file has ${problems.length} other problems: see petiole check`);
  return 0;
}

const done: Readonly<Record<Action, string>> = {
  list: 'listed',
  add: 'added',
  passwd: 'new password for',
  token: 'new token for',
  remove: 'removed',
};

function complain(error: unknown): void {
  process.stderr.write(`petiole user: ${error instanceof Error ? error.message : error}\n`);
}
