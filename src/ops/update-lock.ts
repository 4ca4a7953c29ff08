import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';

/** Where balena's supervisor looks, in every container. */
const BALENA_LOCK = '/tmp/balena/updates.lock';
/** The box lets go of it between its commits; whoever else has it for longer is about to end us. */
const WAIT_MS = 10_000;
const LOOK_MS = 100;

/**
 * The file that holds back an update while it is there. Its protocol is balena's (docs: "Update locks"): whoever wants it
 * makes it with O_CREAT and O_EXCL, removes it afterwards, and never removes that of somebody else; the supervisor makes it
 * itself before it ends a container.
 *
 * Its text says whose it is: after a crash nobody would remove it, and the box would never be updated again.
 */
export class UpdateLock {
  readonly path: string;
  #isHeld = false;

  constructor(path: string) {
    this.path = path;
  }

  /** Null where nobody updates by such a file: off balena. */
  static of(env: NodeJS.ProcessEnv): UpdateLock | null {
    if (env.BALENA_APP_LOCK_PATH) return new UpdateLock(env.BALENA_APP_LOCK_PATH);
    return env.BALENA ? new UpdateLock(BALENA_LOCK) : null;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** False where somebody else has it. Throws what the file system says, such as ENOENT for a folder that is missing. */
  take(): boolean {
    if (this.#isHeld) return true;
    // A second time where the first found what a crash has left.
    for (let attempt = 0; attempt < 2 && !this.#isHeld; attempt++) {
      try {
        writeFileSync(this.path, ownMark(process.pid), { flag: 'wx' });
        this.#isHeld = true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        if (!this.clearStale()) return false;
      }
    }
    return this.#isHeld;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    rmSync(this.path, { force: true });
  }

  /** Removes what a Petiole that is no more has left, and nothing else. True where nothing is there now. */
  clearStale(): boolean {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch {
      return true;
    }
    const pid = /^petiole (\d+) /.exec(text)?.[1];
    if (pid === undefined || text === ownMark(Number(pid))) return false;
    rmSync(this.path, { force: true });
    return true;
  }

  /** Runs `work` while no update can come; rejects with a GatewayError where one is on its way. */
  static async during<T>(env: NodeJS.ProcessEnv, what: string, work: () => Promise<T>): Promise<T> {
    const lock = UpdateLock.of(env);
    if (lock === null) return work();
    const endMs = performance.now() + WAIT_MS;
    while (!lock.take()) {
      if (performance.now() > endMs) {
        const hint = `Try again once it is over, or remove ${lock.path} if there is none`;
        throw new GatewayError('update_under_way', `An update is under way, and would break off ${what}`, { hint });
      }
      await sleep(LOOK_MS);
    }
    try {
      return await work();
    } finally {
      lock.release();
    }
  }
}

/** Whose it is: in a container each start has the same pid, so that the time of its start counts, too. */
function ownMark(pid: number): string {
  let startedAt = 'gone';
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc(5): field 22, counted behind the name, which may hold spaces.
    startedAt = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? startedAt;
  } catch {
    // There is no such process.
  }
  return `petiole ${pid} ${startedAt}\n`;
}
