import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const APT_TIMEOUT_MS = 120_000;

export interface ArchiveOptions {
  /** Default: the suite of this machine. */
  suite?: string;
  /** Debian's name of it; default: this machine's. */
  architecture?: string;
}

/**
 * Unpacks Debian packages, without what they depend on, into `${dir}/root`. By apt in a tree of its own, so that the
 * machine's package lists stay as they are. Leaves nothing in `root` where the archive can't be reached, or there is no
 * Debian: the caller says what is missing.
 */
export function unpackDebian(packages: readonly string[], dir: string, options: ArchiveOptions = {}): void {
  const archive = archiveOf();
  const { suite = suiteOf(), architecture } = options;
  if (archive === null || suite === null) return;
  for (const folder of ['etc', 'lists/partial', 'cache/archives/partial', 'root'])
    mkdirSync(join(dir, folder), { recursive: true });
  writeFileSync(join(dir, 'etc/sources.list'), `deb [signed-by=${KEYRING}] ${archive} ${suite} main\n`);
  const apt = [
    `-oDir::Etc=${join(dir, 'etc')}`,
    '-oDir::Etc::Parts=/dev/null',
    '-oDir::Etc::SourceParts=/dev/null',
    `-oDir::State::Lists=${join(dir, 'lists')}`,
    `-oDir::State::Status=${join(dir, 'etc/status')}`,
    `-oDir::Cache=${join(dir, 'cache')}`,
    ...(architecture === undefined
      ? []
      : [`-oAPT::Architecture=${architecture}`, `-oAPT::Architectures::=${architecture}`]),
  ];
  writeFileSync(join(dir, 'etc/status'), '');
  const run = (program: string, args: string[]) =>
    execFileSync(program, args, { cwd: dir, stdio: ['ignore', 'ignore', 'ignore'], timeout: APT_TIMEOUT_MS });
  try {
    run('apt-get', [...apt, 'update']);
    run('apt-get', [...apt, 'download', ...packages.map((name) => `${name}/${suite}`)]);
    for (const file of readdirSync(dir).filter((name) => name.endsWith('.deb'))) run('dpkg-deb', ['-x', file, 'root']);
  } catch {
    // Offline, or no Debian.
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

function suiteOf(): string | null {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1] ?? null;
}
