import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { countByPerf } from './sync-counter.ts';

const EVENT = 'instructions:u';

/** Counts what a box executes outside of the kernel, all its threads together. */
export interface InstructionCounter {
  readonly tool: 'perf' | 'callgrind';
  /** The program that runs the box. */
  readonly command: readonly string[];
  /** Messages per second at which it can count and the box keeps up. */
  readonly paces: readonly number[];
  count(pid: number, work: () => Promise<void>): Promise<number>;
}

/** perf where the machine lets it see the processor's counters, as few virtual ones do; else callgrind; else null. */
export function findInstructionCounter(dir: string): InstructionCounter | null {
  const { stderr } = spawnSync('perf', ['stat', '-x', ',', '-e', EVENT, 'true'], { encoding: 'utf8' });
  if (/^\d+,/m.test(stderr ?? '')) {
    return {
      tool: 'perf',
      command: [process.execPath],
      paces: [20_000, 5_000, 500],
      count: (pid, work) => countByPerf(EVENT, pid, join(dir, 'instructions'), work),
    };
  }
  if (spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status !== 0) return null;
  const options = [
    '--tool=callgrind',
    // The box replaces its own process once.
    '--trace-children=yes',
    // V8 writes code.
    '--smc-check=all-non-file',
    // Until it is asked to count it is some ten times slower than the machine, and then some fifty times.
    '--instr-atstart=no',
    `--callgrind-out-file=${join(dir, 'callgrind.%p')}`,
  ];
  return {
    tool: 'callgrind',
    command: ['valgrind', ...options, process.execPath],
    paces: [500, 150, 50],
    count: byCallgrind,
  };

  async function byCallgrind(pid: number, work: () => Promise<void>): Promise<number> {
    const order = (...args: string[]) => execFileSync('callgrind_control', [...args, String(pid)], { stdio: 'ignore' });
    order('--instr=on');
    order('--zero');
    await work();
    const before = new Set(readdirSync(dir));
    order('--dump');
    const dumps = readdirSync(dir).filter((name) => name.startsWith(`callgrind.${pid}.`) && !before.has(name));
    const totals = dumps.map((name) => /^totals: (\d+)/m.exec(readFileSync(join(dir, name), 'utf8'))?.[1]);
    return totals.reduce((sum, total) => sum + Number(total ?? 0), 0);
  }
}
