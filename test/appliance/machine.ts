import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../support/child.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const CACHE = join(import.meta.dirname, '../../.cache');
const ROOT_TAR = join(CACHE, 'debian-root.tar');
const PACKAGES = 'systemd,systemd-sysv,dbus,ca-certificates,procps,iproute2';
const BOOT_TIMEOUT_MS = 120_000;

/**
 * A Debian machine with its own systemd and file system, in a container of the kernel; the network is this machine's. Run
 * as root. Its root file system is made once (half a minute, a network) and kept.
 */
export class Machine {
  readonly root: string;
  #nspawn: Child | null = null;
  #init = 0;

  constructor(root: string) {
    this.root = root;
  }

  /** Runs a command in the file system, whether it is booted or not; throws with its output where it fails. */
  run(...command: string[]): string {
    const [file = '', ...args] =
      this.#init > 0 ? ['nsenter', '-a', '-t', String(this.#init), ...command] : ['chroot', this.root, ...command];
    const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 });
    if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
    return stdout;
  }

  async boot(): Promise<void> {
    const options = ['--quiet', '--boot', '--register=no', '--keep-unit', '--console=pipe'];
    const nspawn = new Child('systemd-nspawn', ['-D', this.root, ...options]);
    this.#nspawn = nspawn;
    this.#init = await waitFor('the first process of the machine', () => childOf(nspawn.pid), {
      timeoutMs: BOOT_TIMEOUT_MS,
    });
    await waitFor('the machine to have booted', () => ['running', 'degraded'].includes(this.#state()), {
      timeoutMs: BOOT_TIMEOUT_MS,
    });
  }

  /** As at a power cut: nothing is told. */
  async cut(): Promise<void> {
    const init = this.#init;
    this.#init = 0;
    if (init === 0) return;
    // With the first process of its namespace go all others, at once; nspawn alone would leave them behind.
    process.kill(init, 'SIGKILL');
    await this.#nspawn?.exited;
    await waitFor('every process of the machine to be gone', () => !existsSync(`/proc/${init}`));
  }

  #state(): string {
    return spawnSync('nsenter', ['-a', '-t', String(this.#init), 'systemctl', 'is-system-running'], {
      encoding: 'utf8',
    }).stdout.trim();
  }
}

export async function makeMachine(scope: Scope): Promise<Machine> {
  mkdirSync(CACHE, { recursive: true });
  if (!existsSync(ROOT_TAR)) {
    execFileSync('mmdebstrap', ['--quiet', '--variant=apt', `--include=${PACKAGES}`, 'bookworm', ROOT_TAR], {
      stdio: 'inherit',
    });
  }
  const root = tempDir(scope, 'machine');
  execFileSync('tar', ['-xf', ROOT_TAR, '-C', root]);
  const machine = new Machine(root);
  atEnd(scope, () => machine.cut());
  return machine;
}

function childOf(pid: number): number {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const isInit = readFileSync(`/proc/${entry}/comm`, 'utf8').trim() === 'systemd';
      if (Number(parent) === pid && isInit) return Number(entry);
    } catch {
      // It has ended meanwhile.
    }
  }
  return 0;
}
