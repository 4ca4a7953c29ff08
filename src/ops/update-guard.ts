import { describeError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { once, type Service } from '../core/service.ts';
import type { UpdateLock } from './update-lock.ts';

/** Soon enough for what lasts longer than a stop may take, and no load. */
const LOOK_MS = 100;

export interface UpdateGuardOptions {
  /** Null: nobody updates by a lock. */
  lock: UpdateLock | null;
  /** What must not be broken off now; '' for nothing. */
  unsafe: () => string;
  log: Log;
}

/** Holds back updates while one would break something off, and at no other time. */
export class UpdateGuard implements Service {
  readonly #options: UpdateGuardOptions;
  #timer: NodeJS.Timeout | undefined;
  #reason = '';
  #hasFailed = false;

  constructor(options: UpdateGuardOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { lock } = this.#options;
    if (lock === null) return;
    // Of a run that was killed: it would hold back every update from now on.
    lock.clearStale();
    this.#timer = setInterval(() => this.#look(lock), LOOK_MS);
    this.#timer.unref();
  }

  readonly stop = once(async () => {
    clearInterval(this.#timer);
    this.#options.lock?.release();
  });

  status(): { isHeld: boolean; reason: string } {
    return { isHeld: this.#options.lock?.isHeld ?? false, reason: this.#reason };
  }

  #look(lock: UpdateLock): void {
    const reason = this.#options.unsafe();
    if (reason === this.#reason && lock.isHeld === (reason !== '')) return;
    this.#reason = reason;
    try {
      if (reason === '') lock.release();
      else lock.take();
      this.#hasFailed = false;
    } catch (error) {
      // An update then comes when it comes: what is acknowledged is on disk either way.
      if (!this.#hasFailed) this.#options.log.warn({ reason: describeError(error).message }, 'no update lock');
      this.#hasFailed = true;
    }
  }
}
