import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from './scope.ts';

/** In the order of the int32 in the control file; see ruled-disk.c. */
const CONTROLS = ['readErrno', 'writeErrno', 'syncErrno', 'syncMs'] as const;
export type DiskRule = (typeof CONTROLS)[number];

/** As in <errno.h> of Linux. */
export const EIO = 5;
export const ENOSPC = 28;

/** A tenth of a second. */
function compile(dir: string): string {
  const library = join(dir, 'ruled-disk.so');
  const source = join(import.meta.dirname, 'ruled-disk.c');
  execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-o', library, source, '-ldl', '-lpthread']);
  return library;
}

/** The disk below one folder, as a process sees it that is started with `env`. */
export class RuledDisk {
  readonly root: string;
  readonly log: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #control: number;

  /** `dir`: where the control file and the log go; not below `root`. */
  constructor(scope: Scope, root: string, dir: string, { logged = false } = {}) {
    this.root = root;
    this.log = join(dir, 'writes.log');
    const control = join(dir, 'disk.control');
    this.#control = openSync(control, 'w+');
    ftruncateSync(this.#control, CONTROLS.length * 4);
    this.env = {
      LD_PRELOAD: compile(dir),
      DISK_ROOT: root,
      DISK_CONTROL: control,
      ...(logged && { DISK_LOG: this.log }),
    };
    scope.after(async () => closeSync(this.#control));
  }

  /** From now on; 0 takes it back. */
  rule(rule: DiskRule, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    writeSync(this.#control, bytes, 0, 4, CONTROLS.indexOf(rule) * 4);
  }

  /** How far the log has got. */
  get logged(): number {
    return statSync(this.log, { throwIfNoEntry: false })?.size ?? 0;
  }
}
