import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import type { Snapshot } from '../ops/snapshot.ts';
import { count } from '../ops/words.ts';
import { type Command, EXIT_USAGE } from './command.ts';
import { DemoSensor } from './demo-sensor.ts';

const PERIOD_MS = 500;
const LINE_MS = 1_000;
const START_MS = 30_000;

const usage = `Usage: petiole demo [--sensors N] [--seconds S] [--no-browser]

Shows what Petiole does, without a sensor and without a cloud: starts a throw-away box with simulated MQTT sensors and,
where nats-server is installed, a throw-away hub with a stream. Prints what the sensors were promised, what waits, and
what the hub has. On a terminal: o takes the hub away and brings it back, k kills the box without a warning (it is
started again), q ends. Nothing is left behind.

  --sensors N   how many (default 12)
  --seconds S   end by itself
  --no-browser  do not open the status page

Exit codes: 0 as asked and nothing was lost, 1 something failed, 64 wrong arguments.

Examples:
  petiole demo
  petiole demo --sensors 100 --seconds 30 --no-browser
`;

/** `petiole demo`: the main job, with everything around it simulated. */
export const demo: Command = { name: 'demo', summary: 'try it with simulated sensors and a hub', usage, run };

async function run(args: string[]): Promise<number> {
  let sensors: number;
  let seconds: number;
  let browser: boolean;
  try {
    const { values } = parseArgs({
      args,
      options: { sensors: { type: 'string' }, seconds: { type: 'string' }, 'no-browser': { type: 'boolean' } },
    });
    sensors = Number(values.sensors ?? 12);
    seconds = Number(values.seconds ?? Number.POSITIVE_INFINITY);
    browser = !values['no-browser'];
    if (!Number.isInteger(sensors) || sensors < 1 || sensors > 900) throw new Error('--sensors is 1 to 900');
    if (!(seconds > 0)) throw new Error('--seconds is a number above 0');
  } catch (error) {
    process.stderr.write(`petiole demo: ${error instanceof Error ? error.message : error}\n\n${usage}`);
    return EXIT_USAGE;
  }
  const stage = new Stage();
  try {
    await stage.start();
    return await show(stage, sensors, seconds, browser);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    return 1;
  } finally {
    stage.strike();
  }
}

/** A box and perhaps a hub in a folder of their own. */
class Stage {
  readonly #folder = mkdtempSync(join(tmpdir(), 'petiole-demo-'));
  readonly hasHub = spawnSync('nats-server', ['--version'], { stdio: 'ignore' }).status === 0;
  #hub: ChildProcess | null = null;
  #box: ChildProcess | null = null;
  #isStruck = false;
  mqttPort = 0;
  statusPort = 0;

  get hubIsUp(): boolean {
    return this.#hub !== null;
  }

  async start(): Promise<void> {
    const [mqttPort, statusPort, natsPort, hubPort, leafPort] = await freePorts(5);
    Object.assign(this, { mqttPort, statusPort });
    const store = JSON.stringify(join(this.#folder, 'hub'));
    const hub = `listen: "127.0.0.1:${hubPort}"\njetstream { store_dir: ${store} }\nleafnodes { listen: "127.0.0.1:${leafPort}" }\n`;
    writeFileSync(join(this.#folder, 'hub.conf'), hub);
    const subjects = ['demo.>'];
    const config = {
      gateway: { name: 'demo', data: join(this.#folder, 'data') },
      mqtt: { listeners: [{ listen: `127.0.0.1:${mqttPort}` }] },
      nats: { listen: `127.0.0.1:${natsPort}` },
      status: { listen: `127.0.0.1:${statusPort}` },
      lanes: [{ name: 'demo', subjects }],
      ...(this.hasHub
        ? { upstream: { urls: [`nats://127.0.0.1:${leafPort}`], streams: [{ name: 'DEMO', subjects }] } }
        : {}),
    };
    writeFileSync(join(this.#folder, 'petiole.yaml'), stringify(config));
    if (this.hasHub) this.toggleHub();
    this.#startBox();
    const deadlineMs = performance.now() + START_MS;
    while ((await this.status()) === null) {
      if (performance.now() > deadlineMs || this.#box?.exitCode !== null)
        throw new Error('the box of the demo did not start');
      await delay(100);
    }
  }

  #startBox(): void {
    const main = process.argv[1] ?? '';
    const box = spawn(process.execPath, [main, 'run', '--config', join(this.#folder, 'petiole.yaml')], {
      stdio: 'ignore',
    });
    this.#box = box;
    box.once('exit', () => !this.#isStruck && this.#startBox());
  }

  /** As a power cut would: it is started again at once, with what was on its disk. */
  killBox(): void {
    this.#box?.kill('SIGKILL');
  }

  toggleHub(): void {
    if (this.#hub) {
      this.#hub.kill('SIGKILL');
      this.#hub = null;
    } else this.#hub = spawn('nats-server', ['-c', join(this.#folder, 'hub.conf')], { stdio: 'ignore' });
  }

  async status(): Promise<Snapshot | null> {
    const answer = await fetch(`http://127.0.0.1:${this.statusPort}/status.json`).catch(() => null);
    return answer?.ok ? ((await answer.json()) as Snapshot) : null;
  }

  strike(): void {
    this.#isStruck = true;
    for (const child of [this.#box, this.#hub]) child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

async function show(stage: Stage, count_: number, seconds: number, browser: boolean): Promise<number> {
  const url = `http://127.0.0.1:${stage.statusPort}/`;
  const hub = stage.hasHub ? 'a hub' : 'no hub (nats-server is not installed)';
  process.stdout.write(`A box with ${count_} sensors and ${hub}. Status page: ${url}\n`);
  if (browser && process.stdout.isTTY) open(url);
  const sensors = Array.from({ length: count_ }, (_, i) => sensorOf(i, stage.mqttPort));
  for (const sensor of sensors) sensor.start(PERIOD_MS);
  let isOver = false;
  const keys = listen(stage, () => {
    isOver = true;
  });
  const promised = () => sensors.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  const endMs = performance.now() + seconds * 1000;
  let kept = 0;
  while (!isOver && performance.now() < endMs) {
    await delay(LINE_MS);
    const status = await stage.status();
    const lane = status?.lanes.find(({ name }) => name === 'demo');
    if (lane) kept = lane.lastSequence;
    process.stdout.write(lineOf(promised(), lane, stage));
  }
  keys();
  for (const sensor of sensors) sensor.stop();
  const lane = (await stage.status())?.lanes.find(({ name }) => name === 'demo');
  kept = lane?.lastSequence ?? kept;
  const isWhole = kept >= promised();
  process.stdout.write(`The sensors were promised ${count(promised())} messages; the box has kept ${count(kept)}.\n`);
  return isWhole ? 0 : 1;
}

function lineOf(promised: number, lane: Snapshot['lanes'][number] | undefined, stage: Stage): string {
  if (!lane) return 'the box is away: it is being started again\n';
  const where = !stage.hasHub
    ? 'waiting for a hub'
    : stage.hubIsUp
      ? 'waiting'
      : 'waiting, for the hub is away (o brings it back)';
  return `promised ${count(promised)}, at the hub ${count(lane.ackedSequence)}, ${where} ${count(lane.depth)}\n`;
}

const KINDS = [
  { name: 'temperature', unit: 'C', middle: 21, swing: 3 },
  { name: 'pressure', unit: 'bar', middle: 6, swing: 0.4 },
  { name: 'flow', unit: 'l/min', middle: 40, swing: 12 },
] as const;

function sensorOf(index: number, port: number): DemoSensor {
  const kind = KINDS[index % KINDS.length] ?? KINDS[0];
  const line = 1 + Math.floor(index / KINDS.length);
  const reading = () => {
    const value = kind.middle + kind.swing * Math.sin(Date.now() / 20_000 + index);
    return JSON.stringify({ value: Number(value.toFixed(2)), unit: kind.unit });
  };
  return new DemoSensor(`demo-${kind.name}-${line}`, `demo/line${line}/${kind.name}`, port, reading);
}

/** Keys of a terminal; gives back what ends the listening. */
function listen(stage: Stage, end: () => void): () => void {
  process.once('SIGINT', end).once('SIGTERM', end);
  const { stdin } = process;
  if (!stdin.isTTY) return () => {};
  process.stdout.write('Keys: o hub away or back, k kill the box, q end\n');
  stdin.setRawMode(true);
  stdin.on('data', (key) => {
    const pressed = key.toString();
    if (pressed === 'o' && stage.hasHub) stage.toggleHub();
    else if (pressed === 'k') stage.killBox();
    else if (pressed === 'q' || pressed === '\x03') end();
  });
  return () => {
    stdin.setRawMode(false);
    stdin.pause();
  };
}

function open(url: string): void {
  spawn('xdg-open', [url], { stdio: 'ignore', detached: true })
    .once('error', () => {})
    .unref();
}

async function freePorts(howMany: number): Promise<number[]> {
  const servers = Array.from({ length: howMany }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
