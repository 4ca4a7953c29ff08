import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '@nats-io/transport-node';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { type Box, DIST, startBox } from '../support/box.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { Terminal } from '../support/terminal.ts';
import { waitFor } from '../support/wait-for.ts';

const PETIOLE = [process.execPath, join(DIST, 'main.js')];
const FILE = `# the plant's box
mqtt:
  connections_max: 20 # enough
`;

/** A folder with a petiole.yaml. */
function folderOf(scope: Scope, text = FILE): { cwd: string; file: string } {
  const cwd = tempDir(scope, 'users');
  const file = join(cwd, 'petiole.yaml');
  writeFileSync(file, text, { mode: 0o640 });
  return { cwd, file };
}

function run(cwd: string, input: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const [node = '', main = ''] = PETIOLE;
  return spawnSync(node, [main, 'user', ...args], { cwd, input, encoding: 'utf8' });
}

test('at a terminal the password is typed twice and not shown', async (t) => {
  const { cwd, file } = folderOf(t);
  const terminal = new Terminal(t, [...PETIOLE, 'user', 'add', 'line3', '--publish', 'line3.>'], cwd);
  // Ctrl-U takes the line away, backspace a character.
  await terminal.answer('Password of line3: ', 'wrong\x15hunter3\x7f2\r');
  await terminal.answer('Once more: ', 'hunter2\r');
  assert.deepEqual(await terminal.exited, { code: 0, signal: null });
  assert.match(terminal.screen, /added line3; the box reads it at its next start/);
  assert.doesNotMatch(terminal.screen, /hunter|wrong/);
  const text = readFileSync(file, 'utf8');
  assert.ok(text.startsWith(FILE), 'what stood there stays, with its comments');
  assert.match(text, /password_hash: .?\$scrypt\$/);
  assert.doesNotMatch(text, /hunter2/);
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.match(run(cwd, '', 'list').stdout, /^line3 {2}by password; publishes line3\.>; subscribes nothing\n$/);
});

test('two passwords that differ, an empty one and Ctrl-C change nothing', async (t) => {
  const { cwd, file } = folderOf(t);
  const cases: [first: string, second: string | null, said: RegExp][] = [
    ['one\r', 'two\r', /the two are not the same/],
    ['\r', null, /the password is empty/],
    ['half\x03', null, /given up/],
    ['x\r', '\x04', /given up/],
  ];
  for (const [first, second, said] of cases) {
    const terminal = new Terminal(t, [...PETIOLE, 'user', 'add', 'line3'], cwd);
    await terminal.answer('Password of line3: ', first);
    if (second !== null) await terminal.answer('Once more: ', second);
    assert.equal((await terminal.exited).code, 1, terminal.screen);
    assert.match(terminal.screen, said);
  }
  assert.equal(readFileSync(file, 'utf8'), FILE);
});

test('mistakes are named, with their exit code, and change nothing', (t) => {
  const { cwd, file } = folderOf(t);
  assert.equal(run(cwd, 'secret\n', 'add', 'line3').status, 0);
  const before = readFileSync(file, 'utf8');
  const cases: [args: string[], status: number, said: RegExp][] = [
    [['add', 'line3'], 1, /there is a user line3 already/],
    [['passwd', 'line4'], 1, /there is no user line4/],
    [['remove', 'line4'], 1, /there is no user line4/],
    [['add', 'line4', '--publish', 'a..b'], 78, /nothing was changed/],
    [['add', 'line4', '--publish', '{who}.x'], 78, /nothing was changed/],
    [['add'], 64, /add needs the NAME/],
    [['list', 'x'], 64, /list takes no NAME/],
    [['add', 'line4', 'secret'], 64, /a password is never one of them/],
    [['passwd', 'line3', '--publish', 'x'], 64, /only|but --config are for add/],
    [['rename', 'x'], 64, /an action is needed/],
    [['list', '--config', 'nowhere.yaml'], 78, /nowhere\.yaml: the configuration file does not exist/],
  ];
  for (const [args, status, said] of cases) {
    const { status: seen, stderr } = run(cwd, 'secret\n', ...args);
    assert.equal(seen, status, `${args}: ${stderr}`);
    assert.match(stderr, said);
  }
  assert.match(run(cwd, 'a\u0007b\n', 'passwd', 'line3').stderr, /control characters/);
  assert.match(run(cwd, `${'x'.repeat(5_000)}\n`, 'passwd', 'line3').stderr, /longer than/);
  assert.equal(readFileSync(file, 'utf8'), before);
});

test('who was added comes in at both ports, a new password replaces the old one, and who was removed stays out', async (t) => {
  const box = await startBox(t);
  const user = (input: string, ...args: string[]): void => {
    const { status, stderr } = run(tempDir(t, 'elsewhere'), input, ...args, '--config', box.configFile);
    assert.equal(status, 0, stderr);
  };
  const rules = ['--publish', 'dev.{clientid}.>', '--publish', 'by.{username}', '--subscribe', 'dev.{clientid}.>'];
  user('first\n', 'add', 'fleet', ...rules, '--subscribe', 'by.{username}');
  user('other\n', 'add', 'reader', '--subscribe', '>');
  user('second\r\n', 'passwd', 'fleet');
  user('gone\n', 'add', 'gone');
  user('', 'remove', 'gone');
  await box.restart();

  // Publish, subscribe, will and delivery, each within the placeholders.
  const reader = await connect({ servers: box.natsUrl, user: 'reader', pass: 'other', reconnect: false });
  atEnd(t, () => reader.close());
  const heard: string[] = [];
  reader.subscribe('>', { callback: (_, { subject, data }) => void heard.push(`${subject} ${Buffer.from(data)}`) });
  await reader.flush();
  const own = { username: 'fleet', password: 'second', clientId: 'd1' };
  const client = await device(t, box, {
    ...own,
    will: { topic: 'dev/d1/state', payload: Buffer.from('gone'), qos: 1, retain: false },
  });
  await client.publishAsync('dev/d1/temp', '1', { qos: 1 });
  await client.publishAsync('by/fleet', '2', { qos: 1 });
  await assert.rejects(client.publishAsync('dev/d2/temp', '3', { qos: 1 }), /Not authorized/);
  await assert.rejects(client.publishAsync('by/reader', '4', { qos: 1 }), /Not authorized/);
  await client.subscribeAsync('dev/d1/#');
  await assert.rejects(client.subscribeAsync('dev/+/temp'), /Not authorized|Subscribe error/);
  const bad = {
    ...own,
    clientId: 'd2',
    will: { topic: 'dev/d1/state', payload: Buffer.from('x'), qos: 1 as const, retain: false },
  };
  await assert.rejects(device(t, box, bad), /Not authorized/);
  // A client identifier is a token of a subject, never a wildcard.
  const star = await device(t, box, { ...own, clientId: '*' });
  await assert.rejects(star.subscribeAsync('dev/+/#'), /Not authorized|Subscribe error/);
  client.stream.destroy();
  await waitFor('the will', () => heard.includes('dev.d1.state gone'));
  assert.deepEqual(
    heard.filter((line) => !line.startsWith('petiole.')),
    ['dev.d1.temp 1', 'by.fleet 2', 'dev.d1.state gone'],
  );

  const program = await connect({ servers: box.natsUrl, user: 'fleet', pass: 'second', reconnect: false });
  atEnd(t, () => program.close());
  const denied: string[] = [];
  void (async () => {
    for await (const status of program.status()) if (status.type === 'error') denied.push(`${status.error}`);
  })();
  program.publish('by.fleet', '5');
  program.publish('by.reader', '6');
  await waitFor('the publish', () => heard.includes('by.fleet 5'));
  await waitFor('the refusal', () => denied.some((error) => /by\.reader/.test(error)));
  assert.equal(heard.includes('by.reader 6'), false);
  // Last, because each failure makes the next login of this address wait.
  await assert.rejects(device(t, box, { username: 'fleet', password: 'first' }), /bad user name or password/i);
  await assert.rejects(
    connect({ servers: box.natsUrl, user: 'gone', pass: 'gone', reconnect: false }),
    /authorization/i,
  );
});

async function device(scope: Scope, box: Box, options: IClientOptions): Promise<MqttClient> {
  const client = await mqtt.connectAsync(box.mqttUrl, { protocolVersion: 5, reconnectPeriod: 0, ...options });
  atEnd(scope, () => client.endAsync(true));
  return client;
}
