import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { Child, withSystemPath } from '../support/child.ts';
import { connectHub, createStream, streamState } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { Lifetime } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const root = join(import.meta.dirname, '../..');

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('a server keeps its ports and its store over kill and restart', async (t) => {
  const server = await startNatsServer(t, { jetstream: true, leafnodes: { user: 'box', password: 'secret' } });
  const { clientUrl, leafPort } = server;
  const connection = await connectHub(t, clientUrl);
  await createStream(connection, 'S', ['s.>']);
  connection.publish('s.a', 'x');
  await waitFor('the message in the stream', async () => (await streamState(connection, 'S')).messages === 1);
  await server.kill();
  await server.restart();
  assert.equal(server.clientUrl, clientUrl);
  assert.equal(server.leafPort, leafPort);
  const state = await waitFor('the stream after the restart', () => streamState(connection, 'S'));
  assert.equal(state.messages, 1);
  assert.equal((await server.monitor<{ leafnodes: number }>('/leafz')).leafnodes, 0);
});

test('a server ends with its scope, also when it is paused', async () => {
  const life = new Lifetime();
  const server = await startNatsServer(life);
  server.pause();
  await life.end();
  assert.equal(isAlive(server.pid), false);
});

test('a server does not outlive a test process that gets SIGKILL', async (t) => {
  const script = `
    import { Lifetime } from './test/support/scope.ts';
    import { startNatsServer } from './test/support/nats-server.ts';
    const server = await startNatsServer(new Lifetime());
    console.log('server', server.pid);
  `;
  const parent = new Child(process.execPath, ['--input-type=module-typescript', '-e', script], { cwd: root });
  t.after(() => parent.kill());
  const line = await parent.line('the pid', (text) => text.startsWith('server '), 15_000);
  const pid = Number(line.split(' ')[1]);
  assert.equal(isAlive(pid), true);
  await parent.kill();
  await waitFor('the server to be gone', () => !isAlive(pid));
});

test('a configuration that the server refuses is an error with its words', async (t) => {
  await assert.rejects(startNatsServer(t, { extra: 'no_such_field: 1' }), /unknown field "no_such_field"/);
});

test('the hub examples are valid, and none starts without its passwords', () => {
  const env = { ...withSystemPath(process.env), HUB_BOX_PASSWORD: 'p1', HUB_OPERATOR_PASSWORD: 'p2' };
  for (const name of ['hub', 'hub-1', 'hub-2', 'hub-3']) {
    const check = (environment: NodeJS.ProcessEnv) =>
      spawnSync('nats-server', ['-t', '-c', join(root, `deploy/hub/${name}.conf`)], {
        env: environment,
        encoding: 'utf8',
      });
    assert.match(check(env).stderr, /is valid/);
    const { HUB_BOX_PASSWORD: _, ...without } = env;
    assert.match(check(without).stderr, /HUB_BOX_PASSWORD/);
  }
});
