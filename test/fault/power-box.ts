import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Box } from '../support/box.ts';
import { connectHub, createStream, readStream } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { fates, PowerCut } from '../support/power-cut.ts';
import { RuledDisk } from '../support/ruled-disk.ts';
import { atEnd, Lifetime } from '../support/scope.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { nameOf, PowerLoad } from './power-load.ts';
import { LANES } from './power-rig.ts';

/**
 * Power cuts of the whole box, with a real hub that stays: the box is killed while it takes messages and sends them up,
 * its disk loses what was not synced, and the next box starts on what is left. At the end the hub must have every
 * acknowledged message, each record once: what it did not have at the cut can only have come from the disk.
 */

const STREAM = 'D';
const DRAIN_TIMEOUT_MS = 60_000;
/** Receipts that show that the load goes on. */
const ACKED_MIN = 100;
/** What happens to the link shortly before the power goes: with the flash saver it decides where a message is safe. */
const WAYS = ['well', 'answers lost', 'records lost'] as const;

export interface BoxCutOptions {
  cycles: number;
  random: SeededRandom;
  /** Another build than that of this clone. */
  dist?: string;
  /** `journal.flush: { saver: true }`: the hub's PubAck may be the receipt. */
  saver?: boolean;
  /** Of the link; default: drawn. */
  way?: (typeof WAYS)[number];
}

export interface BoxCutVerdict {
  cycles: number;
  acked: number;
  atHub: number;
  /** Messages that had their receipt from the hub and were never on the disk, as far as the boxes lived to tell. */
  spared: number;
  faults: string[];
}

export async function cutBoxes({ cycles, random, dist, saver, way }: BoxCutOptions): Promise<BoxCutVerdict> {
  await using rig = new Lifetime();
  const hub = await startNatsServer(rig, { jetstream: true, leafnodes: BEHIND_PROXY });
  const link = await startTcpProxy(rig, hub.leafPort);
  const reader = await connectHub(rig, hub.clientUrl);
  // Shorter than a restart of the box: nothing may hide behind the hub's own memory of message ids.
  await createStream(reader, STREAM, ['d.>'], { duplicate_window: 200_000_000 });
  // Numbers that the saver had set aside are declared after a cut.
  await createStream(reader, 'LEDGER', ['petiole.*.ledger']);
  const root = tempDir(rig, 'power-box');
  const config = {
    lanes: LANES,
    ...(saver && { journal: { flush: { saver: true } } }),
    upstream: { urls: [`nats://127.0.0.1:${link.port}`], ack_timeout: '5s' },
  };
  const acked = new Set<string>();
  let spared = 0;
  let before = join(root, 'new');
  mkdirSync(before);
  for (let n = 0; n < cycles; n++) {
    await using life = new Lifetime();
    const dir = join(root, `${n}`);
    const disk = join(dir, 'disk');
    cpSync(before, disk, { recursive: true });
    const ruled = new RuledDisk(life, disk, dir, { logged: true });
    const box = new Box({ dataDir: join(disk, 'data'), env: ruled.env, config, ...(dist && { dist }) }, dir);
    atEnd(life, () => box.kill9());
    await box.start();
    const load = new PowerLoad(n, ruled, random);
    await load.start(box);
    await sleep(random.between(50, 900));
    if (saver) spared += await untilHeld(box, load);
    const end = way ?? WAYS[Math.floor(random.next() * WAYS.length)];
    if (end === 'answers lost') link.swallow('down');
    if (end === 'records lost') link.swallow('up');
    await sleep(random.between(0, 400));
    await box.kill9();
    await load.stop();
    link.cut();
    await link.restore();
    for (const { text } of load.acked) acked.add(text);
    const log = readFileSync(ruled.log);
    const cut = new PowerCut(log, disk, before);
    cut.advance(log.length);
    const left = join(root, `left-${n}`);
    cut.cut(left, fates[Math.floor(random.next() * fates.length)] ?? 'dropped', random);
    rmSync(before, { recursive: true });
    rmSync(disk, { recursive: true });
    before = left;
  }
  const box = new Box({ dataDir: join(before, 'data'), config }, root);
  atEnd(rig, () => box.kill9());
  await box.start();
  const drained = async () => {
    const { lanes, store } = await box.status();
    return store.queuedMessages === 0 && lanes.every((lane: { depth: number }) => lane.depth === 0);
  };
  await waitFor('the lanes to be empty', drained, { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 100 });
  return { cycles, acked: acked.size, spared, ...(await judge(reader, acked)) };
}

/** Until the lane keeps up, so that the hub's PubAcks are receipts. How many messages were spared the disk so far. */
async function untilHeld(box: Box, load: PowerLoad): Promise<number> {
  const { length } = load.acked;
  const keepsUp = async () => {
    const { state } = (await box.status()).lanes[0];
    return ['idle', 'sending'].includes(state) && load.acked.length > length + ACKED_MIN;
  };
  await waitFor('the lane to keep up', keepsUp, { timeoutMs: DRAIN_TIMEOUT_MS });
  return (await box.status()).store.saver.spared;
}

async function judge(
  reader: Awaited<ReturnType<typeof connectHub>>,
  acked: Set<string>,
): Promise<{ atHub: number; faults: string[] }> {
  const names = new Map<string, string>();
  const ids = new Set<string>();
  const epochs = new Set<string>();
  const faults: string[] = [];
  await readStream(reader, STREAM, ({ payload, id }) => {
    const name = nameOf(Buffer.from(payload).toString());
    // No client sends again here, so a message is as unique as a record.
    const first = names.get(name);
    if (first !== undefined || ids.has(id))
      faults.push(`${name} (${id}) is there twice, before as ${first ?? 'another'}`);
    names.set(name, id);
    ids.add(id);
    epochs.add(id.split('.')[1] ?? '');
  });
  const missing = [...acked].filter((name) => !names.has(name));
  if (missing.length > 0) faults.push(`${missing.length} acknowledged messages are missing: ${missing.slice(0, 3)}`);
  if (epochs.size > 1) faults.push(`${epochs.size} epochs: a store was taken for lost`);
  return { atHub: names.size, faults };
}
