/** What goes into the SD-card image, as far as it can be tried in seconds; the image itself boots nightly (npm run test:image). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readNotices } from '../../src/ops/notices.ts';
import { DIST } from '../support/box.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

const IMAGE = join(import.meta.dirname, '../../deploy/image');
const GOOD = 'upstream: { urls: ["nats://hub.example.com:7422"], user: box, password_file: hub.password }\n';

/** A card and the folders of the box, and a run of what takes from the one to the other. */
function card(scope: Scope) {
  const root = tempDir(scope, 'card');
  const at = (name: string) => join(root, name);
  for (const folder of ['boot/petiole', 'etc', 'var/notices']) mkdirSync(at(folder), { recursive: true });
  writeFileSync(at('etc/petiole.yaml'), '# the one before\n');
  writeFileSync(at('petiole'), `#!/bin/sh\nexec ${process.execPath} ${join(DIST, 'main.js')} "$@"\n`);
  chmodSync(at('petiole'), 0o755);
  const take = () => {
    const args = [join(IMAGE, 'take-config.mjs'), at('boot'), at('etc'), at('var/notices'), at('petiole')];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  };
  const text = (name: string) => readFileSync(at(name), 'utf8');
  return { at, take, text, notices: () => readNotices(at('var')) };
}

test('a configuration on the card is checked with its files, moved, and gone from the card', (t) => {
  const { at, take, text, notices } = card(t);
  writeFileSync(at('boot/petiole.yaml'), GOOD.replace('\n', '\r\n'));
  writeFileSync(at('boot/petiole/hub.password'), 'a secret\n');
  writeFileSync(at('boot/petiole/._hub.password'), 'what some systems leave on a card\n');
  take();
  assert.match(text('etc/petiole.yaml'), /hub\.example\.com/);
  assert.equal(text('etc/hub.password'), 'a secret\n');
  assert.equal(statSync(at('etc/hub.password')).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(at('boot')), []);
  assert.deepEqual(readdirSync(at('etc')).sort(), ['hub.password', 'petiole.yaml']);
  assert.deepEqual(notices(), []);
  // Without anything on the card nothing happens.
  take();
  assert.match(text('etc/petiole.yaml'), /hub\.example\.com/);
});

test('a wrong one is not taken: the card and the page say why, until a right one comes', (t) => {
  const { at, take, text, notices } = card(t);
  writeFileSync(at('boot/petiole.yaml'), GOOD.replace('urls', 'urlls'));
  writeFileSync(at('boot/petiole/hub.password'), 'a secret\n');
  take();
  assert.equal(text('etc/petiole.yaml'), '# the one before\n');
  assert.ok(!existsSync(at('etc/hub.password')));
  assert.match(text('boot/petiole.yaml.problems.txt'), /petiole\.yaml:1: upstream.*urlls[\s\S]*cure: /);
  assert.match(text('boot/petiole.yaml.wrong'), /urlls/);
  const [notice, ...others] = notices();
  assert.deepEqual(others, []);
  assert.equal(notice?.code, 'config_not_taken');
  assert.match(notice?.message ?? '', /urlls/);
  take();
  assert.equal(notices().length, 1, 'it stays as long as it is true');
  // A file that the configuration names is missing, then there.
  writeFileSync(at('boot/petiole.yaml'), GOOD.replace('hub.password', 'other.password'));
  take();
  assert.match(notices()[0]?.message ?? '', /other\.password/);
  writeFileSync(at('boot/petiole.yaml'), GOOD);
  take();
  assert.deepEqual(notices(), []);
  assert.deepEqual(readdirSync(at('boot')), []);
});

test('what is too large is not read into memory', (t) => {
  const { at, take, notices } = card(t);
  writeFileSync(at('boot/petiole.yaml'), GOOD);
  writeFileSync(at('boot/petiole/hub.password'), Buffer.alloc(300 * 1024));
  take();
  assert.match(notices()[0]?.message ?? '', /petiole\/hub\.password is larger/);
});

test('units and scripts of the image are what systemd and a shell take', (t) => {
  const folder = tempDir(t, 'units');
  const units = ['petiole-image', 'petiole-screen'].map((name) => {
    const text = readFileSync(join(IMAGE, `root/etc/systemd/system/${name}.service`), 'utf8');
    // The programs are where the image has them; here any program does.
    const path = join(folder, `${name}.service`);
    writeFileSync(path, text.replaceAll(/^ExecStart=-?\/usr\/lib\/petiole\S+$/gm, 'ExecStart=/usr/bin/true'));
    return path;
  });
  const verified = spawnSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8' });
  assert.deepEqual([verified.status, verified.stderr], [0, '']);
  const scripts = readdirSync(join(IMAGE, 'root/usr'), { recursive: true, encoding: 'utf8' })
    .map((name) => join(IMAGE, 'root/usr', name))
    .filter((path) => statSync(path).isFile());
  for (const script of [join(IMAGE, 'init'), join(IMAGE, 'build.sh'), ...scripts]) {
    const { status, stderr } = spawnSync('bash', ['-n', script], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.ok((statSync(script).mode & 0o111) !== 0, `${script} can be run`);
  }
});
