import type { Log } from '../core/log.ts';
import { once } from '../core/service.ts';
import { CommandConsumer, type CommandsStatus } from './command-consumer.ts';
import type { CommandPorts, CommandsOptions } from './commands-in-hand.ts';

/** Inbox tokens begin with what they are for; the forwarder's are other letters. */
export const COMMAND = 'c.';

/** Commands that come down from the hub's streams (`upstream.commands`). */
export class Commands {
  readonly #consumers: CommandConsumer[];
  #isTelling = false;

  /** `inboxPrefix`: subjects under which the hub answers, without the dot. */
  constructor(list: readonly CommandsOptions[], ports: CommandPorts, inboxPrefix: string, log: Log) {
    this.#consumers = list.map(
      (options, index) => new CommandConsumer(options, ports, `${inboxPrefix}.${COMMAND}${index}`, log),
    );
  }

  linkUp(): void {
    for (const consumer of this.#consumers) consumer.linkUp();
  }

  linkDown(): void {
    for (const consumer of this.#consumers) consumer.linkDown();
  }

  /** Somebody on the box has subscribed; told after the turn in which that happened, so that its answer goes first. */
  interestChanged(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    setImmediate(() => {
      this.#isTelling = false;
      for (const consumer of this.#consumers) consumer.interestChanged();
    });
  }

  /** A message on the inbox: `c.<consumer>.<request>`. */
  take(token: string, headers: Buffer, payload: Buffer, reply: string, subject: string): void {
    const [, index, pull] = token.split('.');
    this.#consumers[Number(index)]?.take(Number(pull), headers, payload, reply, subject);
  }

  status(): CommandsStatus[] {
    return this.#consumers.map((consumer) => consumer.status());
  }

  readonly stop = once(async () => {
    await Promise.all(this.#consumers.map((consumer) => consumer.stop()));
  });
}
