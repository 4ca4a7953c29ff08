/**
 * The container, built and run without Docker: `npm run test:appliance`, as root. The base image is made of Debian's
 * packages and this clone's Node, since no registry of images is asked.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Child } from '../support/child.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { freePort } from '../support/ports.ts';
import { atEnd } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { makeMachine } from './machine.ts';

const CLONE = join(import.meta.dirname, '../..');
const CA = '/etc/ssl/certs/ca-certificates.crt';
const PATH = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';

test('the image is built, is not root, takes data and keeps it over a restart', async (t) => {
  const store = tempDir(t, 'images');
  const options = ['--storage-driver', 'vfs', '--root', join(store, 'root'), '--runroot', join(store, 'run')];
  const buildah = (...args: string[]) =>
    execFileSync('buildah', [...options, ...args], {
      cwd: CLONE,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }).trim();
  atEnd(t, () => void buildah('rm', '--all'));

  const { root } = await makeMachine(t);
  const npm = dirname(dirname(realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim())));
  mkdirSync(join(root, 'usr/local/lib/node_modules'), { recursive: true });
  cpSync(npm, join(root, 'usr/local/lib/node_modules/npm'), { recursive: true });
  cpSync(process.execPath, join(root, 'usr/local/bin/node'));
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'));
  if (existsSync(CA)) cpSync(CA, join(root, CA.slice(1)), { force: true });
  const base = buildah('from', 'scratch');
  buildah('copy', '--quiet', base, root, '/');
  buildah('config', '--env', `PATH=${PATH}`, '--env', `NODE_EXTRA_CA_CERTS=${CA}`, base);
  buildah('commit', '--quiet', base, 'localhost/node24');
  const isolated = ['--isolation', 'chroot'];
  buildah(
    'bud',
    ...isolated,
    '--build-arg',
    'NODE=localhost/node24',
    '-f',
    'deploy/container/Dockerfile',
    '-t',
    'petiole',
    '.',
  );

  const container = buildah('from', 'localhost/petiole');
  assert.match(buildah('run', ...isolated, container, '--', 'id'), /^uid=10001/);
  const [mqttPort, statusPort, natsPort] = [await freePort(), await freePort(), await freePort()];
  const settings = {
    PETIOLE_GATEWAY_NAME: 'container',
    PETIOLE_MQTT_LISTENERS: `[{listen: "127.0.0.1:${mqttPort}"}]`,
    PETIOLE_STATUS_LISTEN: `127.0.0.1:${statusPort}`,
    PETIOLE_NATS_LISTEN: `127.0.0.1:${natsPort}`,
  };
  const env = Object.entries(settings).flatMap(([key, value]) => ['--env', `${key}=${value}`]);
  const depth = async () => {
    const answer = await fetch(`http://127.0.0.1:${statusPort}/status.json`).catch(() => null);
    const status = answer ? ((await answer.json()) as { lanes: { name: string; depth: number }[] }) : { lanes: [] };
    return status.lanes.find(({ name }) => name === 'default')?.depth ?? -1;
  };
  for (const kept of [0, 1]) {
    const box = new Child('buildah', [
      ...options,
      'run',
      ...isolated,
      ...env,
      container,
      '--',
      'node',
      'dist/main.js',
      'run',
    ]);
    await waitFor(`${kept} messages`, async () => (await depth()) === kept, { timeoutMs: 60_000 });
    await mosquittoPub(mqttPort, '-q', '1', '-t', 'line1/temp', '-m', '21');
    await waitFor('one more', async () => (await depth()) === kept + 1);
    await box.kill();
    // The tool that runs the container is not the box.
    killListener(statusPort);
    await waitFor('it to be gone', async () => (await depth()) === -1);
  }
});

/** As at a power cut. */
function killListener(port: number): void {
  const line = execFileSync('ss', ['-Hltnp', `sport = :${port}`], { encoding: 'utf8' });
  process.kill(Number(/pid=(\d+)/.exec(line)?.[1]), 'SIGKILL');
}
