import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from '@nats-io/transport-node';
import { type Box, DIST, startBox } from '../support/box.ts';
import { startModbusBus } from '../support/modbus-slave.ts';
import { atEnd, Lifetime } from '../support/scope.ts';
import { plugDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { readUsage } from './process-meter.ts';
import { decodeOptions, frameOptions } from './serial-frame.ts';

const TIMEOUT_MS = 120_000;

// biome-ignore lint/suspicious/noExplicitAny: the rows of /status.json
const portsOf = async (box: Box): Promise<any[]> => (await box.status()).serial;

async function allOpen(box: Box): Promise<void> {
  const isOpen = async () => (await portsOf(box)).every(({ state }) => state === 'open');
  await waitFor('the ports to open', isOpen, { timeoutMs: TIMEOUT_MS });
}

export interface FloodResult {
  frames: number;
  /** Frames that are not in the journal, or there twice, or out of their order. */
  lost: number;
  duplicated: number;
  outOfOrder: number;
  discardedBytes: number;
  /** Part of one core. */
  cores: number;
  /** How far the devices were behind their pace at worst: a line does not wait. */
  lateMs: number;
  residentMiB: number;
}

/** Devices that send 32-byte frames without a pause at this rate, into one lane. */
export async function flood(dir: string, ports: number, baud: number, seconds: number): Promise<FloodResult> {
  await using life = new Lifetime();
  const folder = tempDir(life, 'serial', dir);
  const links = Array.from({ length: ports }, (_, index) => join(folder, `tty${index}`));
  const load = startLoad(life, [String(baud), String(seconds), ...links]);
  await load.line('ready');
  const box = await startBox(life, {
    dataDir: join(folder, 'data'),
    config: {
      lanes: [{ name: 'serial', subjects: ['flood.>'], max_bytes: '8GiB' }],
      serial: links.map((path, index) => ({
        name: `port${index}`,
        port: path,
        baud,
        frame: frameOptions,
        decode: decodeOptions,
        subject: `flood.${index}`,
      })),
    },
  });
  await allOpen(box);
  const before = readUsage(box.pid).cpuS;
  load.child.stdin?.write('go\n');
  const { frames, lateMs } = JSON.parse(await load.line('')) as { frames: number; lateMs: number };
  const total = frames * ports;
  const appended = async () => (await box.status()).lanes[0].counters.appended >= total;
  await waitFor('the last frame in the journal', appended, { timeoutMs: TIMEOUT_MS });
  const { cpuS, residentMiB } = readUsage(box.pid);
  // All of the work, over the time in which it came.
  const cores = (cpuS - before) / seconds;
  const discardedBytes = (await portsOf(box)).reduce((sum, port) => sum + port.discardedBytes, 0);
  await box.stop();
  return { frames: total, ...(await judge(box, folder, ports, frames)), discardedBytes, cores, lateMs, residentMiB };
}

/** Each port's numbers as they are in the journal. */
async function judge(box: Box, folder: string, ports: number, frames: number) {
  const file = join(folder, 'bundle.ndjson');
  const args = [join(DIST, 'main.js'), 'journal', 'export', file, '--config', box.configFile];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`journal export ended with ${code}`);
  const seen = Array.from({ length: ports }, () => new Set<number>());
  const last = Array.from({ length: ports }, () => -1);
  let duplicated = 0;
  let outOfOrder = 0;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const encoded = /"payload":"([^"]*)"/.exec(line)?.[1];
    if (encoded === undefined) continue;
    const { port, sequence } = JSON.parse(Buffer.from(encoded, 'base64').toString()) as {
      port: number;
      sequence: number;
    };
    if (seen[port]?.has(sequence)) duplicated++;
    else if (sequence < (last[port] ?? 0)) outOfOrder++;
    seen[port]?.add(sequence);
    last[port] = Math.max(last[port] ?? -1, sequence);
  }
  return { lost: seen.reduce((sum, one) => sum + frames - one.size, 0), duplicated, outOfOrder };
}

function startLoad(
  life: Lifetime,
  args: readonly string[],
): { child: ChildProcess; line(text: string): Promise<string> } {
  const file = join(import.meta.dirname, 'serial-load-process.ts');
  const child = spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(life, () => void child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    async line(text) {
      const { value, done } = await lines.next();
      if (done === true || !value.startsWith(text)) throw new Error(`the load said ${value}`);
      return value;
    },
  };
}

export interface BusResult {
  /** Polls of the plan that were answered, of those that were due. */
  planShare: number;
  /** Registers a second as fast as it goes. */
  registersPerS: number;
  /** Of what the line allows. */
  lineShare: number;
  cores: number;
}

const UNITS = 20;
const REGISTERS = 50;
const BAUD = 115_200;
/** Request and answer of 50 registers, ten bits a character; the silence that the standard demands around each. */
const POLL_MS = ((8 + 5 + 2 * REGISTERS) * 10_000) / BAUD + 2 * 1.75;

/** 1,000 registers of 20 units on a line of 115,200 baud: each second, and as fast as it goes. */
export async function bus(seconds: number): Promise<BusResult> {
  const planned = await poll('1s', seconds);
  const free = await poll('10ms', seconds);
  return {
    planShare: planned.polls / (UNITS * seconds),
    registersPerS: (free.polls * REGISTERS) / seconds,
    lineShare: (free.polls * POLL_MS) / (seconds * 1000),
    cores: planned.cores,
  };
}

async function poll(every: string, seconds: number): Promise<{ polls: number; cores: number }> {
  await using life = new Lifetime();
  const path = await startModbusBus(life, true);
  const registers = Array.from({ length: REGISTERS }, (_, address) => ({
    name: `r${address}`,
    table: 'input',
    address,
  }));
  const units = Array.from({ length: UNITS }, (_, index) => ({ unit: index + 1, every, registers }));
  const box = await startBox(life, {
    config: { serial: [{ name: 'bus', port: path, baud: BAUD, subject: 'bus.{unit}', modbus: { units } }] },
  });
  const answered = async () => (await portsOf(box))[0].frames as number;
  await waitFor('every unit to answer', async () => (await answered()) >= UNITS * 2, { timeoutMs: TIMEOUT_MS });
  const [first, cpuS, startedMs] = [await answered(), readUsage(box.pid).cpuS, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const polls = (await answered()) - first;
  const tookS = (performance.now() - startedMs) / 1000;
  return { polls: (polls * seconds) / tookS, cores: (readUsage(box.pid).cpuS - cpuS) / tookS };
}

/** Milliseconds from the node's return to the first message of a device that speaks all the time, in order. */
export async function replug(cycles: number): Promise<number[]> {
  await using life = new Lifetime();
  const dir = tempDir(life, 'serial');
  const device = await plugDevice(life, join(dir, 'tty'));
  const box = await startBox(life, {
    config: { serial: [{ name: 'meter', port: device.path, decode: 'json', subject: 'meter' }] },
  });
  const nats = await connect({ servers: box.natsUrl });
  atEnd(life, () => nats.close());
  let heard = 0;
  nats.subscribe('meter', { callback: () => void heard++ });
  await nats.flush();
  const talking = setInterval(() => void device.send('{"t":21.5}\n').catch(() => undefined), 10);
  atEnd(life, () => clearInterval(talking));
  const took: number[] = [];
  for (let cycle = 0; cycle < cycles; cycle++) {
    const before = heard;
    await waitFor('a message', () => heard > before, { timeoutMs: TIMEOUT_MS, intervalMs: 2 });
    await device.unplug();
    await waitFor('the loss', async () => (await portsOf(box))[0].state !== 'open', { timeoutMs: TIMEOUT_MS });
    const silent = heard;
    await device.plug();
    const startedMs = performance.now();
    await waitFor('the first message', () => heard > silent, { timeoutMs: TIMEOUT_MS, intervalMs: 1 });
    took.push(performance.now() - startedMs);
  }
  return took.sort((a, b) => a - b);
}
