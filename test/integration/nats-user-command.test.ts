import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createUser } from '@nats-io/nkeys';
import { connect, nkeyAuthenticator, tokenAuthenticator } from '@nats-io/transport-node';
import { DIST, startBox } from '../support/box.ts';
import { atEnd } from '../support/scope.ts';

test('petiole user: a token that is shown once and an NKey let programs in; a new token replaces the old one', async (t) => {
  const box = await startBox(t);
  const user = (...args: string[]): string =>
    execFileSync(process.execPath, [join(DIST, 'main.js'), 'user', ...args, '--config', box.configFile], {
      encoding: 'utf8',
    });
  const key = createUser();
  const old = /token: (\S+)/.exec(user('add', 'flow', '--token', '--publish', 'flow.>'))?.[1] ?? '';
  user('add', 'press', '--nkey', key.getPublicKey(), '--publish', 'press.>', '--subscribe', 'press.>');
  const token = /token: (\S+)/.exec(user('token', 'flow'))?.[1] ?? '';
  assert.match(token, /^[\w-]{32}$/);
  assert.notEqual(token, old);
  assert.equal(readFileSync(box.configFile, 'utf8').includes(token), false, 'the file has its hash only');
  assert.match(user('list'), /flow {2}by token; publishes flow\.>.*\npress {2}by NKey U/);
  await box.restart();
  const client = async (authenticator: ReturnType<typeof tokenAuthenticator>) => {
    const connection = await connect({ servers: box.natsUrl, reconnect: false, authenticator });
    atEnd(t, () => connection.close());
    return connection;
  };
  await client(tokenAuthenticator(token));
  await client(nkeyAuthenticator(key.getSeed()));
  await assert.rejects(client(tokenAuthenticator(old)), /authorization violation/i);
  const { nats } = await box.status();
  assert.deepEqual(nats.clients.map(({ user }: { user: string }) => user).sort(), ['flow', 'press']);
  assert.equal(nats.counters.loginsRefused, 1);
});
