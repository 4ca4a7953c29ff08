import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Exception, judge } from '../../deploy/release/audit.ts';
import { tempDir } from '../support/temp.ts';

const CLONE = join(import.meta.dirname, '../..');
const run = (...command: string[]): string =>
  execFileSync(command[0] ?? '', command.slice(1), { cwd: CLONE, encoding: 'utf8' });

test('the SBOM has every package that is shipped, and all of them may be', (t) => {
  const out = tempDir(t, 'sbom');
  run('deploy/release/sbom.sh', out);
  const { bomFormat, components } = JSON.parse(readFileSync(join(out, 'sbom.cdx.json'), 'utf8'));
  assert.equal(bomFormat, 'CycloneDX');
  const { dependencies } = JSON.parse(readFileSync(join(CLONE, 'package.json'), 'utf8'));
  const listed = readFileSync(join(out, 'licences.txt'), 'utf8');
  for (const [name, version] of Object.entries(dependencies)) assert.ok(listed.includes(`${name} ${version}  `), name);
  assert.ok(components.length >= Object.keys(dependencies).length);
});

test('the source of a release is the same byte for byte', (t) => {
  const digests = ['one', 'two'].map((name) => {
    const out = tempDir(t, name);
    const [, file = ''] = run('deploy/release/tarball.sh', out).trim().split(/\s+/);
    return createHash('sha256')
      .update(readFileSync(join(out, file)))
      .digest('hex');
  });
  assert.equal(digests[0], digests[1]);
});

test('an audit that the registry can not answer is not a clean one; exceptions have an end', () => {
  const advisory = { title: 'it bursts', url: 'https://advisories.example/GHSA-aaaa-bbbb-cccc', source: 1 };
  const report = { vulnerabilities: { ws: { name: 'ws', severity: 'high', via: [advisory] } } };
  const exception = { id: 'GHSA-aaaa-bbbb-cccc', reason: 'not reached', until: '2030-01-01' };
  const verdict = (...args: Parameters<typeof judge>) => judge(...args).ok;
  assert.equal(verdict({ error: { code: 405 } }, [], '2026-01-01'), null);
  assert.match(judge({}, [], '2026-01-01').lines.join(), /NOT AVAILABLE/);
  assert.equal(verdict({ vulnerabilities: {} }, [], '2026-01-01'), true);
  assert.equal(verdict(report, [], '2026-01-01'), false);
  assert.equal(verdict(report, [exception], '2026-01-01'), true);
  assert.equal(verdict(report, [exception], '2031-01-01'), false);
  assert.equal(verdict({ vulnerabilities: {} }, [exception], '2026-01-01'), false);
  const written: Exception[] = JSON.parse(readFileSync(join(CLONE, 'deploy/release/audit-exceptions.json'), 'utf8'));
  for (const entry of written) {
    assert.deepEqual(Object.keys(entry).sort(), ['id', 'reason', 'until']);
  }
});
