import { plansOf } from '../core/windows.ts';
import type { PollOptions } from './options.ts';

/** More often than once a second, so that none is left out. */
const LOOK_MS = 500;

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
        const timer = await this.#plan(poll);
        this.#stops.push(() => clearInterval(timer));
      }
    }
  }

  /** Each second is asked once whether it is one of the plan. */
  async #plan(poll: PollOptions): Promise<NodeJS.Timeout> {
    const [plan] = await plansOf([poll.cron]);
    let seen = 0;
    return setInterval(() => {
      const second = new Date();
      second.setMilliseconds(0);
      if (second.getTime() === seen) return;
      seen = second.getTime();
      if (plan?.match(second)) this.#due(poll);
    }, LOOK_MS);
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
