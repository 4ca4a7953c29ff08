import { setFlagsFromString } from 'node:v8';

/**
 * Node's defaults are for servers with gigabytes. These were chosen by `npm run bench` (resident memory under load): a
 * young generation that does not grow to three times 16 MiB, and an old one that is collected after 15 % of growth. What
 * survives in so small a young one is copied in a fifth of a millisecond: where other threads help, they are waited for,
 * on a busy machine for many.
 */
const V8_FLAGS = [
  '--max-semi-space-size=1',
  '--no-parallel-scavenge',
  '--heap-growing-percent=15',
  '--expose-gc',
  '--no-opt',
  '--no-maglev',
];
/** glibc keeps an arena for each thread, and what is freed in them; with one, freed socket buffers are used again. */
const MALLOC = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '131072' };

/**
 * Heap limits hold from the start of a process, so it replaces itself once, under the same process id. Flags given by
 * hand, and a Node without execve (before 22.15), are left as they are.
 */
export function useSmallMemory(): void {
  const given = `${process.execArgv.join(' ')} ${process.env.NODE_OPTIONS ?? ''}`;
  if (given.includes('--max-semi-space-size') || process.execve === undefined) return;
  const args = [process.execPath, ...process.execArgv, ...V8_FLAGS, ...process.argv.slice(1)];
  process.execve(process.execPath, args, { ...MALLOC, ...process.env });
}

/**
 * Once, before any load: gives back what starting up has left behind (parsed sources, the configuration's tree), and lets
 * V8 optimize from now on. Hundreds of small modules are hot code too, and to compile that well costs 7 MiB resident.
 */
export function settleDown(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const given = process.execArgv;
  for (const off of ['--no-opt', '--no-maglev']) if (given.includes(off)) setFlagsFromString(off.replace('no-', ''));
}
