import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../support/temp.ts';

const UNITS = join(import.meta.dirname, '../../systemd');
/** In tenths; what is left is the network, the serial ports and V8's machine code. */
const EXPOSURE_MAX = 20;

test('the unit is what systemd takes, and its exposure is at most 2.0', (t) => {
  const folder = tempDir(t, 'units');
  const unit = join(folder, 'petiole.service');
  // The program is where the package puts it; here any program does.
  writeFileSync(
    unit,
    readFileSync(join(UNITS, 'petiole.service'), 'utf8').replace('/usr/bin/petiole run', '/usr/bin/true'),
  );
  const verified = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
  // It warns on stderr and still ends with 0.
  assert.deepEqual([verified.status, verified.stderr], [0, '']);
  const options = ['--offline=true', '--no-pager', `--threshold=${EXPOSURE_MAX}`];
  const judged = spawnSync('systemd-analyze', ['security', ...options, unit], { encoding: 'utf8' });
  assert.equal(judged.status, 0, judged.stdout);
  writeFileSync(
    unit,
    readFileSync(unit, 'utf8').replace('ProtectSystem=strict', '').replace('CapabilityBoundingSet=', ''),
  );
  assert.notEqual(spawnSync('systemd-analyze', ['security', ...options, unit]).status, 0, 'a weaker unit is told');
});

test('the backup is what systemd takes, and may do little more than read', (t) => {
  const folder = tempDir(t, 'units');
  for (const kind of ['service', 'timer']) {
    const text = readFileSync(join(UNITS, `petiole-backup.${kind}`), 'utf8');
    writeFileSync(join(folder, `petiole-backup.${kind}`), text.replace('/usr/lib/petiole/backup.sh', '/usr/bin/true'));
  }
  const units = ['service', 'timer'].map((kind) => join(folder, `petiole-backup.${kind}`));
  const verified = spawnSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8' });
  assert.deepEqual([verified.status, verified.stderr], [0, '']);
  const options = ['--offline=true', '--no-pager', `--threshold=${EXPOSURE_MAX}`];
  const judged = spawnSync('systemd-analyze', ['security', ...options, units[0] ?? ''], { encoding: 'utf8' });
  assert.equal(judged.status, 0, judged.stdout);
});

test('users and folders are made as the unit needs them', (t) => {
  const root = tempDir(t, 'root');
  if (process.getuid?.() !== 0) return;
  mkdirSync(join(root, 'etc'));
  for (const kind of ['sysusers', 'tmpfiles']) {
    mkdirSync(join(root, `usr/lib/${kind}.d`), { recursive: true });
    copyFileSync(join(UNITS, `petiole.${kind}.conf`), join(root, `usr/lib/${kind}.d/petiole.conf`));
    const make = kind === 'tmpfiles' ? ['--create'] : [];
    const { status, stderr } = spawnSync(`systemd-${kind}`, [...make, `--root=${root}`, 'petiole.conf'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  }
  assert.match(
    readFileSync(join(root, 'etc/passwd'), 'utf8'),
    /^petiole:x:\d+:\d+:.*:\/var\/lib\/petiole:\/usr\/sbin\/nologin$/m,
  );
  assert.match(readFileSync(join(root, 'etc/group'), 'utf8'), /^dialout:x:\d+:petiole$/m);
  assert.equal(statSync(join(root, 'etc/petiole')).mode & 0o777, 0o750);
});
