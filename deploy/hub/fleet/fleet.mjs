#!/usr/bin/env node
// Names, tickets and credentials of a fleet: `node deploy/hub/fleet/fleet.mjs help`
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fmtCreds } from '@nats-io/jwt';
import { createUser } from '@nats-io/nkeys';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { Authority } from './authority.mjs';
import { Registry, revoke } from './registry.mjs';
import { serve } from './service.mjs';

const usage = `Usage: node deploy/hub/fleet/fleet.mjs ACTION [OPTIONS]

  init             makes the keys of a fleet, the hub's configuration, and credentials of its service and its operator
  ticket NAME      prints a one-time ticket, with which the box NAME gets its credentials (petiole enroll)
  issue COUNT      tickets for COUNT boxes, one file each; --credentials: credentials with their keys instead
  serve            answers the boxes: run it beside the hub
  revoke NAME      its keys are no longer welcome, at once; its ticket is void
  list             the boxes, and tickets that are open

  --dir FOLDER        the fleet's folder (default: data/fleet); only its owner may read it
  --hubs COUNT        with init: how many nats-servers the cluster has (default: 1)
  --resolver-dir DIR  with init: the hub's folder for what it is told of accounts (default: DIR/jwt-1 and so on)
  --hub URL           where the service and revoke find the hub's client port (default: nats://127.0.0.1:4222)
  --leaf URL          goes into tickets: where the boxes find the hub; as often as needed (default: nats://127.0.0.1:7422)
  --prefix TEXT       with issue: names are TEXT-0001 and so on (default: box)
  --out FOLDER        with issue: where the files go (default: DIR/issued)
  --credentials       with issue: keys are made here. Better: tickets, and no key ever leaves its box
  --publish FILTER    what the box may publish; {name} is its name; as often as needed (default: {name}.>)
  --subscribe FILTER  what it may hear (default: {name}.cmd.>)
  --stream NAME       a stream that its lanes go to; as often as needed (default: TELEMETRY)
  --days COUNT        how long a ticket, or with serve and issue credentials, is good (default: 7; credentials: for ever)
`;

const DAY_S = 86_400;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: 'data/fleet' },
    hubs: { type: 'string', default: '1' },
    'resolver-dir': { type: 'string' },
    hub: { type: 'string', default: 'nats://127.0.0.1:4222' },
    leaf: { type: 'string', multiple: true, default: ['nats://127.0.0.1:7422'] },
    prefix: { type: 'string', default: 'box' },
    out: { type: 'string' },
    credentials: { type: 'boolean', default: false },
    publish: { type: 'string', multiple: true, default: ['{name}.>'] },
    subscribe: { type: 'string', multiple: true, default: ['{name}.cmd.>'] },
    stream: { type: 'string', multiple: true, default: ['TELEMETRY'] },
    days: { type: 'string' },
  },
});
const [action = 'help', argument = ''] = positionals;
const { dir } = values;
const registry = new Registry(dir);
const lifeS = values.days === undefined ? undefined : Math.round(Number(values.days) * DAY_S);

const actions = {
  init: async () => {
    const authority = Authority.create(dir);
    for (let n = 1; n <= Number(values.hubs); n++) {
      const config = await authority.serverConfig(values['resolver-dir'] ?? join(dir, `jwt-${n}`), {});
      writeFileSync(join(dir, `auth-${n}.conf`), config, { mode: 0o600 });
    }
    for (const role of ['system', 'service', 'operator']) {
      writeFileSync(join(dir, `${role}.creds`), await authority.credentials(role), { mode: 0o600 });
    }
    console.log(`${dir}: keys, auth-1.conf to auth-${values.hubs}.conf for the hub, operator.creds for you`);
  },
  ticket: async () => console.log(await ticket(new Authority(dir), argument)),
  issue: async () => {
    const authority = new Authority(dir);
    const out = values.out ?? join(dir, 'issued');
    mkdirSync(out, { recursive: true, mode: 0o700 });
    for (let n = 1; n <= Number(argument); n++) {
      const name = `${values.prefix}-${String(n).padStart(4, '0')}`;
      const [ending, text] = values.credentials
        ? ['creds', await credentials(authority, name)]
        : ['ticket', `${await ticket(authority, name)}\n`];
      writeFileSync(join(out, `${name}.${ending}`), text, { mode: 0o600 });
    }
    console.log(`${out}: ${argument} ${values.credentials ? 'credentials files' : 'tickets'}`);
  },
  serve: async () => {
    const authority = new Authority(dir);
    const hub = await connect(as('service'));
    console.log(`serving ${hub.getServer()}`);
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void hub.drain());
    await serve({ hub, authority, registry, push: () => push(authority), lifeS });
  },
  revoke: async () => {
    if (!(await registry.update((state) => revoke(state, argument)))) throw new Error(`there is no box ${argument}`);
    await push(new Authority(dir));
    console.log(`${argument} is revoked`);
  },
  list: async () => {
    const { boxes, tickets } = registry.read();
    for (const [name, { key, publish }] of Object.entries(boxes)) console.log(`${name}  ${key}  ${publish.join(' ')}`);
    for (const [name, { key, expiresAtMs }] of Object.entries(tickets)) {
      if (key === null) console.log(`${name}  ticket until ${new Date(expiresAtMs).toISOString()}`);
    }
  },
};

function rights(name) {
  const named = (filters) => filters.map((filter) => filter.replaceAll('{name}', name));
  return { publish: named(values.publish), subscribe: named(values.subscribe), streams: values.stream };
}

/** One line that holds all a box needs to ask for its credentials. */
async function ticket(authority, name) {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw new Error(`"${name}" is no name: letters, digits, "-" and "_"`);
  const ticketS = lifeS ?? 7 * DAY_S;
  const code = await registry.addTicket(name, rights(name), ticketS);
  const jwt = await authority.ticketJwt({ name, expiresInS: ticketS });
  const text = JSON.stringify({ name, code, urls: values.leaf, jwt });
  return `petiole-ticket.${Buffer.from(text).toString('base64url')}`;
}

async function credentials(authority, name) {
  const user = createUser();
  const key = user.getPublicKey();
  await registry.addBox(name, key, rights(name));
  const jwt = await authority.boxJwt({ ...rights(name), name, key, expiresInS: lifeS });
  return Buffer.from(fmtCreds(jwt, user));
}

const as = (role) => ({
  servers: values.hub,
  maxReconnectAttempts: -1,
  authenticator: credsAuthenticator(readFileSync(join(dir, `${role}.creds`))),
});

/** The hubs hand it on among themselves, and cut whoever is revoked. */
async function push(authority) {
  const hub = await connect(as('system'));
  try {
    const jwt = await authority.accountJwt(registry.read().revocations);
    const answer = (await hub.request('$SYS.REQ.CLAIMS.UPDATE', jwt, { timeout: 10_000 })).json();
    if (answer.error) throw new Error(`the hub does not take the account: ${answer.error.description}`);
  } finally {
    await hub.close();
  }
}

if (!Object.hasOwn(actions, action)) {
  console.log(usage);
  process.exitCode = action === 'help' ? 0 : 64;
} else if (action !== 'init' && !Authority.exists(dir)) {
  console.error(`there is no fleet in ${dir}: run init first`);
  process.exitCode = 1;
} else {
  try {
    await actions[action]();
  } catch (error) {
    console.error(
      `fleet ${action}: ${error.code === 'EEXIST' && existsSync(dir) ? `${dir} holds a fleet already` : error.message}`,
    );
    process.exitCode = 1;
  }
}
