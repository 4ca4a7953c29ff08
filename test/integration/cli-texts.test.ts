import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DIST } from '../support/box.ts';
import { tempDir } from '../support/temp.ts';

function petiole(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('node', [join(DIST, 'main.js'), ...args], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

test('bash completes commands and their options', (t) => {
  const file = join(tempDir(t, 'completion'), 'petiole.bash');
  writeFileSync(file, petiole('completion', 'bash'));
  const complete = (...words: string[]) => {
    const script = `. ${file}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _petiole; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: tempDir(t, 'empty') })
      .stdout.trim()
      .split('\n');
  };
  assert.deepEqual(complete('petiole', 'doc'), ['doctor']);
  assert.deepEqual(complete('petiole', 'status', '--w'), ['--watch']);
  assert.deepEqual(complete('petiole', 'nothing', '--w'), ['']);
});

test('the scripts for zsh and fish name every command of the help', () => {
  const names = [...petiole('--help').matchAll(/^ {2}(\w+) +\S/gm)].map(([, name = '']) => name);
  assert.ok(names.includes('doctor'));
  for (const shell of ['zsh', 'fish']) {
    const script = petiole('completion', shell);
    for (const name of names) assert.match(script, new RegExp(`\\b${name}\\b`), `${shell} ${name}`);
  }
});

test('the manual page has every command, and no line that roff would take for its own', () => {
  const page = petiole('manual');
  for (const name of ['run', 'doctor', 'tail']) assert.match(page, new RegExp(`^\\.SS petiole ${name}$`, 'm'));
  for (const line of page.split('\n')) {
    if (line.startsWith('.') || line.startsWith("'")) assert.match(line, /^\.(TH|SH|SS|PP|TP|B|I|nf|fi)\b/);
  }
});
