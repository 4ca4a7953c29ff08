/**
 * `npm run bench:pi`: an estimate of what a Raspberry Pi 4 and a Pi Zero 2 W could take. No Pi is measured: the box's
 * instructions are counted here, per message, and divided by what such a core is assumed to execute.
 *
 *   1. Here, at full speed: messages for each commit at a pace, the kernel's share of the CPU time, memory.
 *   2. Under the counter: user instructions per message at some paces, without what an idle box executes. The counter slows
 *      the box down, so a pace is no measure: what a message costs depends on how many share a commit, and the cost for step
 *      1 is read off between two counts by that.
 *   3. The kernel's instructions are taken to be in proportion to its time. Range: the assumptions below at their worst and
 *      best.
 *   4. The arm64 build is run under emulation, only to see that it serves.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { arm64 } from '../support/arm64.ts';
import { type Box, startBox } from '../support/box.ts';
import { waitForStream } from '../support/hub-stream.ts';
import { type LoadResult, runLoad, startLoad } from '../support/mqtt-load.ts';
import { findNewerNatsServer } from '../support/newer-nats-server.ts';
import { Lifetime, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { STREAM, startPlant, waitForLink } from './box-contender.ts';
import { findInstructionCounter, type InstructionCounter } from './instruction-counter.ts';
import { readUsage, resetPeak } from './process-meter.ts';

interface Board {
  readonly name: string;
  readonly hz: number;
  /** Instructions per cycle, worst and best. */
  readonly ipc: readonly [number, number];
  readonly memoryMiB: number;
}

/*
 * Clock and memory: the boards' product briefs. Instructions per cycle: assumed. Both cores are known by their pipelines
 * (A72: out of order, 3 decoded per cycle; A53: in order, 2), and of such code it is known that it waits for instruction
 * caches and branches more than benchmarks do (Kanev et al., Profiling a warehouse-scale computer, ISCA 2015; Ogasawara,
 * Workload characterization of server-side JavaScript, IISWC 2014). So the range is a sixth to a third of what the decoder
 * can do for the A72, and a seventh to a quarter for the A53, which can't hide a miss.
 */
const BOARDS: readonly Board[] = [
  { name: 'Pi 4 (A72, 1.5 GHz)', hz: 1.5e9, ipc: [0.5, 1.0], memoryMiB: 1024 },
  { name: 'Pi Zero 2 W (A53, 1.0 GHz)', hz: 1.0e9, ipc: [0.28, 0.5], memoryMiB: 512 },
];
/** arm64 instructions for one of x86-64, worst and best: near one for compiled code (Blem et al., HPCA 2013). */
const ISA: readonly [number, number] = [1.3, 1.0];
const CONNECTIONS = 50;
const PACES = [5_000, 500] as const;
const TIMEOUT_MS = 300_000;
const LANES = [{ name: 'bench', subjects: ['bench.>'], max_bytes: '8GiB' }];
const NATIVE_SECONDS = 6;
/** Before anything is counted V8 has compiled what is hot. */
const WARM_MESSAGES = 40_000;
const WARM_PER_S = 1_000;
const WARM_SECONDS = 20;
const COUNTED_MESSAGES = 20_000;
const COUNTED_SECONDS = 15;
const IDLE_SECONDS = 10;

const cache = join(import.meta.dirname, '../../.cache');
mkdirSync(cache, { recursive: true });
const binary = findNewerNatsServer(cache)?.path;

type Place = 'ingest' | 'edge';

interface Started {
  readonly box: Box;
  /** Waits at the hub, since to ask the box would be counted. */
  readonly uploaded: (messages: number) => Promise<void>;
}

/** Ingest: nobody to upload to. Edge: linked to a hub whose stream takes all. */
async function start(scope: Scope, place: Place, command: readonly string[]): Promise<Started> {
  const dir = tempDir(scope, 'pi', cache);
  if (place === 'ingest') {
    const config = { lanes: LANES, upstream: { urls: ['nats-leaf://127.0.0.1:1'] } };
    const box = await startBox(scope, { config, dataDir: join(dir, 'data'), command, readyTimeoutMs: TIMEOUT_MS });
    return { box, uploaded: async () => {} };
  }
  const options = { procedure: 'read-back', hub: 'default sync', command } as const;
  const { box, hub, reader } = await startPlant(scope, dir, { ...options, ...(binary !== undefined && { binary }) });
  await waitForLink(hub);
  let expected = 0;
  const uploaded = async (messages: number) => {
    expected += messages;
    await waitForStream(reader, STREAM, expected, { timeoutMs: TIMEOUT_MS });
  };
  return { box, uploaded };
}

let loadsSent = 0;

/** As many messages as asked for; each load has its own clients. */
async function send(scope: Scope, started: Started, messages: number, messagesPerSecond: number): Promise<LoadResult> {
  const { box, uploaded } = started;
  const result = await runLoad(scope, {
    port: box.mqttPort,
    connections: CONNECTIONS,
    messages,
    messagesPerSecond,
    clientPrefix: `l${loadsSent++}-`,
    timeoutMs: TIMEOUT_MS,
  });
  if (!result.complete) throw new Error(`the box did not take the load: ${result.errors.join('; ')}`);
  await uploaded(messages);
  return result;
}

const commitsOf = async (box: Box): Promise<number> => (await box.status()).store.commits;

interface Native {
  readonly commitsPerMessage: number;
  /** CPU time outside of the kernel for one message, and in it as a part of that. */
  readonly userNs: number;
  readonly kernel: number;
  readonly peakMiB: number;
}

/** Step 1; `perS` 0: as fast as it goes. */
async function native(place: Place, perS: number): Promise<Native> {
  await using life = new Lifetime();
  const started = await start(life, place, [process.execPath]);
  const { box } = started;
  await send(life, started, WARM_MESSAGES, 0);
  resetPeak(box.pid);
  const [before, commits] = [readUsage(box.pid), await commitsOf(box)];
  const load = startLoad(life, {
    port: box.mqttPort,
    connections: CONNECTIONS,
    messages: 100_000_000,
    messagesPerSecond: perS,
    timeoutMs: TIMEOUT_MS,
  });
  await sleep(NATIVE_SECONDS * 1000);
  const { acked } = await load.stop();
  const after = readUsage(box.pid);
  const systemS = after.systemS - before.systemS;
  const userS = after.cpuS - before.cpuS - systemS;
  return {
    commitsPerMessage: ((await commitsOf(box)) - commits) / acked,
    userNs: (userS * 1e9) / acked,
    kernel: systemS / userS,
    peakMiB: after.peakMiB,
  };
}

interface Cost {
  readonly commitsPerMessage: number;
  /** In user space, for one message. */
  readonly instructions: number;
}

/** Step 2: from the fewest commits to the most. */
async function cost(counter: InstructionCounter, place: Place): Promise<Cost[]> {
  await using life = new Lifetime();
  const started = await start(life, place, counter.command);
  const { box } = started;
  await send(life, started, WARM_MESSAGES, 0);
  // What comes one by one takes other ways through the box, which V8 has to find hot as well.
  await send(life, started, WARM_PER_S * WARM_SECONDS, WARM_PER_S);
  // The first count is thrown away: what the counter changes is compiled anew.
  await counter.count(box.pid, async () => void (await send(life, started, COUNTED_MESSAGES, 0)));
  const idlePerS = (await counter.count(box.pid, () => sleep(IDLE_SECONDS * 1000))) / IDLE_SECONDS;
  const costs: Cost[] = [];
  for (const perS of [0, ...counter.paces]) {
    const messages = perS === 0 ? COUNTED_MESSAGES : perS * COUNTED_SECONDS;
    const commits = await commitsOf(box);
    const startedMs = performance.now();
    const counted = await counter.count(box.pid, async () => void (await send(life, started, messages, perS)));
    const idle = (idlePerS * (performance.now() - startedMs)) / 1000;
    costs.push({
      commitsPerMessage: ((await commitsOf(box)) - commits) / messages,
      instructions: (counted - idle) / messages,
    });
  }
  console.error(`bench: ${place}: ${JSON.stringify(costs)}, idle ${Math.round(idlePerS)} instructions/s`);
  return costs.sort((a, b) => a.commitsPerMessage - b.commitsPerMessage);
}

/** On the line between the two counts around it; beyond the last one as at that, since commits do not grow cheaper. */
function between(costs: readonly Cost[], commitsPerMessage: number): number {
  const above = costs.findIndex((one) => one.commitsPerMessage >= commitsPerMessage);
  const [low, high] = [costs[above - 1] ?? costs[0], costs[above] ?? costs.at(-1)];
  if (low === undefined || high === undefined || low === high) return high?.instructions ?? Number.NaN;
  const part = (commitsPerMessage - low.commitsPerMessage) / (high.commitsPerMessage - low.commitsPerMessage);
  return low.instructions + (high.instructions - low.instructions) * Math.min(1, part);
}

/** Step 4: whether it took all of them. */
async function emulated(): Promise<string> {
  const machine = arm64(cache);
  if (machine === null) return 'not run: no Node for arm64 to be had';
  await using life = new Lifetime();
  const box = await startBox(life, {
    config: { lanes: LANES, upstream: { urls: ['nats-leaf://127.0.0.1:1'] } },
    command: [machine.emulator, '-L', machine.sysroot, machine.node],
    nodeArgs: ['--max-semi-space-size=1'],
    readyTimeoutMs: TIMEOUT_MS,
  });
  const { acked } = await send(life, { box, uploaded: async () => {} }, 5_000, 0);
  return `took ${acked} of 5000 messages`;
}

const thousands = (value: number): string =>
  Number(value.toPrecision(2)).toLocaleString('en-US', { maximumFractionDigits: 0 });
const percent = (value: number): string => `${Number((value * 100).toPrecision(2))} %`;

/** Messages per second of one core, or the share of one core at a pace; worst to best. */
function onBoard({ hz, ipc }: Board, instructions: number, perS: number | null): string {
  const [slow, fast] = [0, 1].map((at) => hz / ((instructions * (ISA[at] ?? 1)) / (ipc[at] ?? 1))) as [number, number];
  return perS === null
    ? `${thousands(slow)} to ${thousands(fast)}/s`
    : `${percent(perS / fast)} to ${percent(perS / slow)} of a core`;
}

await using counting = new Lifetime();
const counter = findInstructionCounter(tempDir(counting, 'instructions', cache));
if (counter === null) throw new Error('neither perf sees instructions here nor is there valgrind');

const loads = [
  { what: 'ingest, as fast as a core lets', place: 'ingest', perS: null },
  { what: 'device to hub, as fast as a core lets', place: 'edge', perS: null },
  ...PACES.map((perS) => ({ what: `device to hub, ${perS} messages/s`, place: 'edge', perS }) as const),
] as const;
const measured: {
  readonly what: string;
  readonly place: Place;
  readonly perS: number | null;
  readonly here: Native;
}[] = [];
for (const load of loads) measured.push({ ...load, here: await native(load.place, load.perS ?? 0) });
const costs = { ingest: await cost(counter, 'ingest'), edge: await cost(counter, 'edge') };

const lines = [['', 'messages per commit', 'instructions', 'of them in the kernel', ...BOARDS.map(({ name }) => name)]];
for (const { what, place, perS, here } of measured) {
  const user = between(costs[place], here.commitsPerMessage);
  const instructions = user * (1 + here.kernel);
  console.error(`bench: ${what}: ${(user / here.userNs).toFixed(1)} instructions for each ns in user space here`);
  lines.push([
    what,
    (1 / here.commitsPerMessage).toFixed(1),
    thousands(instructions),
    percent(here.kernel / (1 + here.kernel)),
    ...BOARDS.map((board) => onBoard(board, instructions, perS)),
  ]);
}
console.log(
  'An estimate, made without a Pi: per message, user instructions counted here, the kernel by its share of the time.',
);
for (const line of lines) console.log(`| ${line.join(' | ')} |`);
const peakMiB = Math.max(...measured.map(({ here }) => here.peakMiB));
for (const { name, memoryMiB } of BOARDS) {
  console.log(`Memory on a ${name}: ${Math.round(peakMiB)} MiB at its peak here, of ${memoryMiB}.`);
}
for (const { name, ipc } of BOARDS) console.log(`Assumed: ${ipc.join(' to ')} instructions per cycle on a ${name}.`);
console.log(`Assumed: ${ISA.toReversed().join(' to ')} arm64 instructions for one here. Counted by ${counter.tool}.`);
console.log('Not in it: the card. A PUBACK waits for its fsync, and fewer messages per commit cost more of the core.');
console.log(`Under emulation, which says nothing of speed, the arm64 box ${await emulated()}.`);
