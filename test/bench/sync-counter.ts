import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../support/child.ts';

const ATTACH_TIMEOUT_MS = 10_000;
/** perf says nothing when it has attached. */
const PERF_ATTACH_MS = 300;
const PERF_EVENTS = 'syscalls:sys_enter_fsync,syscalls:sys_enter_fdatasync';

export type SyncTool = 'perf' | 'strace';

/** perf counts without slowing the process down; strace, where perf is absent, makes every system call slower. */
export function findSyncTool(): SyncTool | null {
  if (spawnSync('perf', ['stat', '-e', PERF_EVENTS, 'true'], { stdio: 'ignore' }).status === 0) return 'perf';
  return spawnSync('strace', ['-c', '-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0 ? 'strace' : null;
}

/** How often the process and its threads called fsync or fdatasync while `work` ran. */
export async function countSyncs(
  tool: SyncTool,
  pid: number,
  file: string,
  work: () => Promise<void>,
): Promise<number> {
  if (tool === 'perf') return countByPerf(PERF_EVENTS, pid, file, work);
  const args = ['-f', '-c', '-e', 'trace=fsync,fdatasync', '-o', file, '-p', String(pid)];
  const counter = new Child(tool, args);
  await counter.line('attached', (line) => line.includes('attached'), ATTACH_TIMEOUT_MS);
  try {
    await work();
  } finally {
    counter.signal('SIGINT');
    await counter.exited;
  }
  return readStrace(file);
}

/** The sum of what perf counts of these events (with commas between them) in the process and its threads. */
export async function countByPerf(
  events: string,
  pid: number,
  file: string,
  work: () => Promise<void>,
): Promise<number> {
  const counter = new Child('perf', ['stat', '-x', ',', '-o', file, '-e', events, '-p', String(pid)]);
  await sleep(PERF_ATTACH_MS);
  try {
    await work();
  } finally {
    counter.signal('SIGINT');
    await counter.exited;
  }
  const counts = readFileSync(file, 'utf8').match(/^\d+(?=,)/gm) ?? [];
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

/** Lines such as `99.1 0.5 120 400 [errors] fsync`: the calls stand in the fourth column. */
function readStrace(file: string): number {
  const lines = readFileSync(file, 'utf8').split('\n');
  const counted = lines.filter((line) => /\s(fsync|fdatasync)$/.test(line));
  return counted.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[3]), 0);
}
