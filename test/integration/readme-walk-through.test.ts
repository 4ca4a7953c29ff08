import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { atEnd } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { makeClone, portSubstitution, stepsOf, Terminal } from './readme-walk-through.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

test('the walk-through of the README works as typed: every message is in the stream, once', async (t) => {
  const substitute = await portSubstitution();
  const folder = tempDir(t, 'walk');
  makeClone(root, folder, substitute);
  const steps = stepsOf(substitute(readme));
  assert.ok(steps.some(({ commands }) => commands.includes('mosquitto_pub')));
  const terminals = new Map<string, Terminal>();
  for (const step of steps) {
    let terminal = terminals.get(step.terminal);
    if (terminal === undefined) {
      terminal = new Terminal(t, folder);
      terminals.set(step.terminal, terminal);
      await terminal.start();
    }
    await terminal.run(step);
  }
});

test('a wrong command, a wrong answer and an unmarked block are noticed', async (t) => {
  const terminal = new Terminal(t, tempDir(t, 'walk'));
  await terminal.start();
  const step = { terminal: '1', commands: 'true\n', until: '', says: '', again: false, press: false };
  await terminal.run({ ...step, commands: 'echo 1 2 |\nwc -w\n', says: '2' });
  await assert.rejects(terminal.run({ ...step, commands: 'cat no-such-file\ntrue\n' }), /failed: cat no-such-file/);
  await assert.rejects(terminal.run({ ...step, says: 'yes' }), /wanted: "yes"/);
  const block = '```sh\ntrue\n```\n';
  const section = (text: string) => `## Five minutes\n\n${text}\n## Next\n`;
  assert.equal(stepsOf(section(`<!-- walk: terminal 1 -->\n${block}`)).length, 1);
  assert.throws(() => stepsOf(section(block)), /1 shell blocks in the walk-through, 0 of them marked/);
});

test('the NATS program of the README gets its PubAck from a box without a hub', async (t) => {
  const lanes = [{ name: 'telemetry', subjects: ['line3.>'] }];
  const box = await startBox(t, { config: { lanes } });
  const program = /^<!-- run: a program on the box -->\n```js\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? assert.fail();
  const folder = tempDir(t, 'program');
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const file = join(folder, 'program.mjs');
  writeFileSync(file, program.replace('127.0.0.1:4222', `127.0.0.1:${box.natsPort}`));
  const child = new Child(process.execPath, [file]);
  atEnd(t, async () => void (await child.kill()));
  await child.line('the PubAck', (line) => line === 'telemetry 1', 30_000);
});
