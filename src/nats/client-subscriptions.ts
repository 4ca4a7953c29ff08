import type { Message, Party } from '../core/message.ts';
import type { Subscription } from '../core/router.ts';
import { isFilter, matches } from '../core/subject.ts';
import type { User } from '../core/users.ts';
import type { ClientContext } from './client-context.ts';

/** A node of the tree for each; deep ones would make a subscription cost more than its place is worth. */
const FILTER_TOKENS_MAX = 32;
/** Filters of all clients together: about 50 MB of tree. */
const FILTERS_TOTAL_MAX = 50_000;
const TOKENS_TOTAL_MAX = 250_000;

/** Plumbing between servers. */
const RESERVED = ['$LDS.', '$GR.', '_GR_.'];
const RESERVED_QUEUE = '_sys_';

/** The connection, as its subscriptions see it. */
export interface SubscriptionPeer {
  readonly party: Party;
  /** False: the client does not want its own messages back. */
  readonly echo: boolean;
  /** Null: one who may do everything. */
  readonly user: User | null;
  /** False where the connection has ended. */
  deliver(message: Message, sid: string): boolean;
  readonly context: ClientContext;
}

/** One SUB of one client. */
class ClientSubscription implements Subscription {
  readonly filter: string;
  readonly queue: string;
  readonly sid: string;
  readonly owner: Party;
  readonly #peer: SubscriptionPeer;
  readonly #spent: (sid: string) => void;
  /** Set where the filter matches subjects that the user may not receive. */
  readonly #judge: User | null;
  /** Counted from the SUB; UNSUB may come later. */
  #delivered = 0;
  /** 0: no end. */
  #max = 0;

  /** `spent`: it has had as many messages as it asked for. */
  constructor(peer: SubscriptionPeer, filter: string, queue: string, sid: string, spent: (sid: string) => void) {
    this.filter = filter;
    this.queue = queue;
    this.sid = sid;
    this.owner = peer.party;
    this.#peer = peer;
    this.#spent = spent;
    this.#judge = peer.user?.hidesSome(filter) ? peer.user : null;
  }

  /** UNSUB with a count: true where that many have been delivered. */
  endAfter(max: number): boolean {
    this.#max = max;
    return this.#delivered >= max;
  }

  deliver(message: Message): boolean {
    if (this.#max > 0 && this.#delivered >= this.#max) return false;
    if (message.origin === this.owner && !this.#peer.echo) return false;
    if (this.#judge !== null && !this.#judge.mayReceive(message.subject)) return false;
    if (!this.#peer.deliver(message, this.sid)) return false;
    this.#delivered++;
    if (this.#delivered === this.#max) this.#spent(this.sid);
    return true;
  }
}

/** The SUBs of one client, by sid, within the bounds of the client and of all clients. */
export class ClientSubscriptions {
  readonly #peer: SubscriptionPeer;
  readonly #bySid = new Map<string, ClientSubscription>();
  readonly #spent = (sid: string): void => this.end(sid, 0);

  constructor(peer: SubscriptionPeer) {
    this.#peer = peer;
  }

  get size(): number {
    return this.#bySid.size;
  }

  /** Null, or the text of the -ERR. A sid that is in use is passed over, as nats-server does. */
  add(filter: string, queue: string, sid: string): string | null {
    if (this.#bySid.has(sid)) return null;
    const { subscribed, options, router } = this.#peer.context;
    if (!isFilter(filter) || (queue !== '' && !isFilter(queue))) return 'Invalid Subject';
    const isReserved = queue === RESERVED_QUEUE || RESERVED.some((prefix) => filter.startsWith(prefix));
    if (isReserved || this.#peer.user?.maySubscribe(filter) === false) {
      const using = queue === '' ? '' : ` using queue "${queue}"`;
      return `Permissions Violation for Subscription to "${filter}"${using} (sid "${sid}")`;
    }
    const tokens = tokensOf(filter);
    if (tokens > FILTER_TOKENS_MAX) return 'subject has exceeded number of tokens limit';
    if (
      this.#bySid.size >= options.subscriptionsMax ||
      subscribed.filters >= FILTERS_TOTAL_MAX ||
      subscribed.tokens + tokens > TOKENS_TOTAL_MAX
    ) {
      return 'maximum subscriptions exceeded';
    }
    const subscription = new ClientSubscription(this.#peer, filter, queue, sid, this.#spent);
    this.#bySid.set(sid, subscription);
    subscribed.filters++;
    subscribed.tokens += tokens;
    router.subscribe(subscription);
    return null;
  }

  /** After `max` messages counted from the SUB, at once where that many have been delivered or `max` is 0. */
  end(sid: string, max: number): void {
    const subscription = this.#bySid.get(sid);
    if (subscription === undefined || (max > 0 && !subscription.endAfter(max))) return;
    this.#bySid.delete(sid);
    this.#forget(subscription);
  }

  /** The client's own subscription on a subject; looked for one by one, because only refusals need it. */
  find(subject: string): Subscription | null {
    for (const subscription of this.#bySid.values()) if (matches(subscription.filter, subject)) return subscription;
    return null;
  }

  clear(): void {
    for (const subscription of this.#bySid.values()) this.#forget(subscription);
    this.#bySid.clear();
  }

  #forget(subscription: Subscription): void {
    const { subscribed, router } = this.#peer.context;
    subscribed.filters--;
    subscribed.tokens -= tokensOf(subscription.filter);
    router.unsubscribe(subscription);
  }
}

function tokensOf(filter: string): number {
  let tokens = 1;
  for (let dot = filter.indexOf('.'); dot !== -1; dot = filter.indexOf('.', dot + 1)) tokens++;
  return tokens;
}
