import { GatewayError } from '../core/errors.ts';
import type { Match } from './decode/text.ts';

/** Commands and polls that wait for a port: what a device works off in a minute or so. */
const QUEUE_MAX = 64;

/** What is written to the device, one after the other. */
export interface Command {
  readonly bytes: Buffer;
  /** How long to wait for an answer before the next one is written; 0 for not at all. */
  readonly timeoutMs: number;
  /** Which frame is the answer; null for the next one. */
  readonly match: Match | null;
  /** Whether the answer goes to `done` alone, or on as data as well (polls). */
  readonly isTaken: boolean;
  /** The answer; null where none was awaited; or why it failed. Called once. */
  done(outcome: Buffer | null | GatewayError): void;
}

/**
 * The queue of a port. A device that only answers must not be asked again before it has answered or has had its time.
 */
export class CommandQueue {
  readonly #write: (bytes: Buffer) => Promise<void>;
  readonly #queue: Command[] = [];
  #current: Command | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(write: (bytes: Buffer) => Promise<void>) {
    this.#write = write;
  }

  get waiting(): number {
    return this.#queue.length + (this.#current === null ? 0 : 1);
  }

  /** Tells `done` at once where the queue is full. */
  add(command: Command): void {
    if (this.#queue.length >= QUEUE_MAX) {
      const hint = 'The device answers too slowly for so many commands and polls: ask less often';
      command.done(new GatewayError('queue_full', `${QUEUE_MAX} commands wait for this port already`, { hint }));
      return;
    }
    this.#queue.push(command);
    if (this.#current === null) this.#next();
  }

  /** A frame came; true where it is an answer that is nobody else's. */
  frame(content: Buffer): boolean {
    const command = this.#current;
    if (command === null || command.timeoutMs === 0) return false;
    if (command.match !== null && command.match(content.toString('latin1')) === null) return false;
    this.#finish(Buffer.from(content));
    return command.isTaken;
  }

  /** The port was lost: nobody will answer. */
  fail(error: GatewayError): void {
    const all = this.#queue.splice(0);
    this.#finish(error, false);
    for (const command of all) command.done(error);
  }

  #next(): void {
    const command = this.#queue.shift();
    if (command === undefined) return;
    this.#current = command;
    this.#write(command.bytes).then(
      () => {
        // It may be answered, or the port lost, before the driver said that it has the bytes.
        if (this.#current !== command) return;
        if (command.timeoutMs === 0) this.#finish(null);
        else this.#timer = setTimeout(() => this.#late(), command.timeoutMs);
      },
      (error: GatewayError) => {
        if (this.#current === command) this.#finish(error);
      },
    );
  }

  #late(): void {
    const timeoutMs = this.#current?.timeoutMs ?? 0;
    this.#finish(new GatewayError('request_timeout', `The device did not answer within ${timeoutMs} ms`));
  }

  #finish(outcome: Buffer | null | GatewayError, goesOn = true): void {
    const command = this.#current;
    clearTimeout(this.#timer);
    this.#current = null;
    command?.done(outcome);
    if (goesOn) this.#next();
  }
}
