import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Enough for any diagnosis; a child that logs in a loop must not fill the test's memory. */
const LINES_MAX = 10_000;
/** util-linux's way to have the kernel kill a child with its parent, even when the parent gets a SIGKILL. */
const SETPRIV = '/usr/bin/setpriv';

export interface ChildOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/** How a process ended: one of the two is null. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** One run of one system program; it cannot outlive the process that started it. */
export class Child {
  readonly name: string;
  readonly process: ChildProcess;
  /** The last lines of stdout and stderr, in order of arrival. */
  readonly lines: string[] = [];
  readonly exited: Promise<Exit>;
  #exit: Exit | null = null;
  readonly #watchers = new Set<(line: string) => void>();

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.name = command;
    const guard = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', '--'] : [];
    const [file = command, ...rest] = [...guard, command, ...args];
    this.process = spawn(file, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...withSystemPath(process.env), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.#collect(this.process.stdout);
    this.#collect(this.process.stderr);
    // A child that is gone answers a write with EPIPE; its exit is what the test sees.
    this.process.stdin?.on('error', () => {});
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        this.#exit = exit;
        resolve(exit);
      };
      this.process.once('error', (error) => {
        this.lines.push(error.message);
        end({ code: 127, signal: null });
      });
      this.process.once('close', (code, signal) => end({ code, signal }));
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get running(): boolean {
    return this.#exit === null;
  }

  /** Calls back for every line from now on. */
  watch(watcher: (line: string) => void): void {
    this.#watchers.add(watcher);
  }

  /**
   * The first line (also one already seen) that `match` accepts; rejects when the process ends first or time is up.
   * `timeoutMs` 0: no limit but the end of the process.
   */
  line(what: string, match: (line: string) => boolean, timeoutMs: number): Promise<string> {
    const seen = this.lines.find(match);
    if (seen !== undefined) return Promise.resolve(seen);
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
      };
      const watch = (line: string) => {
        if (!match(line)) return;
        done();
        resolve(line);
      };
      const fail = (why: string) => {
        done();
        reject(new Error(`${this.name}: ${why} before ${what}\n${this.lines.slice(-30).join('\n')}`));
      };
      const timer = timeoutMs > 0 ? setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs) : undefined;
      this.#watchers.add(watch);
      void this.exited.then(({ code, signal }) => fail(`ended (${signal ?? code})`));
    });
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.process.kill(signal);
  }

  /** SIGTERM, then SIGKILL once `graceMs` are over. */
  async stop(graceMs = 10_000): Promise<Exit> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  #collect(stream: Readable | null): void {
    if (stream === null) return;
    createInterface({ input: stream }).on('line', (line) => {
      this.lines.push(line);
      if (this.lines.length > LINES_MAX) this.lines.shift();
      for (const watch of [...this.#watchers]) watch(line);
    });
  }
}

/** Debian keeps servers in /usr/sbin, which an ordinary user's PATH may lack. */
export function withSystemPath(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, PATH: `${env.PATH ?? '/usr/bin:/bin'}:/usr/sbin:/sbin` };
}
