import type { PollOptions } from './options.ts';

/** Requests of one port that are written again and again: for devices that only answer. */
export class Polls {
  readonly #polls: readonly PollOptions[];
  readonly #send: (poll: PollOptions) => void;
  readonly #stops: (() => void)[] = [];
  #underWay = 0;

  constructor(polls: readonly PollOptions[], send: (poll: PollOptions) => void) {
    this.#polls = polls;
    this.#send = send;
  }

  async start(): Promise<void> {
    for (const poll of this.#polls) {
      if (poll.cron === '') {
        const timer = setInterval(() => this.#due(poll), poll.everyMs);
        this.#stops.push(() => clearInterval(timer));
      } else {
        // Loaded only where there is a plan.
        const { schedule } = await import('node-cron');
        const task = schedule(poll.cron, () => this.#due(poll), { noOverlap: true });
        this.#stops.push(() => void task.destroy());
      }
    }
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
  }

  /** A poll was answered, or will not be. */
  finished(): void {
    this.#underWay--;
  }

  /** A device that is slower than its plan is asked as fast as it answers, and no queue grows. */
  #due(poll: PollOptions): void {
    if (this.#underWay >= this.#polls.length) return;
    this.#underWay++;
    this.#send(poll);
  }
}
