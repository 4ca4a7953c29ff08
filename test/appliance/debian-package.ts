/**
 * The Debian package on a machine with a systemd of its own: `npm run test:appliance`, as root. Installed before the first
 * boot, as in an image; served; killed; cut from power; upgraded with its queue; removed; purged.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { filesWithCredential } from '../support/credential-scan.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { makeMachine } from './machine.ts';

const CLONE = join(import.meta.dirname, '../..');
const SERVED = { timeoutMs: 60_000 };

test('a machine with the Debian package: install, serve, kill, power cut, upgrade, remove, purge', async (t) => {
  const out = tempDir(t, 'packages');
  const build = (version: string) =>
    execFileSync('deploy/debian/build.sh', ['--out', out, '--version', version], {
      cwd: CLONE,
      encoding: 'utf8',
    }).trim();
  const [first, second] = [build('0.1.0'), build('0.1.1')];
  const content = tempDir(t, 'content');
  execFileSync('dpkg-deb', ['-R', first, content]);
  assert.deepEqual(filesWithCredential(content), [], 'no credential in the package');
  const machine = await makeMachine(t);
  for (const file of [first, second]) copyFileSync(file, join(machine.root, 'root', basename(file)));

  console.log(machine.run('dpkg', '-i', `/root/${basename(first)}`));
  const [mqttPort, statusPort, natsPort] = [await freePort(), await freePort(), await freePort()];
  writeFileSync(
    join(machine.root, 'etc/default/petiole'),
    `PETIOLE_MQTT_LISTENERS=[{listen: "127.0.0.1:${mqttPort}"}]\nPETIOLE_STATUS_LISTEN=127.0.0.1:${statusPort}\nPETIOLE_NATS_LISTEN=127.0.0.1:${natsPort}\n`,
  );
  const depth = async () => {
    const answer = await fetch(`http://127.0.0.1:${statusPort}/status.json`).catch(() => null);
    const { lanes } = answer ? ((await answer.json()) as { lanes: { name: string; depth: number }[] }) : { lanes: [] };
    return lanes.find(({ name }) => name === 'default')?.depth ?? -1;
  };
  const publish = async () =>
    assert.equal((await mosquittoPub(mqttPort, '-q', '1', '-t', 'line1/temp', '-m', '21')).code, 0);

  const began = performance.now();
  await machine.boot();
  await waitFor('the box to serve', async () => (await depth()) === 0, SERVED);
  console.log(`boot to served: ${Math.round(performance.now() - began)} ms; package ${statSync(first).size} bytes`);
  console.log(machine.run('systemctl', 'status', '--no-pager', 'petiole'));
  assert.match(machine.run('systemctl', 'show', '-p', 'StatusText', 'petiole'), /No upstream is configured/);
  await publish();
  await waitFor('one message', async () => (await depth()) === 1);

  // The unit's restart policy, after a crash.
  machine.run('systemctl', 'kill', '--signal=KILL', '--kill-whom=main', 'petiole');
  await waitFor('the queue after a kill', async () => (await depth()) === 1, SERVED);
  await publish();
  await machine.cut();
  await machine.boot();
  await waitFor('the queue after a power cut', async () => (await depth()) === 2, SERVED);

  machine.run('dpkg', '-i', `/root/${basename(second)}`);
  assert.match(machine.run('petiole', 'version'), /petiole 0\.1\.0|petiole 0\.1\.1/);
  await waitFor('the queue after an upgrade', async () => (await depth()) === 2, SERVED);
  await publish();

  // A configuration that is wrong is not tried again and again.
  const config = join(machine.root, 'etc/petiole/petiole.yaml');
  writeFileSync(config, 'mqtt: { listener: 1 }\n');
  assert.throws(() => machine.run('systemctl', 'restart', 'petiole'));
  assert.match(machine.run('systemctl', 'show', '-p', 'ExecMainStatus,ActiveState', 'petiole'), /ActiveState=failed/);
  assert.match(machine.run('systemctl', 'show', '-p', 'ExecMainStatus', 'petiole'), /=78/);
  writeFileSync(config, '');
  machine.run(
    'sh',
    '-c',
    'systemctl reset-failed petiole; systemctl restart petiole || { journalctl -n 30 --no-pager >&2; false; }',
  );
  await waitFor('the queue without a configuration', async () => (await depth()) === 3, SERVED);

  machine.run('dpkg', '-r', 'petiole');
  assert.equal(await depth(), -1);
  assert.ok(readdirSync(join(machine.root, 'var/lib/petiole')).length > 0, 'a removal keeps the queue');
  assert.ok(existsSync(config), 'a removal keeps the configuration');
  machine.run('dpkg', '-P', 'petiole');
  for (const left of [
    'var/lib/petiole',
    'etc/petiole',
    'usr/lib/petiole',
    'usr/bin/petiole',
    'lib/systemd/system/petiole.service',
  ]) {
    assert.ok(!existsSync(join(machine.root, left)), `${left} is left after a purge`);
  }
  assert.doesNotMatch(machine.run('cat', '/etc/passwd'), /petiole/);
});
