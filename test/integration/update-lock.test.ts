/**
 * The update lock of balena by its protocol: a file made exclusively, there only while an update would break something off,
 * never taken from somebody else. And the notices that programs around the box leave.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GatewayError } from '../../src/core/errors.ts';
import { UpdateLock } from '../../src/ops/update-lock.ts';
import { startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const OF_THE_SUPERVISOR = 'supervisor\n';

test('the lock is there while a commit hangs, and gone with it', async (t) => {
  const path = join(tempDir(t, 'balena'), 'updates.lock');
  const box = await startBox(t, { env: { BALENA_APP_LOCK_PATH: path } });
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'a', '-m', 'x');
  assert.ok(!existsSync(path), 'a box that does nothing unsafe does not hold it');
  // A card that stalls, as worn ones do.
  const inject = ['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:delay_enter=600000000'];
  const strace = new Child('strace', ['-f', '-qq', '-o', '/dev/null', ...inject, '-p', String(box.pid)]);
  const isTraced = () => /^TracerPid:\s+[1-9]/m.test(readFileSync(`/proc/${box.pid}/status`, 'utf8'));
  await waitFor('strace to be attached', isTraced);
  const published = mosquittoPub(box.mqttPort, '-q', '1', '-t', 'a', '-m', 'x');
  await waitFor('the lock', () => existsSync(path));
  assert.match(readFileSync(path, 'utf8'), new RegExp(`^petiole ${box.pid} \\d+\n$`));
  assert.equal(new UpdateLock(path).take(), false, 'nobody else gets it meanwhile');
  await strace.kill();
  await published;
  await waitFor('it to be gone', () => !existsSync(path));
  await box.stop();
});

test('what a killed box has left is removed at its next start; the supervisor keeps its own', async (t) => {
  const path = join(tempDir(t, 'balena'), 'updates.lock');
  // The pid lives, and is not the process that made it: in a container every start has the same.
  writeFileSync(path, `petiole ${process.pid} 1\n`);
  const box = await startBox(t, { env: { BALENA_APP_LOCK_PATH: path } });
  assert.ok(!existsSync(path));
  writeFileSync(path, OF_THE_SUPERVISOR);
  await box.restart();
  assert.equal(readFileSync(path, 'utf8'), OF_THE_SUPERVISOR);
  await box.stop();
  assert.equal(readFileSync(path, 'utf8'), OF_THE_SUPERVISOR);
});

test('an import waits for the lock, holds it as long as it lasts, and lets go of it when it fails', async (t) => {
  const path = join(tempDir(t, 'balena'), 'updates.lock');
  const env = { BALENA_APP_LOCK_PATH: path };
  const during = (work: () => Promise<void>) => UpdateLock.during(env, 'the import', work);
  writeFileSync(path, OF_THE_SUPERVISOR);
  let began = false;
  const importing = during(async () => {
    began = true;
    assert.ok(existsSync(path));
  });
  assert.ok(!began);
  rmSync(path);
  await importing;
  assert.ok(began && !existsSync(path));
  await assert.rejects(during(() => Promise.reject(new GatewayError('store_locked', 'the box runs'))));
  assert.ok(!existsSync(path));
  // Off balena there is no such file, and no wait for one.
  await UpdateLock.during({}, 'the import', async () => assert.equal(UpdateLock.of({}), null));
  assert.equal(UpdateLock.of({ BALENA: '1' })?.path, '/tmp/balena/updates.lock');
});

test('a notice beside the journal is a problem on the page; what is none is left out', async (t) => {
  const dataDir = tempDir(t, 'data');
  const folder = join(dataDir, 'notices');
  mkdirSync(folder);
  const notice = { part: 'boot partition', code: 'config_not_taken', message: 'line 3 is wrong', hint: 'mend it' };
  writeFileSync(join(folder, 'boot.json'), JSON.stringify(notice));
  writeFileSync(join(folder, 'broken.json'), '{');
  writeFileSync(join(folder, 'strange.json'), '{"part": 1}');
  const box = await startBox(t, { dataDir });
  const { problems } = await box.status();
  const [shown, ...others] = problems.filter(({ code }: { code: string }) => code === 'config_not_taken');
  assert.equal(shown.message, 'line 3 is wrong');
  assert.equal(shown.severity, 'degraded');
  assert.deepEqual(others, []);
  assert.equal((await fetch(`${box.statusUrl}/healthz`)).status, 200);
  rmSync(join(folder, 'boot.json'));
  await box.restart();
  const after = await box.status();
  assert.ok(!after.problems.some(({ code }: { code: string }) => code === 'config_not_taken'));
  await box.stop();
});
