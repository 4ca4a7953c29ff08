import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

/** What one process, all its threads included, has used since it started. */
export interface Usage {
  cpuS: number;
  /** Of that, in the kernel. */
  systemS: number;
  residentMiB: number;
  /** Of that, without the pages of programs and files: those are clean, shared, and come as they are touched. */
  ownMiB: number;
  /** Highest resident memory since the start or the last `resetPeak`. */
  peakMiB: number;
  /** Bytes that the process caused to be written to the disk (`write_bytes`: dirtied pages, not system calls). */
  writtenBytes: number;
  /** By read calls, from the disk or from memory. */
  readBytes: number;
}

const TICKS_PER_S = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
/** Places of utime and stime after the command name in /proc/<pid>/stat, proc(5). */
const UTIME = 11;
const STIME = 12;

export function readUsage(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command name stands in brackets and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[UTIME]) + Number(fields[STIME]);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const io = readFileSync(`/proc/${pid}/io`, 'utf8');
  return {
    cpuS: ticks / TICKS_PER_S,
    systemS: Number(fields[STIME]) / TICKS_PER_S,
    residentMiB: numberAfter(status, 'VmRSS:') / 1024,
    ownMiB: numberAfter(status, 'RssAnon:') / 1024,
    peakMiB: numberAfter(status, 'VmHWM:') / 1024,
    writtenBytes: numberAfter(io, 'write_bytes:'),
    readBytes: numberAfter(io, 'rchar:'),
  };
}

/** Lets `peakMiB` begin anew at what is resident now. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function numberAfter(text: string, label: string): number {
  // The label at the start of a line: `cancelled_write_bytes:` ends like `write_bytes:`.
  return Number(new RegExp(`^${label}\\s*(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** The type of the file system that holds `dir`: an fsync on tmpfs costs nothing and proves nothing. */
export function fileSystemOf(dir: string): string {
  return execFileSync('stat', ['-f', '-c', '%T', dir], { encoding: 'utf8' }).trim();
}
