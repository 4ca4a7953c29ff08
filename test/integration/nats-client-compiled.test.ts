import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { hashPassword } from '../../src/core/password.ts';
import { startBox } from '../support/box.ts';
import { Authority } from '../support/certificates.ts';
import { startClientPort } from '../support/client-port.ts';
import { tempDir } from '../support/temp.ts';

const execute = promisify(execFile);

/*
 * Compiled clients of another making than nats.js, as Debian has them: libnats (C) and nats.go, the reference.
 */

const folder = tempDir({ after }, 'compiled');
const support = join(import.meta.dirname, '../support');

interface Client {
  readonly name: string;
  readonly build: readonly [file: string, ...args: string[]];
  readonly noResponders: string;
  readonly noReceipt: string;
  readonly spent: string;
  readonly refused: string;
}

const clients: readonly Client[] = [
  {
    name: 'libnats',
    build: ['gcc', '-O1', '-o', join(folder, 'libnats'), join(support, 'c/nats-talk.c'), '-lnats'],
    noResponders: 'No responders available for request',
    noReceipt: 'No responders available for request',
    spent: 'Maximum Messages Delivered',
    refused: 'Authentication Violation',
  },
  {
    name: 'nats.go',
    build: ['go', 'build', '-o', join(folder, 'nats.go'), join(support, 'go/nats-talk.go')],
    noResponders: 'nats: no responders available for request',
    noReceipt: 'nats: no response from stream',
    spent: 'nats: maximum messages delivered',
    refused: 'nats: Authorization Violation',
  },
];

// Debian's Go packages are sources below one folder, from before there were modules.
const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: join(folder, 'cache') };

before(async () => {
  for (const { build } of clients) {
    const [file, ...args] = build;
    await execute(file, args, { env });
  }
});

/** What each step of the program came to. */
async function talk({ name }: Client, ...args: string[]): Promise<Record<string, string>> {
  const { stdout } = await execute(join(folder, name), args, { timeout: 60_000 }).catch(
    (error) => error as { stdout: string },
  );
  const lines = stdout.trim().split('\n');
  return Object.fromEntries(lines.map((line) => [line.split(': ')[0], line.slice(line.indexOf(': ') + 2)]));
}

const OK = 'OK';

function expected({ spent, noResponders }: Client): Record<string, string> {
  return {
    connect: OK,
    subscribe: OK,
    'auto unsubscribe': OK,
    'publish with headers': OK,
    next: OK,
    header: 'v',
    'in order': '1000',
    'after the last': spent,
    responder: OK,
    'queue group': OK,
    request: OK,
    answer: 'over',
    'request to a group': OK,
    'request to nobody': noResponders,
    drain: OK,
  };
}

for (const client of clients) {
  test(`${client.name}: headers, order, requests, groups, no responders, a receipt offline, drain`, async (t) => {
    const lanes = [{ name: 'kept', subjects: ['kept.>'], stream: { name: 'KEPT' } }];
    const box = await startBox(t, { config: { lanes } });
    assert.deepEqual(await talk(client, box.natsUrl), { ...expected(client), 'js publish': OK, stream: 'KEPT 1' });
  });

  test(`${client.name} over TLS as a user with a password, and with a wrong one`, async (t) => {
    const authority = new Authority(t);
    const files = authority.issue('box', 'IP:127.0.0.1,DNS:localhost');
    const user = { name: 'c', passwordHash: await hashPassword('secret'), certificate: null };
    const { port } = await startClientPort(t, {
      users: [{ ...user, publish: ['>'], subscribe: ['>'] }],
      listener: { anonymous: false, tls: { ...files, ca: null, clientCertificates: 'none' } },
    });
    const url = (password: string) => `tls://c:${password}@127.0.0.1:${port.addresses[0]?.port}`;
    // There is no lane here, so nobody gives receipts.
    const noReceipt = { 'js publish': client.noReceipt };
    assert.deepEqual(await talk(client, url('secret'), authority.ca), { ...expected(client), ...noReceipt });
    assert.deepEqual(await talk(client, url('wrong'), authority.ca), { connect: client.refused });
    assert.equal(port.status().counters.loginsRefused, 1);
  });
}
