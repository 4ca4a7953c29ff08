import type { Duplex } from 'node:stream';
import type { GatewayError } from '../core/errors.ts';
import { closedError, silentError, socketError, stoppingError } from './hub-error.ts';

/** One step on the way to a hub: what it is called in an error, how long it may take, what ends it early. */
export interface StepOptions {
  /** For people, without credentials. */
  readonly url: string;
  /** Completes "nothing came while …". */
  readonly during: string;
  /** What to look at when nothing comes. */
  readonly hint: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Step<T> {
  done(value: T): void;
  fail(reason: GatewayError): void;
}

/**
 * Waits for one event of a stream, and no longer than the step may last. `begin` starts to listen and returns what
 * undoes that. Rejects with a GatewayError: the stream's error or close, the time-out, the abort. Closes nothing.
 */
export function takeStep<T>(
  stream: Duplex,
  { url, during, hint, timeoutMs, signal }: StepOptions,
  begin: (step: Step<T>) => () => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let undo = (): void => {};
    let isSettled = false;
    const settle = (finish: () => void): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      stream.removeListener('error', failed).removeListener('close', closed);
      undo();
      finish();
    };
    const fail = (reason: GatewayError): void => settle(() => reject(reason));
    const stop = (): void => fail(stoppingError());
    const failed = (error: Error): void => fail(socketError(error, url, during));
    const closed = (): void => fail(closedError(url, during));
    const timer = setTimeout(() => fail(silentError(url, timeoutMs, during, hint)), timeoutMs);
    signal.addEventListener('abort', stop);
    stream.once('error', failed).once('close', closed);
    undo = begin({ done: (value) => settle(() => resolve(value)), fail });
    if (isSettled) undo();
    else if (signal.aborted) stop();
  });
}

/** Waits for an event that says only that the step is done. */
export function stepUntil(stream: Duplex, event: string, options: StepOptions): Promise<void> {
  return takeStep<void>(stream, options, ({ done }) => {
    const arrived = (): void => done();
    stream.once(event, arrived);
    return () => stream.removeListener(event, arrived);
  });
}
