import { describeError, type GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';

/** A failure that lasts is worth a warning this often. */
const REMINDER_MS = 10 * 60_000;

/** A box may be offline for weeks: the first failure of a kind is a warning with its cure, repeats are debug lines. */
export class FailureLog {
  readonly #log: Log;
  #code = '';
  #warnedAtMs = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  report(reason: GatewayError, retryInMs: number): void {
    const line = { ...describeError(reason), retryInMs };
    const nowMs = performance.now();
    const isRepeat = reason.code === this.#code && nowMs - this.#warnedAtMs < REMINDER_MS;
    this.#log[isRepeat ? 'debug' : 'warn'](line, 'no link to the hub');
    if (isRepeat) return;
    this.#code = reason.code;
    this.#warnedAtMs = nowMs;
  }

  recovered(): void {
    this.#code = '';
  }
}
