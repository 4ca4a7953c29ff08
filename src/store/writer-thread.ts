import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Reply, Request, WriterSettings } from './protocol.ts';

export type Ready = Extract<Reply, { kind: 'ready' }>;
export type Unavailable = Extract<Reply, { kind: 'unavailable' }>;
/** Replies to a question, found by its number. */
type Answer = Extract<Reply, { id: number }>;
type Question = Extract<Request, { id: number }>;
type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never;

/** The main thread's end of the writer thread: starts it, passes requests and replies, ends it. */
export class WriterThread {
  readonly #settings: WriterSettings;
  readonly #log: Log;
  readonly #receive: (reply: Reply) => void;
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #next = 1;
  #worker: Worker | null = null;

  /** `receive` gets every reply but answers and what `start` gives. */
  constructor(settings: WriterSettings, receive: (reply: Reply) => void, log: Log) {
    this.#settings = settings;
    this.#receive = receive;
    this.#log = log;
  }

  get started(): boolean {
    return this.#worker !== null;
  }

  /** Opens the store. Rejects with store_locked, and store_failed where somebody must mend something first. */
  async start(): Promise<Ready | Unavailable> {
    const file = import.meta.url.endsWith('.ts') ? './writer.ts' : './writer.js';
    const worker = new Worker(new URL(file, import.meta.url), {
      name: 'writer',
      workerData: this.#settings,
      // The writer keeps no records: its heap is statements and a few buffers.
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 48 },
    });
    try {
      const ready = await this.#opened(worker);
      this.#worker = worker;
      return ready;
    } catch (error) {
      await worker.terminate();
      throw error;
    }
  }

  #opened(worker: Worker): Promise<Ready | Unavailable> {
    let isOpened = false;
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.on('message', (reply: Reply) => {
        if (!isOpened && (reply.kind === 'ready' || reply.kind === 'unavailable')) {
          isOpened = true;
          worker.removeListener('error', reject);
          worker.on('error', (error) => this.#fatal(error));
          resolve(reply);
        } else if (reply.kind === 'failed') {
          const { code, message, hint } = reply.failure;
          reject(new GatewayError(code, message, { hint, retriable: false }));
        } else if ('id' in reply) this.#answer(reply);
        else this.#receive(reply);
      });
    });
  }

  /** A mistake of ours on the writer thread ends the process; the supervisor starts it anew on a consistent store. */
  #fatal(error: unknown): never {
    this.#log.fatal({ err: error }, 'the writer thread failed');
    throw error;
  }

  post(request: Request, transfer: ArrayBuffer[] = []): void {
    this.#worker?.postMessage(request, transfer);
  }

  /** Posts a question; its answer comes in the order of the requests. Bounded by its callers: one at a time for each lane. */
  ask<K extends Answer['kind']>(_answer: K, question: WithoutId<Question>): Promise<Extract<Answer, { kind: K }>> {
    return new Promise((resolve) => {
      const id = this.#next++;
      this.#asked.set(id, resolve as (answer: Answer) => void);
      this.post({ ...question, id } as Question);
    });
  }

  #answer(answer: Answer): void {
    const resolve = this.#asked.get(answer.id);
    assert(resolve, `question ${answer.id} was asked`);
    this.#asked.delete(answer.id);
    resolve(answer);
  }

  /** Resolves once the thread has done all that was posted before and is gone. */
  async stop(request: Extract<Request, { kind: 'stop' }>): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    const stopped = new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
    });
    this.post(request);
    await stopped;
  }
}
