/**
 * Tries `npm start` as on a machine that has never seen Petiole: clones the repository into an empty folder, with an
 * empty npm cache, and runs the one command; then publishes, reads the status and stops the box. Once with the machine's
 * own Node first in PATH and once with the one that the project pins. It needs the registry, so `npm test` leaves it out.
 *
 *   node test/integration/fresh-clone.ts [--keep-cache]     what is committed is what is cloned
 *
 * Exit 1 where a step failed. Prints how long each took.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const root = join(import.meta.dirname, '../..');
/** Installing from the registry, on a slow line. */
const READY_TIMEOUT_MS = 10 * 60_000;
const CLIENT_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 20_000;

const { values: options } = parseArgs({
  options: {
    /** Takes the packages from the user's npm cache. */
    'keep-cache': { type: 'boolean', default: false },
  },
});

interface Timings {
  cloneS: number;
  /** From `npm start` until the box listens: installing and building included. */
  readyS: number;
  /** From a second `npm start` until it listens. */
  againS: number;
  stopS: number;
}

/** PATH without what the project or npm have put there. */
function machinePath(): string[] {
  return (process.env.PATH ?? '').split(':').filter((folder) => !folder.endsWith('node_modules/.bin'));
}

async function tryClone(path: string): Promise<Timings> {
  await using life = new Lifetime();
  const folder = join(tempDir(life, 'clone'), 'petiole');
  const cache = tempDir(life, 'npm-cache');
  const [mqttPort, statusPort] = [await freePort(), await freePort()];
  const inherited = Object.keys(process.env).filter((name) =>
    /^(npm_|PETIOLE_|NODE_OPTIONS$|NODE_TEST_CONTEXT$)/i.test(name),
  );
  const env = {
    ...Object.fromEntries(inherited.map((name) => [name, undefined])),
    PATH: path,
    ...(!options['keep-cache'] && { npm_config_cache: cache }),
    PETIOLE_MQTT_LISTENERS: `[{ listen: "127.0.0.1:${mqttPort}" }]`,
    PETIOLE_STATUS_LISTEN: `127.0.0.1:${statusPort}`,
  };
  const cloneS = await seconds(async () => {
    execFileSync('git', ['clone', '--quiet', root, folder]);
  });

  let npm: Child | undefined;
  const start = async () => {
    npm = new Child('npm', ['start'], { cwd: folder, env });
    await npm.line('ready', (line) => line.includes('"ready"'), READY_TIMEOUT_MS);
  };
  const readyS = await seconds(start);
  await publish(mqttPort, env);
  const stopS = await seconds(async () => stop(npm, await boxPid(statusPort)));
  const againS = await seconds(start);
  await stop(npm, await boxPid(statusPort));
  const left = execFileSync('git', ['status', '--porcelain'], { cwd: folder, encoding: 'utf8' });
  assert.equal(left, '', 'npm start leaves the clone as it was');
  return { cloneS, readyS, againS, stopS };
}

async function publish(port: number, env: NodeJS.ProcessEnv): Promise<void> {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-q', '1', '-t', 'line3/temp', '-m', '21.5'];
  const client = new Child('mosquitto_pub', args, { env });
  const timer = setTimeout(() => client.signal('SIGKILL'), CLIENT_TIMEOUT_MS);
  const { code } = await client.exited;
  clearTimeout(timer);
  assert.equal(code, 0, `mosquitto_pub: ${client.lines.join(' ')}`);
}

/** The box's own process, not npm's; on the way it checks what the box has and runs on. */
async function boxPid(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/status.json`);
  const { gateway, lanes } = (await answer.json()) as Status;
  assert.equal(lanes[0]?.depth, 1, 'the message is kept');
  assert.match(gateway.node, /^v24\./, 'the box runs on the Node that the project pins');
  return gateway.pid;
}

interface Status {
  gateway: { node: string; pid: number };
  lanes: { depth: number }[];
}

/** SIGTERM to npm must reach the box: a supervisor knows only npm's process. */
async function stop(npm: Child | undefined, pid: number): Promise<void> {
  assert.ok(npm);
  npm.signal('SIGTERM');
  try {
    await waitFor('the box to stop', () => !isRunning(pid), { timeoutMs: STOP_TIMEOUT_MS });
  } catch (error) {
    process.kill(pid, 'SIGKILL');
    throw error;
  }
  assert.deepEqual(await npm.exited, { code: 0, signal: null }, npm.lines.slice(-5).join('\n'));
  assert.ok(npm.lines.some((line) => line.includes('"stopped"')));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const own = machinePath().join(':');
const machines: [string, string][] = [
  ["the machine's own Node first", own],
  ['the pinned Node first', `${dirname(process.execPath)}:${own}`],
];
for (const [what, path] of machines) {
  const version = execFileSync('node', ['--version'], { env: { ...process.env, PATH: path }, encoding: 'utf8' }).trim();
  console.log(`${what} (${version})`);
  try {
    const { cloneS, readyS, againS, stopS } = await tryClone(path);
    console.log(`  git clone                       ${cloneS.toFixed(1)} s`);
    console.log(`  npm start, until it listens     ${readyS.toFixed(1)} s`);
    console.log(`  npm start again                 ${againS.toFixed(1)} s`);
    console.log(`  SIGTERM, until it has stopped   ${stopS.toFixed(1)} s`);
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
}
