import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withSystemPath } from '../support/child.ts';

/** `sync_interval: always` came with 2.10; Debian bookworm has 2.9. */
const MINOR_MIN = 10;
/** Where Debian keeps newer ones; the first that can be had wins. */
const SUITES = ['sid', 'trixie'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const APT_TIMEOUT_MS = 120_000;

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
    if (!existsSync(path)) download(suite, dir);
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
    if (!existsSync(path)) download(suite, dir);
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
export function versionOf(path: string): string | null {
  // mosquitto knows no --version and says it with its usage.
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', env: withSystemPath(process.env) });
  return /(?:v|version )(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1] ?? null;
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || minor >= MINOR_MIN;
}

/**
 * By apt in a tree of its own, so that the machine's package lists stay as they are. The binary is static and runs from
 * where it was unpacked. Leaves nothing behind where the archive can't be reached.
 */
function download(suite: string, dir: string): void {
  const archive = archiveOf();
  if (archive === null) return;
  for (const folder of ['etc', 'lists/partial', 'cache/archives/partial', 'root'])
    mkdirSync(join(dir, folder), { recursive: true });
  writeFileSync(join(dir, 'etc/sources.list'), `deb [signed-by=${KEYRING}] ${archive} ${suite} main\n`);
  const apt = [
    `-oDir::Etc=${join(dir, 'etc')}`,
    '-oDir::Etc::Parts=/dev/null',
    '-oDir::Etc::SourceParts=/dev/null',
    `-oDir::State::Lists=${join(dir, 'lists')}`,
    `-oDir::Cache=${join(dir, 'cache')}`,
  ];
  const run = (program: string, args: string[]) =>
    execFileSync(program, args, { cwd: dir, stdio: ['ignore', 'ignore', 'ignore'], timeout: APT_TIMEOUT_MS });
  try {
    run('apt-get', [...apt, 'update']);
    run('apt-get', [...apt, 'download', `nats-server/${suite}`]);
    const file = readdirSync(dir).find((name) => name.endsWith('.deb'));
    if (file !== undefined) run('dpkg-deb', ['-x', file, 'root']);
  } catch {
    // Offline, or no Debian: the caller says that this peer is missing.
  }
}

/** The address of the Debian archive that this machine uses. */
function archiveOf(): string | null {
  for (const file of ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list']) {
    if (!existsSync(file)) continue;
    const found = /^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(\S+\/debian\/?)(?:\s|$)/m.exec(readFileSync(file, 'utf8'));
    if (found?.[1] !== undefined) return found[1];
  }
  return null;
}
