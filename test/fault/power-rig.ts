import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Box } from '../support/box.ts';
import { openJournal } from '../support/journal.ts';
import { fates, PowerCut } from '../support/power-cut.ts';
import { RuledDisk } from '../support/ruled-disk.ts';
import { atEnd, Lifetime } from '../support/scope.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Acked, nameOf, PowerLoad, type RetainedValue } from './power-load.ts';

/**
 * Power cuts. The real box runs under real MQTT and NATS load on a disk that logs its writes; the log is cut at random
 * points, what had not been synced by then is dropped, torn or reordered, and the store is opened on what is left.
 *
 *   box ══ writes, fsyncs ══▶ log ── cut here ──▶ folder as after the cut ──▶ every acknowledged message is there?
 */

/** The lane of the load; PubAcks answer NATS publishes into it. */
export const LANES = [{ name: 'd', subjects: ['d.>'] }];
const LANE_BYTES_MAX = 1024 * 1024 * 1024;
const RETAINED = { countMax: 1_000, bytesMax: 16 * 1024 * 1024 };
/** One life of a box is that long, or this many messages. */
const ACKED_MAX = 2_500;
const LIFE_MS_MAX = 30_000;
/** Lives on one store, each beginning with what the last cut of the one before left. */
const LIVES = 3;

export interface PowerOptions {
  cycles: number;
  /** Cuts of each life. */
  cutsPerLife: number;
  ackedPerLife?: number;
  /** Another build than that of this clone. */
  dist?: string;
  random: SeededRandom;
  say(line: string): void;
}

export interface PowerVerdict {
  cycles: number;
  lives: number;
  acked: number;
  /** One line for each cut after which something was wrong. */
  faults: string[];
}

/** What was acknowledged in earlier lives and must still be there. */
interface Kept {
  acked: Set<string>;
  retained: RetainedValue[];
}

/** Cuts in a log, each of them checked by opening the store. */
export async function cutStores(options: PowerOptions): Promise<PowerVerdict> {
  const verdict: PowerVerdict = { cycles: 0, lives: 0, acked: 0, faults: [] };
  while (verdict.cycles < options.cycles) {
    await using life = new Lifetime();
    const root = tempDir(life, 'power');
    let kept: Kept = { acked: new Set(), retained: [] };
    for (let n = 0; n < LIVES && verdict.cycles < options.cycles; n++) {
      kept = await oneLife(options, verdict, join(root, `${n}`), join(root, `${n - 1}`, 'left'), kept);
      verdict.lives++;
    }
  }
  return verdict;
}

async function oneLife(
  options: PowerOptions,
  verdict: PowerVerdict,
  dir: string,
  before: string,
  kept: Kept,
): Promise<Kept> {
  const { random } = options;
  await using life = new Lifetime();
  const disk = join(dir, 'disk');
  const copy = join(dir, 'before');
  for (const folder of [disk, copy]) {
    mkdirSync(folder, { recursive: true });
    if (existsSync(before)) cpSync(before, folder, { recursive: true });
  }
  rmSync(before, { recursive: true, force: true });
  const ruled = new RuledDisk(life, disk, dir, { logged: true });
  const dataDir = join(disk, 'data');
  const box = new Box(
    { dataDir, env: ruled.env, config: { lanes: LANES }, ...(options.dist && { dist: options.dist }) },
    dir,
  );
  atEnd(life, () => box.kill9());
  await box.start();
  const load = new PowerLoad(verdict.lives, ruled, random);
  const ready = ruled.logged;
  await load.start(box);
  const enough = options.ackedPerLife ?? ACKED_MAX;
  await waitFor('the load', () => load.acked.length >= enough, { timeoutMs: LIFE_MS_MAX }).catch(() => undefined);
  await box.kill9();
  await load.stop();
  verdict.acked += load.acked.length;

  const log = readFileSync(ruled.log);
  const cut = new PowerCut(log, disk, copy);
  const count = Math.min(options.cutsPerLife, options.cycles - verdict.cycles);
  // Half of them right behind an acknowledgement, where a promise was just made; some within the start.
  const marks = load.acked.map(({ logged }) => logged);
  const moments = random
    .moments(count, 0, 1)
    .map((share, i) => (i % 2 === 0 ? (marks[Math.floor(share * marks.length)] ?? 0) : Math.floor(share * log.length)))
    .sort((a, b) => a - b);
  let left = { ...kept };
  for (const [i, moment] of moments.entries()) {
    const isLast = i === moments.length - 1;
    const folder = join(dir, isLast ? 'left' : 'cut');
    const fate = fates[Math.floor(random.next() * fates.length)] ?? 'dropped';
    cut.advance(moment);
    cut.cut(folder, fate, random);
    left = keptAt(moment, load, kept);
    // The box dies with the cut after which it is looked at; a copy would be looked at otherwise.
    const looked = isLast ? join(dir, 'cut') : folder;
    if (isLast) cpSync(folder, looked, { recursive: true });
    const fault = await look(join(looked, 'data'), left, moment < ready && kept.acked.size === 0);
    if (fault !== '') {
      const where = `life ${verdict.lives}, at ${moment} of ${log.length}, ${fate}`;
      verdict.faults.push(`${where}: ${fault}`);
      options.say(`FAULT ${where}: ${fault}`);
    }
    verdict.cycles++;
    rmSync(looked, { recursive: true, force: true });
  }
  rmSync(disk, { recursive: true, force: true });
  return left;
}

function keptAt(moment: number, load: PowerLoad, before: Kept): Kept {
  const acked = new Set(before.acked);
  for (const { text, logged } of load.acked as Acked[]) if (logged <= moment) acked.add(text);
  const retained = [...before.retained, ...load.retained.filter(({ logged }) => logged <= moment)];
  return { acked, retained };
}

/** What is wrong with the store in this folder; '' for nothing. */
async function look(folder: string, { acked, retained }: Kept, isNew: boolean): Promise<string> {
  await using life = new Lifetime();
  if (!existsSync(join(folder, 'petiole.db'))) return acked.size > 0 && !isNew ? 'the store is gone' : '';
  const lanes = LANES.map((lane) => ({ ...lane, bytesMax: LANE_BYTES_MAX }));
  let journal: Awaited<ReturnType<typeof openJournal>>;
  try {
    journal = await openJournal(life, { folder, lanes, retained: RETAINED });
  } catch (error) {
    return `the store does not open: ${error instanceof Error ? error.message : error}`;
  }
  if ((journal.status().store?.ledger.length ?? 0) > 0) return JSON.stringify(journal.status().store?.ledger);
  const seen = new Set<string>();
  const last = new Map<string, number>();
  let sequence = 0;
  for (let after = 0, more = true; more; ) {
    const { batches, end } = await journal.records.read(0, after);
    more = batches.length > 0;
    after = end;
    for (const batch of batches) {
      for (let record = batch.next(); record; record = batch.next()) {
        if (record.sequence !== ++sequence) return `sequence ${record.sequence} where ${sequence} is due`;
        const name = nameOf(record.payload.toString());
        if (seen.has(name)) return `${name} is there twice`;
        seen.add(name);
        const dot = name.lastIndexOf('.');
        const [client, n] = [name.slice(0, dot), Number(name.slice(dot + 1))];
        if (n <= (last.get(client) ?? -1)) return `${name} is behind ${last.get(client)}`;
        last.set(client, n);
      }
    }
  }
  const missing = [...acked].filter((name) => !seen.has(name));
  if (missing.length > 0) return `${missing.length} acknowledged messages are missing: ${missing.slice(0, 3)}`;
  return lostRetained(journal, retained);
}

/** Each topic's value is at least as new as the last one that was acknowledged. */
function lostRetained(journal: Awaited<ReturnType<typeof openJournal>>, retained: readonly RetainedValue[]): string {
  const newest = new Map(retained.map((value) => [value.topic, value]));
  for (const { topic, life, n } of newest.values()) {
    const row = firstOf(journal.retained?.matching(topic.replaceAll('/', '.')));
    if (!row) return `the retained message of ${topic} is gone`;
    // Numbers begin anew in each life, and one that was not acknowledged yet may be there too.
    const [inLife = 0, , number = 0] = nameOf(row.payload.toString()).split('.').map(Number);
    if (inLife < life || (inLife === life && number < n)) return `the retained message of ${topic} is an older one`;
  }
  return '';
}

/** A search gives null between its steps. */
function firstOf<T>(found: Iterator<T | null> | undefined): T | null {
  for (let step = found?.next(); step && !step.done; step = found?.next()) if (step.value) return step.value;
  return null;
}
