import { setTimeout as wait } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { readDelivery } from './command-delivery.ts';
import { ACK_WAIT_MS, CommandPuller, type CommandSource } from './command-puller.ts';
import { type CommandPorts, CommandsInHand, type CommandsOptions } from './commands-in-hand.ts';
import { JetStream } from './jetstream.ts';

/**
 * Commands of one stream, once and in order, to whoever subscribes on the box.
 *
 *     hub ──▶ held ──▶ delivered ──▶ mark on disk ──▶ +ACK
 *                └──▶ too old, or delivered too often ──▶ dead-letter subject ──▶ mark on disk ──▶ +ACK
 *
 * After every new link nothing is handed on until the hub has no message out that is not held here: one that was lost on
 * the way comes again only after a while, and must not be overtaken. Order is kept for each subject; a command that
 * nobody takes waits, and holds up those on its own subject only.
 */

export type CommandsState = 'waiting-for-link' | 'synchronizing' | 'ready' | 'blocked';

export interface CommandsStatus {
  readonly stream: string;
  readonly durable: string;
  readonly filter: string;
  readonly state: CommandsState;
  readonly reason: GatewayError | null;
  /** In hand, for want of a subscriber or on their way. */
  readonly held: number;
  /** At the hub, not delivered yet. */
  readonly pending: number;
  readonly lastSequence: number;
  readonly counters: Readonly<Record<'delivered' | 'duplicates' | 'expired' | 'undeliverable', number>>;
}

/** How often what waits is looked at: age, the hub's patience, silent requests. */
const TICK_MS = 1_000;
/** The hub is told this often that a command is still in hand. */
const IN_PROGRESS_MS = ACK_WAIT_MS / 3;
/** Waits between looks while messages are still out, and after a failure. */
const SYNC_MS = [50, 250, 500, 1_000, 2_000] as const;
const BLOCKED_MS = [1_000, 2_000, 5_000, 10_000, 30_000] as const;
/** What the hub has out comes again within its patience; far beyond it somebody else must be taking it. */
const SYNC_MAX_MS = 6 * ACK_WAIT_MS;
export class CommandConsumer {
  readonly #options: CommandsOptions;
  readonly #ports: CommandPorts;
  readonly #log: Log;
  readonly #puller: CommandPuller;
  readonly #hand: CommandsInHand;
  #state: CommandsState = 'waiting-for-link';
  #reason: GatewayError | null = null;
  #session: AbortController | null = null;
  /** Ends the present turn: the consumer is opened again. */
  #turn: AbortController | null = null;
  #lastConsumerSequence = 0;
  #pending = 0;
  #inProgressAtMs = 0;
  #tick: NodeJS.Timeout | undefined;

  /** `inbox`: subject of this consumer's messages; the number of the request follows. */
  constructor(options: CommandsOptions, ports: CommandPorts, inbox: string, log: Log) {
    this.#options = options;
    this.#ports = ports;
    this.#log = log;
    const { stream, durable, filter, window } = options;
    const source: CommandSource = { stream, durable, window, filterAtHub: ports.hub.nameAtHub(filter) };
    this.#puller = new CommandPuller(source, ports.hub, new JetStream(ports.hub), inbox);
    this.#hand = new CommandsInHand(options, ports, log, () => this.#pull());
  }

  linkUp(): void {
    this.#session = new AbortController();
    this.#tick ??= setInterval(() => this.#look(), TICK_MS);
    void this.#run(this.#session.signal);
  }

  linkDown(): void {
    this.#session?.abort();
    this.#session = null;
    this.#puller.forget();
    this.#enter('waiting-for-link');
  }

  /** What is settled gets to the disk; nothing more is handed on. */
  async stop(): Promise<void> {
    this.linkDown();
    clearInterval(this.#tick);
    await this.#hand.saved();
  }

  status(): CommandsStatus {
    const { stream, durable, filter } = this.#options;
    const shown = { stream, durable, filter, state: this.#state, reason: this.#reason, held: this.#hand.size };
    return {
      ...shown,
      pending: this.#pending,
      lastSequence: this.#hand.lastSequence,
      counters: { ...this.#hand.counters },
    };
  }

  /** Somebody on the box has subscribed. */
  interestChanged(): void {
    if (this.#hand.size > 0) this.#hand.handOn();
  }

  /** A message of request `pull`; without `reply` it is a status of the request itself. `subject` as the hub names it. */
  take(pull: number, headers: Buffer, payload: Buffer, reply: string, subject: string): void {
    const delivery = reply === '' ? null : readDelivery(reply);
    if (delivery === null) {
      const said = this.#puller.status(pull, headers);
      if (said === 'gone') this.#turn?.abort();
      else if (said === 'ended') this.#pull();
      return;
    }
    this.#puller.took(pull);
    const { consumerSequence, pending } = delivery;
    this.#pending = pending;
    const isGap = consumerSequence !== this.#lastConsumerSequence + 1;
    this.#lastConsumerSequence = consumerSequence;
    // One was lost between the hub's own servers, or the consumer has a new leader that counts from an older number.
    if (isGap && this.#state === 'ready') this.#turn?.abort();
    this.#hand.take(delivery, this.#ports.hub.nameHere(subject), headers, payload, reply);
    this.#hand.handOn();
    this.#pull();
  }

  async #run(signal: AbortSignal): Promise<void> {
    this.#hand.acknowledgeAgain();
    for (let failures = 0; !signal.aborted; ) {
      const turn = new AbortController();
      this.#turn = turn;
      const either = AbortSignal.any([signal, turn.signal]);
      try {
        await this.#open();
        if (signal.aborted) return;
        this.#enter('synchronizing');
        this.#pull();
        await this.#synchronize(either);
        if (!either.aborted) {
          failures = 0;
          this.#enter('ready');
          this.#hand.handOn();
          await new Promise((resolve) => either.addEventListener('abort', resolve, { once: true }));
        }
        if (signal.aborted) return;
        this.#puller.forget();
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        if (signal.aborted) return;
        this.#block(error);
        const pauseMs = BLOCKED_MS[Math.min(failures++, BLOCKED_MS.length - 1)];
        await wait(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #open(): Promise<void> {
    const { created, lastSequence } = await this.#puller.open();
    this.#hand.begin(created, lastSequence);
  }

  /** Resolves when all that the hub has delivered and nobody has acknowledged is held here. */
  async #synchronize(signal: AbortSignal): Promise<void> {
    const sinceMs = performance.now();
    for (let looks = 0; !signal.aborted; looks++) {
      const { ackPending, delivered, pending, hubMs } = await this.#puller.info();
      if (hubMs !== null) this.#hand.hubMs = hubMs;
      this.#pending = pending;
      const here = this.#hand.countUpTo(delivered);
      if (here === ackPending) {
        this.#lastConsumerSequence = Math.max(this.#lastConsumerSequence, delivered);
        return;
      }
      if (performance.now() - sinceMs > SYNC_MAX_MS) {
        const { stream, durable } = this.#options;
        throw new GatewayError('hub_error', `${ackPending - here} commands of ${stream} are with somebody else`, {
          hint: `consumer ${durable} must be this box's alone: give each box its own durable`,
        });
      }
      const pauseMs = SYNC_MS[Math.min(looks, SYNC_MS.length - 1)];
      await wait(pauseMs, undefined, { signal }).catch(() => undefined);
      this.#pull();
    }
  }

  #pull(): void {
    if (this.#state === 'ready' || this.#state === 'synchronizing') {
      this.#puller.pull(this.#options.window - this.#hand.size);
    }
  }

  #enter(state: CommandsState, reason: GatewayError | null = null): void {
    this.#state = state;
    this.#reason = reason;
    this.#hand.isReady = state === 'ready';
  }

  #block(reason: GatewayError): void {
    const { code, message, hint } = reason;
    if (this.#reason?.message !== message) this.#log.warn({ code, hint }, `commands wait: ${message}`);
    this.#enter('blocked', reason);
  }

  #look(): void {
    if (this.#state === 'waiting-for-link') return;
    this.#hand.handOn();
    this.#pull();
    const nowMs = performance.now();
    if (nowMs - this.#inProgressAtMs < IN_PROGRESS_MS) return;
    this.#inProgressAtMs = nowMs;
    this.#hand.tellProgress();
  }
}
