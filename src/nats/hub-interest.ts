import { GatewayError } from '../core/errors.ts';
import { type Entry, Sublist } from '../core/sublist.ts';

/** Filters a hub may announce: a large account has some thousands. */
const FILTERS_MAX = 50_000;
/** Tokens of all filters together, what the tree's memory follows: about 50 MB at the most. */
const TOKENS_MAX = 250_000;

const NO_NAMES: readonly string[] = [];

/** What the hub wants to get, as announced by LS+ and LS- on one connection. */
export class HubInterest {
  readonly #entries = new Map<string, Entry>();
  readonly #tree = new Sublist<Entry>();
  #tokens = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Announced twice is announced once. Throws a GatewayError `hub_error` beyond the bound. */
  add(filter: string, queue: string): void {
    const key = `${filter} ${queue}`;
    if (this.#entries.has(key)) return;
    this.#tokens += tokensOf(filter);
    if (this.#entries.size >= FILTERS_MAX || this.#tokens > TOKENS_MAX) {
      throw new GatewayError('hub_error', `the hub announces more than ${FILTERS_MAX} subject filters`, {
        hint: 'Give the box an account or permissions of its own that show it fewer subjects.',
        retryAfterMs: 30_000,
      });
    }
    const entry = { filter, queue };
    this.#entries.set(key, entry);
    this.#tree.insert(entry);
  }

  remove(filter: string, queue: string): void {
    const key = `${filter} ${queue}`;
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#tree.remove(entry);
    this.#tokens -= tokensOf(filter);
  }

  wants(subject: string): boolean {
    return this.#tree.hasInterest(subject);
  }

  /**
   * The queue groups to name for a message on this subject: those without a member here (`served`), for a group gets
   * one copy in all. Null where nobody at the hub is left to send it to.
   */
  queuesFor(subject: string, served: readonly string[]): readonly string[] | null {
    const { plain, queues } = this.#tree.match(subject);
    if (queues.length === 0) return plain.length === 0 ? null : NO_NAMES;
    const names: string[] = [];
    for (const group of queues) {
      const queue = group[0]?.queue ?? '';
      if (!served.includes(queue)) names.push(queue);
    }
    return plain.length === 0 && names.length === 0 ? null : names;
  }
}

function tokensOf(filter: string): number {
  let tokens = 1;
  for (let dot = filter.indexOf('.'); dot !== -1; dot = filter.indexOf('.', dot + 1)) tokens++;
  return tokens;
}
