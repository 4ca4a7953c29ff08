import assert from 'node:assert';
import { GatewayError } from '../core/errors.ts';

/** The answer to a request of the box. */
export interface Answer {
  readonly headers: Buffer;
  readonly payload: Buffer;
}

/** Requests that may wait at a time: several times the window of the largest reconcile. */
const REQUESTS_MAX = 4096;

interface Pending {
  readonly subject: string;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (reason: GatewayError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Requests of the box that wait for their answers, by inbox token. */
export class RequestTable {
  readonly #pending = new Map<string, Pending>();
  #next = 0;

  /** A fresh token, never used again in the life of the process, so a late answer finds nobody. */
  token(): string {
    return `r.${(this.#next++).toString(36)}`;
  }

  get isFull(): boolean {
    return this.#pending.size >= REQUESTS_MAX;
  }

  fullError(): GatewayError {
    return new GatewayError('queue_full', `more than ${REQUESTS_MAX} requests wait for an answer of the hub`);
  }

  /** Rejects with `request_timeout`, or with what `fail` and `failAll` say. Ask `isFull` first. */
  wait(token: string, subject: string, timeoutMs: number): Promise<Answer> {
    assert(!this.isFull, 'asked before');
    return new Promise((resolve, reject) => {
      const late = (): void => {
        this.#pending.delete(token);
        reject(
          new GatewayError('request_timeout', `no answer to ${subject} within ${timeoutMs} ms`, {
            hint: 'Nobody serves this subject at the hub, permissions keep the answer back, or the line is very slow.',
          }),
        );
      };
      this.#pending.set(token, { subject, resolve, reject, timer: setTimeout(late, timeoutMs) });
    });
  }

  answer(token: string, headers: Buffer, payload: Buffer): void {
    this.#take(token)?.resolve({ headers, payload });
  }

  fail(token: string, reason: GatewayError): void {
    this.#take(token)?.reject(reason);
  }

  failAll(reason: GatewayError): void {
    for (const token of [...this.#pending.keys()]) this.fail(token, reason);
  }

  #take(token: string): Pending | undefined {
    const pending = this.#pending.get(token);
    if (pending !== undefined) {
      this.#pending.delete(token);
      clearTimeout(pending.timer);
    }
    return pending;
  }
}
