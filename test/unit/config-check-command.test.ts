import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../support/temp.ts';

const fixture = join(import.meta.dirname, '../fixtures/config/many-mistakes.yaml');
const command = new URL('../../src/cli/check.ts', import.meta.url).href;
const script = `import { check } from ${JSON.stringify(command)}; process.exitCode = await check.run(process.argv.slice(1));`;

function run(args: string[], cwd = '/', env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--no-warnings', '-e', script, '--', ...args],
    { cwd, env, encoding: 'utf8', timeout: 20_000 },
  );
  return { status, stdout, stderr };
}

test('check prints every problem and exits 78', () => {
  const { status, stdout, stderr } = run([fixture]);
  assert.equal(status, 78);
  assert.equal(stdout, '');
  assert.match(stderr, /many-mistakes\.yaml:2:3: gateway\.nmae: .*\n {4}cure: did you mean name\?\n/);
  assert.match(stderr, /\n26 problems\n$/);
});

test('check --json gives the problems, or the configuration without its secrets', (t) => {
  const bad = run([fixture, '--json']);
  assert.equal(bad.status, 78);
  const report = JSON.parse(bad.stdout);
  assert.equal(report.config, null);
  assert.equal(report.problems.length, 26);
  assert.deepEqual(Object.keys(report.problems[0]), ['path', 'line', 'column', 'variable', 'message', 'hint']);

  const cwd = tempDir(t, 'check');
  writeFileSync(join(cwd, 'petiole.yaml'), 'upstream: { urls: [tls://hub], token: hunter2 }\n');
  const good = run(['--json'], cwd);
  assert.equal(good.status, 0);
  assert.equal(JSON.parse(good.stdout).config.upstream.token, '[redacted]');
  assert.doesNotMatch(good.stdout, /hunter2/);
});

test('check says what the box would do', (t) => {
  const cwd = tempDir(t, 'check');
  writeFileSync(
    join(cwd, 'petiole.yaml'),
    'gateway: { name: plant1 }\nlanes: [{ name: a, subjects: [a.>], max_age: 30d, full: refuse, stream: { name: S, own: true } }]\n',
  );
  const env = { PETIOLE_UPSTREAM_URLS: 'tls://hub', PETIOLE_UPSTREAM_TOKEN: 'hunter2' };
  const { status, stdout, stderr } = run(['petiole.yaml'], cwd, env);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /petiole\.yaml: no problems\n/);
  assert.match(stdout, /gateway +plant1, data in .*\/data\n/);
  assert.match(stdout, /a: a\.> to stream S \(its own\), priority 5; keeps 1GiB or 30d, then refuses\n/);
  assert.match(stdout, /upstream +tls:\/\/hub:7422, by token, no limit\n/);
  assert.doesNotMatch(stdout, /hunter2/);
});

test('a wrong command line exits 64 with the help text', () => {
  for (const args of [['--wrong'], ['a', 'b'], ['--json=5']]) {
    const { status, stderr } = run(args);
    assert.equal(status, 64, args.join(' '));
    assert.match(stderr, /Usage: petiole check/);
  }
});
