import { appendHeaders } from '../core/headers.ts';
import type { Log } from '../core/log.ts';
import { NO_HEADERS } from '../core/message.ts';
import type { Delivery } from './command-delivery.ts';
import { CommandProgress } from './command-progress.ts';
import type { Hub } from './ports.ts';

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

/** Wall clocks before 2024 are of boxes that have not been told the time. */
const CLOCK_FLOOR_MS = Date.UTC(2024, 0, 1);

const ACK = Buffer.from('+ACK');
const PROGRESS = Buffer.from('+WPI');

/**
 * The commands that the hub has delivered and that are not acknowledged yet: handed on in the order of each subject, or
 * buried, then marked on the disk, then acknowledged.
 */
export class CommandsInHand {
  readonly #options: CommandsOptions;
  readonly #ports: CommandPorts;
  readonly #log: Log;
  readonly #markName: string;
  /** Room was made: more may be asked for. */
  readonly #settled: () => void;
  readonly counters = { delivered: 0, duplicates: 0, expired: 0, undeliverable: 0 };
  #progress: CommandProgress | null = null;
  /** By stream sequence. */
  readonly #held = new Map<number, Held>();
  #lastSequence = 0;
  #hubClock: { hubMs: number; atMs: number } | null = null;
  /** Acknowledgements that the hub may not have got; sent again with a new link. Bounded by the window. */
  #acknowledged: string[] = [];
  #saving: Promise<void> | null = null;
  /** Handed on only while nothing can be out between the hub and here. */
  isReady = false;

  constructor(options: CommandsOptions, ports: CommandPorts, log: Log, settled: () => void) {
    this.#options = options;
    this.#ports = ports;
    this.#log = log;
    this.#markName = `commands ${options.stream} ${options.durable}`;
    this.#settled = settled;
  }

  get size(): number {
    return this.#held.size;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** What is settled has got to the disk. */
  async saved(): Promise<void> {
    await this.#saving;
  }

  /** The hub's clock, as it has just told it. */
  set hubMs(hubMs: number) {
    this.#hubClock = { hubMs, atMs: performance.now() };
  }

  /** A new link: the hub may not have got them. */
  acknowledgeAgain(): void {
    for (const reply of this.#acknowledged) this.#send(reply, ACK);
    this.#acknowledged = [];
  }

  /** The consumer has been opened: how its stream stands to what was settled. Numbers of another stream mean nothing here. */
  begin(created: string, lastSequence: number): void {
    this.#progress ??= new CommandProgress(this.#ports.mark(this.#markName));
    const is = this.#progress.begin(created, lastSequence);
    if (is === 'same') return;
    this.#held.clear();
    this.#acknowledged = [];
    this.#lastSequence = 0;
    const { stream } = this.#options;
    if (is === 'rolled-back')
      this.#log.error({ stream }, 'the stream of commands ends before what was delivered: it was restored');
  }

  take(delivery: Delivery, subject: string, headers: Buffer, payload: Buffer, reply: string): void {
    const { streamSequence: sequence, consumerSequence, deliveries, storedAtMs } = delivery;
    const known = this.#held.get(sequence);
    if (this.#progress?.isSettled(sequence) && known === undefined) {
      this.counters.duplicates++;
      this.#send(reply, ACK);
    } else if (known !== undefined) {
      Object.assign(known, { reply, deliveries, consumerSequence });
    } else {
      this.#lastSequence = Math.max(this.#lastSequence, sequence);
      const held = { sequence, subject, headers, payload, storedAtMs, reply, deliveries, consumerSequence };
      this.#held.set(sequence, { ...held, state: 'waiting' });
    }
  }

  /** Of those that the hub has delivered up to this number of the consumer, how many are here. */
  countUpTo(consumerSequence: number): number {
    let here = 0;
    for (const held of this.#held.values()) if (held.consumerSequence <= consumerSequence) here++;
    return here;
  }

  /** Tells the hub that they are still in hand, so that it does not send them again. */
  tellProgress(): void {
    for (const { reply } of this.#held.values()) this.#send(reply, PROGRESS);
  }

  /** Every command that nothing on its own subject is ahead of. */
  handOn(): void {
    if (!this.isReady) return;
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
    this.counters.delivered++;
    this.#settle(held);
    // Those behind it on its subject.
    this.handOn();
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
        this.counters[reason]++;
        this.#log.warn({ stream, sequence: held.sequence, subject: held.subject, reason }, 'a command is dead');
        this.#settle(held);
        this.handOn();
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
        this.#settled();
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
    if (!this.isReady) return;
    let floor = this.#lastSequence;
    for (const { sequence, state } of this.#held.values()) {
      if (state !== 'settled') floor = Math.min(floor, sequence - 1);
    }
    progress.raise(floor);
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
