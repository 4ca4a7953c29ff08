import { setTimeout as wait } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';
import { appendHeaders } from '../core/headers.ts';
import type { Log } from '../core/log.ts';
import { NO_HEADERS } from '../core/message.ts';
import { readDelivery } from './command-delivery.ts';
import { CommandProgress } from './command-progress.ts';
import { ACK_WAIT_MS, CommandPuller, type CommandSource } from './command-puller.ts';
import { JetStream } from './jetstream.ts';
import type { Hub } from './ports.ts';

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

export interface CommandsOptions {
  readonly stream: string;
  /** As the box names it. */
  readonly filter: string;
  readonly durable: string;
  /** Age at which a command is dead; 0: never. */
  readonly ttlMs: number;
  /** Deliveries by the hub after which a command is dead. */
  readonly deliveriesMax: number;
  readonly deadLetter: string;
  readonly window: number;
}

export interface CommandPorts {
  readonly hub: Hub;
  /**
   * Hands a command to local subscribers; resolves with how many have it, sessions of absent clients on the disk included.
   * 0: nobody.
   */
  deliver(subject: string, headers: Buffer, payload: Buffer): Promise<number>;
  /** Publishes for the box itself. Resolves once it is kept or passed on, rejects where it was refused. */
  publish(subject: string, headers: Buffer, payload: Buffer): Promise<void>;
  /** What was kept by this name, and keeps a new value: resolves once it is on disk. */
  mark(name: string): string | null;
  setMark(name: string, value: string): Promise<void>;
}

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

interface Held {
  readonly sequence: number;
  readonly subject: string;
  readonly headers: Buffer;
  readonly payload: Buffer;
  readonly storedAtMs: number;
  reply: string;
  deliveries: number;
  consumerSequence: number;
  /** Somebody has it in hand just now, or it is settled and its mark is on the way to the disk. */
  state: 'waiting' | 'busy' | 'settled';
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
/** Wall clocks before 2024 are of boxes that have not been told the time. */
const CLOCK_FLOOR_MS = Date.UTC(2024, 0, 1);

const ACK = Buffer.from('+ACK');
const PROGRESS = Buffer.from('+WPI');

export class CommandConsumer {
  readonly #options: CommandsOptions;
  readonly #ports: CommandPorts;
  readonly #log: Log;
  readonly #puller: CommandPuller;
  readonly #markName: string;
  readonly #counters = { delivered: 0, duplicates: 0, expired: 0, undeliverable: 0 };
  #progress: CommandProgress | null = null;
  #state: CommandsState = 'waiting-for-link';
  #reason: GatewayError | null = null;
  #session: AbortController | null = null;
  /** Ends the present turn: the consumer is opened again. */
  #turn: AbortController | null = null;
  /** By stream sequence. */
  readonly #held = new Map<number, Held>();
  #lastConsumerSequence = 0;
  #lastSequence = 0;
  #pending = 0;
  #hubClock: { hubMs: number; atMs: number } | null = null;
  /** Acknowledgements that the hub may not have got; sent again with a new link. Bounded by the window. */
  #acknowledged: string[] = [];
  #saving: Promise<void> | null = null;
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
    this.#markName = `commands ${stream} ${durable}`;
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
    this.#state = 'waiting-for-link';
    this.#reason = null;
  }

  /** What is settled gets to the disk; nothing more is handed on. */
  async stop(): Promise<void> {
    this.linkDown();
    clearInterval(this.#tick);
    await this.#saving;
  }

  status(): CommandsStatus {
    const { stream, durable, filter } = this.#options;
    const shown = { stream, durable, filter, state: this.#state, reason: this.#reason, held: this.#held.size };
    return { ...shown, pending: this.#pending, lastSequence: this.#lastSequence, counters: { ...this.#counters } };
  }

  /** Somebody on the box has subscribed. */
  interestChanged(): void {
    if (this.#held.size > 0) this.#handOn();
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
    const { streamSequence: sequence, consumerSequence, deliveries, storedAtMs, pending } = delivery;
    this.#pending = pending;
    const isGap = consumerSequence !== this.#lastConsumerSequence + 1;
    this.#lastConsumerSequence = consumerSequence;
    // One was lost between the hub's own servers, or the consumer has a new leader that counts from an older number.
    if (isGap && this.#state === 'ready') this.#turn?.abort();
    const known = this.#held.get(sequence);
    if (this.#progress?.isSettled(sequence) && known === undefined) {
      this.#counters.duplicates++;
      this.#send(reply, ACK);
    } else if (known !== undefined) {
      Object.assign(known, { reply, deliveries, consumerSequence });
    } else {
      this.#lastSequence = Math.max(this.#lastSequence, sequence);
      const here = this.#ports.hub.nameHere(subject);
      const { reply: _, ...rest } = { reply, sequence, subject: here, headers, payload, storedAtMs };
      this.#held.set(sequence, { ...rest, reply, deliveries, consumerSequence, state: 'waiting' });
    }
    if (this.#state === 'ready') this.#handOn();
    this.#pull();
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (const reply of this.#acknowledged) this.#send(reply, ACK);
    this.#acknowledged = [];
    for (let failures = 0; !signal.aborted; ) {
      const turn = new AbortController();
      this.#turn = turn;
      const either = AbortSignal.any([signal, turn.signal]);
      try {
        await this.#open();
        if (signal.aborted) return;
        this.#state = 'synchronizing';
        this.#reason = null;
        this.#pull();
        await this.#synchronize(either);
        if (!either.aborted) {
          failures = 0;
          this.#state = 'ready';
          this.#handOn();
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
    this.#progress ??= new CommandProgress(this.#ports.mark(this.#markName));
    const is = this.#progress.begin(created, lastSequence);
    if (is === 'same') return;
    // Numbers of another stream, or used before, mean nothing here.
    this.#held.clear();
    this.#acknowledged = [];
    this.#lastSequence = 0;
    const { stream } = this.#options;
    if (is === 'rolled-back')
      this.#log.error({ stream }, 'the stream of commands ends before what was delivered: it was restored');
  }

  /** Resolves when all that the hub has delivered and nobody has acknowledged is held here. */
  async #synchronize(signal: AbortSignal): Promise<void> {
    const sinceMs = performance.now();
    for (let looks = 0; !signal.aborted; looks++) {
      const { ackPending, delivered, pending, hubMs } = await this.#puller.info();
      if (hubMs !== null) this.#hubClock = { hubMs, atMs: performance.now() };
      this.#pending = pending;
      let here = 0;
      for (const { consumerSequence } of this.#held.values()) if (consumerSequence <= delivered) here++;
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
      this.#puller.pull(this.#options.window - this.#held.size);
    }
  }

  #block(reason: GatewayError): void {
    const { code, message, hint } = reason;
    if (this.#reason?.message !== message) this.#log.warn({ code, hint }, `commands wait: ${message}`);
    this.#state = 'blocked';
    this.#reason = reason;
  }

  /** Every command that nothing on its own subject is ahead of. */
  #handOn(): void {
    if (this.#state !== 'ready') return;
    const waiting = new Set<string>();
    for (const sequence of [...this.#held.keys()].sort((a, b) => a - b)) {
      const held = this.#held.get(sequence);
      if (held === undefined || held.state === 'settled') continue;
      if (held.state === 'waiting' && !waiting.has(held.subject)) this.#try(held);
      waiting.add(held.subject);
    }
    this.#save();
  }

  #try(held: Held): void {
    const { ttlMs, deliveriesMax } = this.#options;
    const nowMs = this.#hubNowMs();
    if (ttlMs > 0 && nowMs !== null && nowMs - held.storedAtMs > ttlMs) {
      this.#bury(held, 'expired');
      return;
    }
    if (held.deliveries > deliveriesMax) {
      this.#bury(held, 'undeliverable');
      return;
    }
    held.state = 'busy';
    this.#ports.deliver(held.subject, held.headers, held.payload).then(
      (count) => this.#tried(held, count > 0),
      () => this.#tried(held, false),
    );
  }

  #tried(held: Held, isTaken: boolean): void {
    held.state = 'waiting';
    // Tried again at the next look, or when somebody subscribes.
    if (!isTaken) return;
    this.#counters.delivered++;
    this.#settle(held);
    // Those behind it on its subject.
    this.#handOn();
  }

  #settle(held: Held): void {
    held.state = 'settled';
    this.#progress?.settle(held.sequence);
  }

  /** To the dead-letter subject, with the reason and where it came from. */
  #bury(held: Held, reason: 'expired' | 'undeliverable'): void {
    const { stream, deadLetter } = this.#options;
    const headers = appendHeaders(held.headers, [
      ['Petiole-Dead-Reason', reason],
      ['Petiole-Dead-Subject', held.subject],
      ['Petiole-Dead-Sequence', `${stream}:${held.sequence}`],
    ]);
    held.state = 'busy';
    this.#ports.publish(deadLetter, headers, held.payload).then(
      () => {
        this.#counters[reason]++;
        this.#log.warn({ stream, sequence: held.sequence, subject: held.subject, reason }, 'a command is dead');
        this.#settle(held);
        this.#handOn();
      },
      () => {
        held.state = 'waiting';
      },
    );
  }

  /** One write at a time: what is settled meanwhile goes with the next. Acknowledged only once it is on disk. */
  #save(): void {
    const settled = [...this.#held.values()].filter(({ state }) => state === 'settled');
    const progress = this.#progress;
    if (this.#saving !== null || settled.length === 0 || progress === null) return;
    this.#raiseFloor(progress);
    this.#saving = this.#ports.setMark(this.#markName, progress.text()).then(
      () => {
        this.#saving = null;
        for (const held of settled) {
          if (this.#held.get(held.sequence) === held) this.#held.delete(held.sequence);
          this.#send(held.reply, ACK);
          this.#acknowledged.push(held.reply);
        }
        this.#acknowledged.splice(0, this.#acknowledged.length - this.#options.window);
        this.#save();
        this.#pull();
      },
      (error: unknown) => {
        this.#saving = null;
        // Tried again at the next look; until then the hub waits for its acknowledgements.
        this.#log.warn({ err: error }, 'how far commands have come could not be kept');
      },
    );
  }

  /** Only while nothing can be out between the hub and here does a low number mean that it has been. */
  #raiseFloor(progress: CommandProgress): void {
    if (this.#state !== 'ready') return;
    let floor = this.#lastSequence;
    for (const { sequence, state } of this.#held.values()) {
      if (state !== 'settled') floor = Math.min(floor, sequence - 1);
    }
    progress.raise(floor);
  }

  #look(): void {
    if (this.#state === 'waiting-for-link') return;
    this.#handOn();
    this.#pull();
    const nowMs = performance.now();
    if (nowMs - this.#inProgressAtMs < IN_PROGRESS_MS) return;
    this.#inProgressAtMs = nowMs;
    for (const { reply } of this.#held.values()) this.#send(reply, PROGRESS);
  }

  #send(reply: string, body: Buffer): void {
    this.#ports.hub.forward(reply, '', NO_HEADERS, body, []);
  }

  /** The hub's clock as far as it is known, else the box's where that has been set; null: no age can be told. */
  #hubNowMs(): number | null {
    if (this.#hubClock) return this.#hubClock.hubMs + performance.now() - this.#hubClock.atMs;
    const nowMs = Date.now();
    return nowMs > CLOCK_FLOOR_MS ? nowMs : null;
  }
}
