import assert from 'node:assert';
import { setTimeout as wait } from 'node:timers/promises';
import { GatewayError } from './errors.ts';
import { once } from './service.ts';

/** A connection is used once: it ends and never comes back. */
export interface SingleUse {
  /** Resolves, never rejects, once the connection has ended and let go of its resources; says why it ended. */
  readonly ended: Promise<GatewayError>;
}

export interface KeepConnectedOptions<C extends SingleUse> {
  /**
   * Makes one connection, handshake included; rejects with a GatewayError that says why it could not. `epoch` is the
   * number this connection bears if it succeeds. The signal stays with the connection for its whole life: once it
   * aborts, a pending attempt rejects and a connection ends.
   */
  connect(signal: AbortSignal, epoch: number): Promise<C>;
  /** How long to wait after `reason`; `failures` counts those in a row, 1 for the first. Milliseconds. */
  delayMs(reason: GatewayError, failures: number): number;
  /** Told before every wait, the one place where a failed attempt or a lost connection is reported. */
  waiting(reason: GatewayError, delayMs: number): void;
  /** A connection that lasted no longer counts as one more failure: it has not earned a fresh start. */
  stableMs: number;
}

export type KeepConnectedState = 'idle' | 'connecting' | 'up' | 'waiting' | 'stopped';

/** The one loop that makes new connections. The connections know nothing of it; every success has a new epoch. */
export class KeepConnected<C extends SingleUse> {
  readonly #options: KeepConnectedOptions<C>;
  readonly #abort = new AbortController();
  #loop: Promise<void> | null = null;
  #state: KeepConnectedState = 'idle';
  #epoch = 0;
  #attempts = 0;
  #retryAtMs = 0;

  constructor(options: KeepConnectedOptions<C>) {
    this.#options = options;
  }

  get state(): KeepConnectedState {
    return this.#state;
  }

  /** Number of the latest connection that succeeded; 0 before the first. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Attempts since the start, successful ones included. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Milliseconds until the next attempt; null unless the loop is waiting for it. */
  get retryInMs(): number | null {
    return this.#state === 'waiting' ? Math.max(0, Math.round(this.#retryAtMs - performance.now())) : null;
  }

  /** Begins to connect and returns at once: the far end may be away for days. */
  start(): void {
    assert(this.#loop === null && !this.#abort.signal.aborted, 'started once');
    this.#loop = this.#run();
  }

  /** Resolves once the loop has left every wait and the connection has ended. */
  readonly stop = once(async () => {
    this.#abort.abort(new GatewayError('stopping', 'stopping'));
    await this.#loop;
    this.#state = 'stopped';
  });

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    let failures = 0;
    while (!signal.aborted) {
      let reason: GatewayError;
      let lastedMs = 0;
      this.#state = 'connecting';
      this.#attempts++;
      try {
        const connection = await this.#options.connect(signal, this.#epoch + 1);
        this.#epoch++;
        this.#state = 'up';
        const sinceMs = performance.now();
        reason = await connection.ended;
        lastedMs = performance.now() - sinceMs;
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error; // A mistake of ours: it must not become an endless retry.
        reason = error;
      }
      if (signal.aborted) break;
      failures = lastedMs > this.#options.stableMs ? 1 : failures + 1;
      const delayMs = this.#options.delayMs(reason, failures);
      this.#state = 'waiting';
      this.#retryAtMs = performance.now() + delayMs;
      this.#options.waiting(reason, delayMs);
      // The wait rejects only by the abort, which the loop's condition sees next.
      await wait(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
