import { hasWildcard, matches } from '../core/subject.ts';
import { type Path, quote, type Report } from './problems.ts';
import type { Draft, Refused } from './validate.ts';

/** How the box signs in at the hub, and what it takes from there. */
export function checkUpstream({ upstream }: Draft, refused: Refused, report: Report): void {
  if (upstream === undefined) return;
  const at = (...path: string[]): Path => ['upstream', ...path];
  // A key whose value is wrong is written all the same.
  const has = (key: keyof typeof upstream): boolean => upstream[key] !== undefined || refused(at(key));
  const [user, password, passwordFile] = [has('user'), has('password'), has('password_file')];
  const [token, tokenFile] = [has('token'), has('token_file')];
  if (password && passwordFile) {
    report(at('password'), 'password and password_file are both given', 'keep one; the file is the safer place');
  }
  if (token && tokenFile) {
    report(at('token'), 'token and token_file are both given', 'keep one; the file is the safer place');
  }
  if (user && !password && !passwordFile) {
    report(at('user'), 'a user without a password', 'add password_file (or password)');
  }
  if (!user && (password || passwordFile)) {
    const key = password ? 'password' : 'password_file';
    report(at(key), 'a password without a user', 'add user, or use token_file for a token');
  }
  const seed = has('nkey_seed') || has('nkey_seed_file');
  if (has('nkey_seed') && has('nkey_seed_file')) {
    report(at('nkey_seed'), 'nkey_seed and nkey_seed_file are both given', 'keep one; the file is the safer place');
  }
  // The later ways of this list are what is reported, and the first one stays.
  const ways = [
    { key: 'user', name: 'a user and password', given: user || password || passwordFile },
    { key: token ? 'token' : 'token_file', name: 'a token', given: token || tokenFile },
    { key: has('nkey_seed') ? 'nkey_seed' : 'nkey_seed_file', name: 'an NKey', given: seed },
    { key: 'credentials', name: 'a credentials file', given: has('credentials') },
  ].filter(({ given }) => given);
  const [first, ...others] = ways;
  for (const { key, name } of others) {
    report(at(key), `${name} beside ${first?.name}`, 'keep one: the box is one user of the hub');
  }
  const proxy = upstream.proxy;
  if (proxy?.password !== undefined && proxy.password_file !== undefined) {
    report(
      at('proxy', 'password'),
      'password and password_file are both given',
      'keep one; the file is the safer place',
    );
  }
  if ((proxy?.password !== undefined || proxy?.password_file !== undefined) && proxy.user === undefined) {
    report(
      at('proxy', proxy.password === undefined ? 'password_file' : 'password'),
      'a password without a user',
      'add user',
    );
  }
  checkCommands(upstream.commands ?? [], report);
  const cert = upstream.tls?.cert !== undefined || refused(at('tls', 'cert'));
  const key = upstream.tls?.key !== undefined || refused(at('tls', 'key'));
  if (cert && !key) report(at('tls', 'cert'), 'a certificate without its key', 'add key: the file of its private key');
  if (key && !cert) report(at('tls', 'key'), 'a private key without its certificate', 'add cert: its certificate');
}

type CommandsDraft = NonNullable<NonNullable<Draft['upstream']>['commands']>;

function checkCommands(commands: CommandsDraft, report: Report): void {
  const consumers = new Map<string, number>();
  commands.forEach((entry, index) => {
    const at = (key: string): Path => ['upstream', 'commands', index, key];
    const { stream, filter, durable, dead_letter: deadLetter } = entry ?? {};
    if (filter !== undefined && /^[*>](?:\.|$)/.test(filter)) {
      const hint = 'name the first token: what it matches comes from the stream alone, and is not sent to the hub';
      report(at('filter'), `${quote(filter)} is wider than commands can be`, hint);
    }
    if (deadLetter !== undefined && hasWildcard(deadLetter)) {
      report(
        at('dead_letter'),
        `${quote(deadLetter)} has a wildcard`,
        'write the one subject that dead commands go to',
      );
    } else if (deadLetter !== undefined && filter !== undefined && matches(filter, deadLetter)) {
      report(
        at('dead_letter'),
        `${quote(deadLetter)} is a command itself`,
        'choose a subject that the filter does not match',
      );
    }
    const consumer = `${stream} ${durable}`;
    const first = consumers.get(consumer);
    if (first === undefined) consumers.set(consumer, index);
    else
      report(at('stream'), `its consumer is that of upstream.commands[${first}] too`, 'give each a durable of its own');
  });
}
