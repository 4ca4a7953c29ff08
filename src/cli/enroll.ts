import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { describeError, GatewayError } from '../core/errors.ts';
import { claimsOf, readCredentials } from '../nats/credentials.ts';
import { sentences } from '../ops/words.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';
import { Ask, type NewKey, newKey } from './enroll-requests.ts';
import { openHub } from './hub-session.ts';
import { putFile, takeFile } from './private-file.ts';
import { readTicket, type Ticket } from './ticket.ts';

const usage = `Usage: petiole enroll [FILE] [OPTIONS]
       petiole enroll --renew [OPTIONS]

Gets this box its credentials from the enrolment service at its hub. FILE holds a one-time ticket; without FILE it is
read from stdin. The key is made here and never leaves the box; what comes back is the hub's permission for it. Where a
run was cut off, run it again: the same key asks again.

  --renew         a new key in place of the present one, which is revoked once the new one has been seen
  --config FILE   the configuration (default: ./petiole.yaml, else /etc/petiole/petiole.yaml)
  --out FILE      where the credentials go (default: upstream.credentials, else hub.creds in gateway.data)

The hub is found where the configuration says, else where the ticket says; tls.ca and proxy are the configuration's.

Exit codes: 0 enrolled, 1 not, 64 wrong arguments, 78 the configuration is wrong.

Examples:
  petiole enroll plant1.ticket
  petiole enroll < plant1.ticket
  petiole enroll --renew
`;

/** `petiole enroll`: a one-time ticket becomes the credentials of this box. */
export const enroll: Command = { name: 'enroll', summary: 'get credentials from the hub, or renew them', usage, run };

interface Asked {
  readonly file: string | null;
  readonly config: string | null;
  readonly out: string | null;
  readonly renew: boolean;
}

async function run(args: string[]): Promise<number> {
  let asked: Asked;
  try {
    asked = parse(args);
  } catch (error) {
    process.stderr.write(`petiole enroll: ${error instanceof Error ? error.message : error}\n\n${usage}`);
    return EXIT_USAGE;
  }
  try {
    return asked.renew ? await renewKey(asked) : await enrol(asked);
  } catch (error) {
    const { message, hint } = describeError(error);
    process.stderr.write(`petiole enroll: ${sentences(message, hint)}\n`);
    return 1;
  }
}

function parse(args: string[]): Asked {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c' },
      out: { type: 'string' },
      renew: { type: 'boolean' },
    },
  });
  const [file = null, ...rest] = positionals;
  if (rest.length > 0) throw new Error('one FILE at a time');
  const { config = null, out = null, renew = false } = values;
  if (renew && file !== null) throw new Error('--renew needs no ticket');
  return { file, config, out, renew };
}

/** The configuration with `more` variables on top; null where it has problems, which are then told. */
function configWith(asked: Asked, more: NodeJS.ProcessEnv): Config | null {
  const env = { ...process.env, ...more };
  const { config, file, problems } = loadConfig({ file: asked.config, env, cwd: process.cwd() });
  if (config === null) process.stderr.write(describeProblems(file, problems));
  return config;
}

async function enrol(asked: Asked): Promise<number> {
  const ticket = readTicket(asked.file === null ? await stdin() : readFileSync(asked.file, 'utf8'));
  const plain = configWith(asked, { PETIOLE_GATEWAY_NAME: ticket.name });
  if (plain === null) return EXIT_CONFIG;
  const out = asked.out ?? plain.upstream?.credentials ?? join(plain.gateway.data, 'hub.creds');
  const folder = mkdtempSync(join(tmpdir(), 'petiole-enroll-'));
  try {
    // The ticket opens the link as a credentials file without a seed.
    const bearer = join(folder, 'ticket.creds');
    writeFileSync(bearer, credentialsText(ticket.jwt, null), { mode: 0o600 });
    const config = configWith(asked, {
      PETIOLE_GATEWAY_NAME: ticket.name,
      PETIOLE_UPSTREAM_CREDENTIALS: bearer,
      ...(plain.upstream ? {} : { PETIOLE_UPSTREAM_URLS: ticket.urls.join(',') }),
    });
    if (!config?.upstream) return EXIT_CONFIG;
    const key = await keptKey(`${out}.next`);
    const jwt = await exchange(config, (ask) => ask.first(ticket, key));
    finish(out, jwt, key);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.stdout.write(`${ticket.name} is enrolled; its credentials are in ${out}\n${toDo(plain, ticket, out)}`);
  return 0;
}

async function renewKey(asked: Asked): Promise<number> {
  const config = configWith(asked, {});
  if (config === null) return EXIT_CONFIG;
  const out = asked.out ?? config.upstream?.credentials ?? null;
  if (out === null || !config.upstream) {
    throw new GatewayError('credentials_invalid', 'this box has no credentials file to renew', {
      hint: 'set upstream.credentials, and enrol the box with a ticket first',
    });
  }
  const present = readCredentials(takeFile(out), out);
  if (present.seed === null) {
    throw new GatewayError('credentials_invalid', `${out} has no seed`, { hint: 'enrol the box with a ticket' });
  }
  const name = claimsOf(present.jwt, out).name;
  const old = await newKey(present.seed);
  const next = await keptKey(`${out}.next`);
  const jwt = await exchange(config, (ask) => ask.renew(name, old, next));
  finish(out, jwt, next);
  // With the new key: only now is the old one of no use.
  await exchange(config, (ask) => ask.confirm(name, next));
  process.stdout.write(`${name} has a new key; its credentials are in ${out}\n`);
  return 0;
}

/** A key that outlives a run which was cut off, so that the service knows who asks again. */
async function keptKey(path: string): Promise<NewKey> {
  const kept = takeFile(path);
  const key = await newKey(kept === '' ? null : kept);
  if (kept === '') putFile(path, key.seed);
  return key;
}

function finish(out: string, jwt: string, key: NewKey): void {
  if (claimsOf(jwt, 'the answer of the hub').subject !== key.publicKey) {
    throw new GatewayError('credentials_invalid', 'the service has answered for another key', {
      hint: 'somebody else answers in its place: look who may subscribe to petiole-enroll.> at the hub',
    });
  }
  putFile(out, credentialsText(jwt, key.seed));
  rmSync(`${out}.next`, { force: true });
}

async function exchange<T>(config: Config, work: (ask: Ask) => Promise<T>): Promise<T> {
  if (!config.upstream) throw new Error('no upstream');
  const session = await openHub({ ...config.upstream, prefix: '' }, config.gateway.name);
  try {
    return await work(new Ask(session.hub));
  } finally {
    await session.stop();
  }
}

function credentialsText(jwt: string, seed: string | null): string {
  const first = `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`;
  return seed === null ? first : `${first}\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
}

/** What the configuration still lacks. */
function toDo(config: Config, { name, urls }: Ticket, out: string): string {
  if (config.upstream?.credentials === out) return '';
  const found = (config.upstream?.urls ?? urls).map((url) => JSON.stringify(url)).join(', ');
  return `Put this into the configuration:\n\ngateway:\n  name: ${name}\nupstream:\n  urls: [${found}]\n  credentials: ${out}\n`;
}

/** A ticket is a kilobyte; whoever pipes in a film is told. */
const TICKET_BYTES_MAX = 16 * 1024;

async function stdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  if (process.stdin.isTTY) process.stderr.write('Ticket: ');
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > TICKET_BYTES_MAX || (chunk as Buffer).includes(0x0a)) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}
