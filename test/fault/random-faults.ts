import {
  closeSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { ENOSPC, RuledDisk } from '../support/ruled-disk.ts';
import type { Scope } from '../support/scope.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Rig, type RigOptions, startRig } from './rig.ts';

/**
 * Everything that can go wrong, drawn by a seed: what happens to the box, to its disk and its clock, and at the same time
 * to the link and the hub. The plan is drawn before anything runs, so a seed always gives the same plan.
 */

const DAY_S = 24 * 3600;
/** A slow card: every fsync takes that long. */
const SYNC_MS = 400;
/** Half of the rounds have a fault on both sides. */
const BOTH_SIDES = 0.5;
/** Behind all seeds of plans. */
const SAVER_SEEDS = 1_000_000_000;
const WAIT = { timeoutMs: 180_000, intervalMs: 50 };

/** What a fault may break. `share`, 0 to 1, and the lengths of its pauses come with the plan. */
export interface Ground {
  rig: Rig;
  disk: RuledDisk;
  setClock(offsetS: number): void;
  hubDir: string;
  /** A copy of the hub's folder, as its last fsync would have left it. */
  copyDir: string;
}

interface Step {
  name: string;
  pauseMs: number;
  share: number;
}

type Fault = (ground: Ground, step: Step) => Promise<void>;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const ON_THE_BOX: Record<string, Fault> = {
  async kill({ rig }, { pauseMs }) {
    await rig.box.kill9();
    await sleep(pauseMs / 4);
    await rig.box.start();
  },
  /** Standing still and going on, as under an overload or a debugger. */
  async stall({ rig }, { pauseMs }) {
    rig.box.signal('SIGSTOP');
    await sleep(pauseMs);
    rig.box.signal('SIGCONT');
  },
  async 'disk full'({ disk }, { pauseMs }) {
    disk.rule('writeErrno', ENOSPC);
    await sleep(pauseMs);
    disk.rule('writeErrno', 0);
  },
  async 'slow disk'({ disk }, { pauseMs }) {
    disk.rule('syncMs', SYNC_MS);
    await sleep(pauseMs);
    disk.rule('syncMs', 0);
  },
  /** By up to ten years, back or forth. */
  async 'clock step'({ setClock }, { share, pauseMs }) {
    setClock(Math.round((share - 0.5) * 20 * 365 * DAY_S));
    await sleep(pauseMs);
  },
  /** While it is down: a bit, a page or the end of the store. The WAL is let be: its tail is torn by every power cut. */
  async 'corrupt file'({ rig }, { share }) {
    await rig.box.kill9();
    damage(join(rig.box.dataDir, 'petiole.db'), share);
    await rig.box.start();
  },
};

const ON_THE_WAY: Record<string, Fault> = {
  async cut({ rig }, { pauseMs }) {
    await sleep(pauseMs / 4);
    rig.link.cut();
  },
  /** What comes down is lost, then the link: the hub has what the box does not know of. */
  async 'answers lost'({ rig }, { pauseMs }) {
    rig.link.swallow('down');
    await sleep(pauseMs);
    rig.link.cut();
  },
  async 'half-open'({ rig }) {
    const { connections } = rig.link;
    rig.link.blackhole();
    await waitFor('the link to be given up', () => rig.link.connections > connections || !rig.box.running, WAIT);
  },
  async 'hub stall'({ rig }, { pauseMs }) {
    rig.hub.pause();
    await sleep(pauseMs);
    rig.hub.resume();
  },
  async 'hub kill'({ rig }, { pauseMs }) {
    await rig.hub.kill();
    await sleep(pauseMs / 2);
    await rig.hub.restart();
  },
  /** The hub comes back as it was some seconds ago. */
  async 'hub rollback'({ rig, hubDir, copyDir }, { pauseMs }) {
    await rig.hub.stop();
    rmSync(copyDir, { recursive: true, force: true });
    cpSync(hubDir, copyDir, { recursive: true });
    await rig.hub.restart();
    await sleep(pauseMs);
    await rig.hub.kill();
    rmSync(hubDir, { recursive: true, force: true });
    cpSync(copyDir, hubDir, { recursive: true });
    await rig.hub.restart();
  },
};

export const faultNames = [...Object.keys(ON_THE_BOX), ...Object.keys(ON_THE_WAY)];

export interface Round {
  steps: { onTheBox: Step | null; onTheWay: Step | null };
  text: string;
}

/** Whether the hub's PubAck may be the receipt in an episode; drawn by itself, so that a seed keeps its plan. */
export function isSaving(seed: number): boolean {
  return new SeededRandom(seed + SAVER_SEEDS).chance(0.5);
}

/** The hub is put back while the box loses what it keeps in memory: with its process, or with a store that is opened anew. */
export function isForgotten({ steps: { onTheBox, onTheWay } }: Round): boolean {
  return onTheWay?.name === 'hub rollback' && ['kill', 'disk full'].includes(onTheBox?.name ?? '');
}

/** The faults of one episode. */
export function planOf(seed: number, rounds: number): Round[] {
  const random = new SeededRandom(seed);
  const draw = (faults: Record<string, Fault>): Step => {
    const names = Object.keys(faults);
    const name = names[Math.floor(random.next() * names.length)] ?? '';
    return { name, pauseMs: Math.round(random.between(200, 2_000)), share: random.next() };
  };
  return Array.from({ length: rounds }, () => {
    const isBoth = random.chance(BOTH_SIDES);
    const isBox = random.chance(0.5);
    let onTheBox = isBoth || isBox ? draw(ON_THE_BOX) : null;
    const onTheWay = isBoth || !isBox ? draw(ON_THE_WAY) : null;
    // Two copies of the same record in one moment: nobody can give that back, so it is no promise.
    if (onTheBox?.name === 'corrupt file' && onTheWay?.name === 'hub rollback') onTheBox = null;
    return {
      steps: { onTheBox, onTheWay },
      text: [onTheBox, onTheWay].flatMap((step) => step?.name ?? []).join(' + '),
    };
  });
}

/** Applies one round and waits until records flow again. */
export async function apply(ground: Ground, { steps: { onTheBox, onTheWay } }: Round): Promise<void> {
  await Promise.all([
    onTheBox && ON_THE_BOX[onTheBox.name]?.(ground, onTheBox),
    onTheWay && ON_THE_WAY[onTheWay.name]?.(ground, onTheWay),
  ]);
  const { rig } = ground;
  await rig.mendLink();
  await waitFor('records to flow', () => rig.untilFlowing().then(() => true), { ...WAIT, timeoutMs: 300_000 });
}

/** A running rig whose box has a disk and a clock that the test rules. */
export async function startGround(
  scope: Scope,
  options: Omit<RigOptions, 'messages' | 'kills' | 'outages' | 'cuts' | 'prefix'>,
): Promise<Ground> {
  const [library = ''] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');
  if (!existsSync(library)) throw new Error('libfaketime is missing: see test/support/setup.ts');
  const dir = tempDir(scope, 'random');
  const root = join(dir, 'disk');
  mkdirSync(root);
  const disk = new RuledDisk(scope, root, dir);
  const offset = join(dir, 'offset');
  const setClock = (seconds: number) => writeFileSync(offset, `${seconds < 0 ? '' : '+'}${seconds}`);
  setClock(0);
  const env = {
    ...disk.env,
    LD_PRELOAD: `${disk.env.LD_PRELOAD} ${library}`,
    FAKETIME_TIMESTAMP_FILE: offset,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  const hubDir = join(dir, 'hub');
  mkdirSync(hubDir);
  const none = { messages: 0, kills: 0, outages: 0, cuts: 0, prefix: '' };
  const rig = await startRig(scope, { ...options, ...none, hubDir, box: { dataDir: join(root, 'data'), env } });
  return { rig, disk, setClock, hubDir, copyDir: join(dir, 'copy') };
}

const PAGE_BYTES = 4096;

function damage(file: string, share: number): void {
  const { size } = statSync(file);
  const kind = Math.floor(share * 3_000) % 3;
  const at = Math.floor(share * size);
  if (kind === 0) {
    truncateSync(file, at);
    return;
  }
  const handle = openSync(file, 'r+');
  const page = Math.floor(at / PAGE_BYTES) * PAGE_BYTES;
  const bytes = Buffer.alloc(kind === 1 ? PAGE_BYTES : 1);
  if (kind === 2) {
    readSync(handle, bytes, 0, 1, at);
    bytes[0] = (bytes[0] ?? 0) ^ (1 << (at % 8));
  }
  writeSync(handle, bytes, 0, bytes.length, kind === 1 ? page : at);
  closeSync(handle);
}
