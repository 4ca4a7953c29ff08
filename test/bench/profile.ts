import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Box } from '../support/box.ts';

/** Functions of one profile in the summary. */
const SHOWN = 15;
/** A box that was not under load has nothing to tell. */
const BUSY_MS_MIN = 200;

interface Call {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: Call }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface HeapNode {
  readonly callFrame: Call;
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
}

/** Every box that is started from now on writes its profiles into the folder, which is emptied first. */
export function profileBoxes(folder: string): void {
  const dir = resolve(folder);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  Box.profiling = ['--cpu-prof', `--cpu-prof-dir=${dir}`, '--heap-prof', `--heap-prof-dir=${dir}`];
}

/** For each thread of each box the functions with the most time, or the most bytes alive, of their own. */
export function profiled(folder: string): string {
  const dir = resolve(folder);
  const parts = readdirSync(dir)
    .sort()
    .map((name) => {
      const text = readFileSync(join(dir, name), 'utf8');
      if (name.endsWith('.cpuprofile')) return cpuSummary(name, JSON.parse(text));
      if (name.endsWith('.heapprofile')) return heapSummary(name, JSON.parse(text));
      return '';
    });
  return parts.filter((part) => part !== '').join('\n\n');
}

function cpuSummary(name: string, { nodes, samples, timeDeltas }: CpuProfile): string {
  const calls = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let busy = 0;
  for (const [at, id] of samples.entries()) {
    const call = calls.get(id) ?? '';
    const ms = (timeDeltas[at] ?? 0) / 1000;
    if (call.startsWith('(idle)')) continue;
    busy += ms;
    times.set(call, (times.get(call) ?? 0) + ms);
  }
  if (busy < BUSY_MS_MIN) return '';
  return table(`${name}: busy for ${Math.round(busy)} ms`, times, busy, 'ms');
}

function heapSummary(name: string, { head }: { head: HeapNode }): string {
  const sizes = new Map<string, number>();
  let total = 0;
  const visit = ({ callFrame, selfSize, children }: HeapNode): void => {
    const call = nameOf(callFrame);
    sizes.set(call, (sizes.get(call) ?? 0) + selfSize / 1024);
    total += selfSize / 1024;
    for (const child of children) visit(child);
  };
  visit(head);
  return table(`${name}: ${Math.round(total)} KiB sampled and alive at its end`, sizes, total, 'KiB');
}

function table(title: string, costs: ReadonlyMap<string, number>, total: number, unit: string): string {
  const most = [...costs].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  const rows = most.map(([call, cost]) => {
    const share = `${((cost / total) * 100).toFixed(1)} %`;
    return `  ${cost.toFixed(1).padStart(10)} ${unit}  ${share.padStart(7)}  ${call}`;
  });
  return [title, ...rows].join('\n');
}

function nameOf({ functionName, url, lineNumber }: Call): string {
  const where = url === '' ? '' : ` ${basename(url)}:${lineNumber + 1}`;
  return `${functionName || '(anonymous)'}${where}`;
}
