import type { ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import type { Log } from '../core/log.ts';
import { once, type Service } from '../core/service.ts';

/** Three chances to be heard within WatchdogSec: one lost or late notification is not the end. */
const FEEDS_PER_WATCHDOG = 3;
/** How often the sentence in `systemctl status` is renewed where there is no watchdog. */
const STATUS_MS = 30_000;
/** A probe that takes longer has no answer; the next round asks again. */
const PROBE_MS = 5_000;
/** systemd-notify writes one datagram; where it hangs, it is not waited for. */
const NOTIFY_MS = 5_000;

export interface ServiceManagerOptions {
  /** Of the process: NOTIFY_SOCKET and WATCHDOG_USEC, as `sd_notify(3)` and `sd_watchdog_enabled(3)` have them. */
  env: Readonly<Record<string, string | undefined>>;
  /** What `systemctl status` shows; one line. */
  sentence: () => string;
  /** What must answer for the box to be alive, by name. Each is given `PROBE_MS`. */
  probes: () => ReadonlyMap<string, () => Promise<void>>;
  log: Log;
}

export interface ServiceManagerStatus {
  /** False where no service manager asked to be told. */
  notifying: boolean;
  /** 0: no watchdog. */
  watchdogMs: number;
  /** What did not answer at the last look. */
  silent: string[];
}

/**
 * Tells the service manager what the box is doing: READY, STATUS and STOPPING, and WATCHDOG only while everything that a
 * sensor needs answers. A box whose writer thread hangs is restarted, however lively its event loop.
 *
 * Node has no datagram sockets of the UNIX family, so `systemd-notify` sends: the unit says NotifyAccess=all.
 */
export class ServiceManager implements Service {
  readonly #options: ServiceManagerOptions;
  readonly #socket: string;
  readonly #watchdogMs: number;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #silent: string[] = [];
  #failed = false;

  constructor(options: ServiceManagerOptions) {
    this.#options = options;
    this.#socket = options.env.NOTIFY_SOCKET ?? '';
    const watchdogUs = Number(options.env.WATCHDOG_USEC ?? 0);
    const forUs = options.env.WATCHDOG_PID === undefined || options.env.WATCHDOG_PID === String(process.pid);
    this.#watchdogMs = this.#socket !== '' && forUs && watchdogUs > 0 ? watchdogUs / 1000 : 0;
  }

  /** Call once everything listens. Never rejects: a service manager that is not told restarts us by itself. */
  async start(): Promise<void> {
    if (this.#socket === '') return;
    await this.#notify('READY=1', `STATUS=${this.#sentence()}`);
    const everyMs = this.#watchdogMs > 0 ? this.#watchdogMs / FEEDS_PER_WATCHDOG : STATUS_MS;
    this.#timer = setInterval(() => void this.#look(), everyMs);
    this.#timer.unref();
  }

  readonly stop: () => Promise<void> = once(async () => {
    clearInterval(this.#timer);
    if (this.#socket !== '') await this.#notify('STOPPING=1', 'STATUS=Stopping: what was acknowledged is on disk');
  });

  status(): ServiceManagerStatus {
    return { notifying: this.#socket !== '', watchdogMs: this.#watchdogMs, silent: [...this.#silent] };
  }

  /** Rounds do not overlap: a disk that stalls for longer than a round must not gather probes. */
  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const silent = await silentOnes(this.#options.probes());
      if (silent.length > 0 && this.#silent.length === 0) {
        this.#options.log.error({ silent }, 'no answer from a part of the box; the watchdog is not fed');
      }
      this.#silent = silent;
      const fed = silent.length === 0 && this.#watchdogMs > 0 ? ['WATCHDOG=1'] : [];
      await this.#notify(...fed, `STATUS=${this.#sentence()}`);
    } finally {
      this.#looking = false;
    }
  }

  #sentence(): string {
    if (this.#silent.length > 0) return `No answer from: ${this.#silent.join(', ')}`;
    return this.#options.sentence().replaceAll(/\s+/g, ' ');
  }

  async #notify(...assignments: string[]): Promise<void> {
    const { spawn } = process.getBuiltinModule('node:child_process');
    const env = { PATH: this.#options.env.PATH ?? '/usr/bin:/bin', NOTIFY_SOCKET: this.#socket };
    const child = spawn('systemd-notify', assignments, { env, stdio: 'ignore', timeout: NOTIFY_MS });
    const problem = await ending(child);
    if (problem !== '' && !this.#failed) {
      this.#failed = true;
      this.#options.log.warn({ problem }, 'the service manager could not be told');
    }
  }
}

/** Resolves once something accepts a connection there. */
export function accepts(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: PROBE_MS });
    socket.once('connect', () => resolve(socket.destroy() && undefined));
    socket.once('timeout', () => socket.destroy(new Error('no answer')));
    socket.once('error', reject);
  });
}

async function silentOnes(probes: ReadonlyMap<string, () => Promise<void>>): Promise<string[]> {
  const asked = [...probes].map(async ([name, probe]) => ((await answers(probe)) ? [] : [name]));
  return (await Promise.all(asked)).flat();
}

async function answers(probe: () => Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PROBE_MS);
  });
  const answered = probe().then(
    () => true,
    () => false,
  );
  const result = await Promise.race([answered, late]);
  clearTimeout(timer);
  return result;
}

/** '' where it went well. */
function ending(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === 0 ? '' : `systemd-notify ended with ${code ?? signal}`));
  });
}
