import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { withSystemPath } from '../support/child.ts';
import { unpackDebian } from './debian-archive.ts';

/** `sync_interval: always` came with 2.10; Debian bookworm has 2.9. */
const MINOR_MIN = 10;
/** Where Debian keeps newer ones; the first that can be had wins. */
const SUITES = ['sid', 'trixie'];

export interface Program {
  path: string;
  version: string;
}

/** The nats-server to compare with: the one on PATH when new enough, else Debian's newer one in `cacheDir`, else null. */
export function findNewerNatsServer(cacheDir: string): Program | null {
  const installed = versionOf('nats-server');
  if (installed !== null && isNewEnough(installed)) return { path: 'nats-server', version: installed };
  for (const suite of SUITES) {
    const dir = join(cacheDir, `nats-server-${suite}`);
    const path = join(dir, 'root/usr/sbin/nats-server');
    if (!existsSync(path)) unpackDebian(['nats-server'], dir, { suite });
    const version = versionOf(path);
    if (version !== null && isNewEnough(version)) return { path, version };
  }
  return null;
}

/** Every version that can be had: the one on PATH and Debian's newer ones, in `cacheDir`. Lowest version first. */
export function allNatsServers(cacheDir: string): { found: Program[]; missing: string[] } {
  const found = new Map<string, Program>();
  const missing: string[] = [];
  const add = (path: string): boolean => {
    const version = versionOf(path);
    if (version !== null && !found.has(version)) found.set(version, { path, version });
    return version !== null;
  };
  if (!add('nats-server')) missing.push('sudo apt-get install -y nats-server');
  for (const suite of SUITES) {
    const dir = join(cacheDir, `nats-server-${suite}`);
    const path = join(dir, 'root/usr/sbin/nats-server');
    if (!existsSync(path)) unpackDebian(['nats-server'], dir, { suite });
    if (!add(path)) {
      const folder = join(dir, 'root');
      missing.push(
        `apt-get download nats-server/${suite} && dpkg-deb -x nats-server_*.deb ${folder} (with ${suite} among the sources)`,
      );
    }
  }
  const minor = ({ version }: Program): number => Number(version.split('.')[1]);
  return { found: [...found.values()].sort((a, b) => minor(a) - minor(b)), missing };
}

/** Version of nats-server or mosquitto; null where it does not run. */
export function versionOf(path: string, args: readonly string[] = []): string | null {
  // mosquitto knows no --version and says it with its usage, 2.1 without the word.
  const { stdout } = spawnSync(path, [...args, '--version'], { encoding: 'utf8', env: withSystemPath(process.env) });
  return /(?:v|version |mosquitto )(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1] ?? null;
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || minor >= MINOR_MIN;
}
