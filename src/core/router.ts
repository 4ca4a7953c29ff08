import type { Message, Party } from './message.ts';
import { Sublist } from './sublist.ts';

/** One party's interest in a subject filter, optionally as a member of a queue group. */
export interface Subscription {
  /** NATS subject filter: `*` is one token, a last `>` is the rest. */
  readonly filter: string;
  /** Queue group; '' for a plain subscription. */
  readonly queue: string;
  readonly owner: Party;
  /** False for a member of a queue group that could take the message only later; absent: always ready. */
  readonly isReady?: boolean;
  /** Takes the message now and never throws; false where it was dropped (slow, no echo, not allowed). */
  deliver(message: Message): boolean;
}

/**
 * Who waits for the fate of a message. One object per connection and a token per message (an MQTT packet identifier, a
 * serial sequence number), so that a receipt costs no closure and no promise.
 */
export interface Receipt {
  /**
   * Committed and fsynced; or, where no lane takes the subject, passed on live. `reached`: parties that got it now.
   * `sequence`: its number in the lane; absent where it was only passed on.
   */
  accepted(token: number, reached: number, sequence?: number): void;
  /** Not kept. The publisher must be told in its protocol's words, or not be acknowledged at all. */
  refused(token: number, error: Error): void;
}

/** What the router needs of the store. */
export interface Journal {
  /** The lane that takes this message, -1 for none (live only). */
  laneOf(message: Message): number;
  /** So much waits for the disk that publishers should wait for their receipts; absent: never. */
  readonly isBehind?: boolean;
  /** Calls back once the commit is on disk, in the order of the appends. */
  append(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void;
}

/** What the router needs to know of queues on the disk (persistent sessions of MQTT). */
export interface Queues {
  /** Counts up with every message that one of them takes. */
  readonly enqueued: number;
  /** Tells the receipt once what they took up to now is on disk. */
  after(receipt: Receipt, token: number, reached: number): void;
}

/** What the router needs of the leaf link. */
export interface Upstream {
  /** Local interest changed; `members` 0 means that the last one has gone. */
  interest(filter: string, queue: string, members: number): void;
  /** Passes a live message on where the hub has interest; `served` are queue groups that had a local member. */
  send(message: Message, served: readonly string[]): boolean;
}

const NONE: readonly string[] = [];

/** The only place where a message passes from one party to another. */
export class Router {
  readonly #subscriptions = new Sublist<Subscription>();
  /** Local members per filter and queue group; the hub hears only of the first and the last one. */
  readonly #members = new Map<string, { filter: string; queue: string; count: number }>();
  #journal: Journal | null = null;
  #upstream: Upstream | null = null;
  #queues: Queues | null = null;
  /** Who looks at everything that passes; null while nobody does. */
  #tap: ((message: Message) => void) | null = null;
  #turn = 0;

  /** Called once by the gateway before anything is published. */
  connect(journal: Journal, upstream: Upstream | null, queues: Queues | null = null): void {
    this.#journal = journal;
    this.#upstream = upstream;
    this.#queues = queues;
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  /**
   * Shows every message that local parties publish, or that comes from the hub, to somebody who looks on. It is no
   * interest: nothing is asked of the hub for it, and it counts as nobody that got the message. Null ends it.
   */
  watch(tap: ((message: Message) => void) | null): void {
    this.#tap = tap;
  }

  subscribe(subscription: Subscription): void {
    if (this.#subscriptions.insert(subscription)) this.#count(subscription, 1);
  }

  unsubscribe(subscription: Subscription): void {
    if (this.#subscriptions.remove(subscription)) this.#count(subscription, -1);
  }

  #count({ filter, queue }: Subscription, step: number): void {
    const key = `${filter} ${queue}`;
    const entry = this.#members.get(key) ?? { filter, queue, count: 0 };
    entry.count += step;
    if (entry.count === 0) this.#members.delete(key);
    else this.#members.set(key, entry);
    this.#upstream?.interest(filter, queue, entry.count);
  }

  /** Every local interest, for a link that has just come up. */
  *interest(): Generator<{ filter: string; queue: string; count: number }> {
    yield* this.#members.values();
  }

  /** The queue groups on this subject that have a member here, and so need none at the hub. */
  servedQueues(subject: string): readonly string[] {
    const { queues } = this.#subscriptions.match(subject);
    return queues.length === 0 ? NONE : queues.map((group) => group[0]?.queue ?? '');
  }

  /**
   * A message from a local party. Local subscribers get it at once; the receipt and the way up wait for the commit
   * where a lane takes the subject. Where none does and a queue on the disk got it, the receipt waits for that. Returns
   * how many parties got it now.
   */
  publish(message: Message, receipt: Receipt | null = null, token = 0): number {
    const enqueued = this.#queues?.enqueued ?? 0;
    if (this.#tap !== null) this.#tap(message);
    const { plain, queues } = this.#subscriptions.match(message.subject);
    let reached = 0;
    for (const subscription of plain) if (subscription.deliver(message)) reached++;
    let served = NONE;
    if (queues.length > 0) {
      const names: string[] = [];
      for (const group of queues) if (this.#deliverToOne(group, message)) names.push(group[0]?.queue ?? '');
      served = names;
      reached += names.length;
    }
    const lane = this.#journal?.laneOf(message) ?? -1;
    if (lane >= 0) {
      this.#journal?.append(lane, message, receipt, token, reached);
      return reached;
    }
    if (this.#upstream?.send(message, served)) reached++;
    if (receipt !== null) this.#tell(receipt, token, reached, enqueued);
    return reached;
  }

  /** At once, or when the queues that got the message have it on disk. */
  #tell(receipt: Receipt, token: number, reached: number, enqueuedBefore: number): void {
    const queues = this.#queues;
    if (queues === null || queues.enqueued === enqueuedBefore) receipt.accepted(token, reached);
    else queues.after(receipt, token, reached);
  }

  /**
   * A message from the hub: for local parties only, never journaled and never sent back. Queue groups get it only when
   * the hub chose them by name. Returns how many parties got it.
   */
  deliver(message: Message, chosen: readonly string[]): number {
    if (this.#tap !== null) this.#tap(message);
    const { plain, queues } = this.#subscriptions.match(message.subject);
    let reached = 0;
    for (const subscription of plain) if (subscription.deliver(message)) reached++;
    if (chosen.length > 0) {
      for (const group of queues) {
        if (chosen.includes(group[0]?.queue ?? '') && this.#deliverToOne(group, message)) reached++;
      }
    }
    return reached;
  }

  /**
   * As `deliver`, and resolves once every queue on the disk that got the message has it there, so that its sender may be
   * told that absent clients will get it. Rejects with the GatewayError of a store that could not write.
   */
  deliverKept(message: Message, chosen: readonly string[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const receipt: Receipt = { accepted: (_token, reached) => resolve(reached), refused: (_token, e) => reject(e) };
      const enqueued = this.#queues?.enqueued ?? 0;
      this.#tell(receipt, 0, this.deliver(message, chosen), enqueued);
    });
  }

  /** As `deliver`, for the subscriptions of one party only. */
  deliverTo({ kind, name }: Party, message: Message): number {
    const { plain, queues } = this.#subscriptions.match(message.subject);
    let reached = 0;
    for (const subscription of [...plain, ...queues.flat()]) {
      const { owner } = subscription;
      if (owner.kind === kind && owner.name === name && subscription.deliver(message)) reached++;
    }
    return reached;
  }

  /** Publishers should wait for their receipts: see Journal. */
  get isBehind(): boolean {
    return this.#journal?.isBehind === true;
  }

  /** A lane takes it, so its publisher gets a receipt of the box. */
  isJournaled(message: Message): boolean {
    return (this.#journal?.laneOf(message) ?? -1) >= 0;
  }

  /** For a message whose member of the queue group has gone before it took it: another one gets it. */
  deliverToQueue(message: Message, queue: string): boolean {
    const { queues } = this.#subscriptions.match(message.subject);
    const group = queues.find(([member]) => member?.queue === queue);
    return group !== undefined && this.#deliverToOne(group, message);
  }

  /** One member gets it, in turn, of those that are ready; the next one where a member can't take it. */
  #deliverToOne(group: readonly Subscription[], message: Message): boolean {
    const start = this.#turn++;
    let late: Subscription[] | null = null;
    for (let i = 0; i < group.length; i++) {
      const member = group[(start + i) % group.length] as Subscription;
      if (member.isReady === false) {
        late ??= [];
        late.push(member);
      } else if (member.deliver(message)) return true;
    }
    return late?.some((member) => member.deliver(message)) ?? false;
  }
}
