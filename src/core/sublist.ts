/**
 * One tree of subject filters: a node per token, `*` and `>` beside the literal tokens. `match` walks the tree only for
 * a subject it has not seen lately; for the others it is one look-up in a bounded cache.
 *
 * The cache is kept right in the cheapest way that does not make a subscription cost the size of the cache. A filter
 * without wildcards can change the result of one subject only, its own, so that one is forgotten. A filter with
 * wildcards can change any, so the whole cache is dropped; each cached subject is dropped once, so the cost was paid
 * when it went in.
 */

/** What the tree stores: a legal NATS subject filter and the queue group ('' for a plain subscription). */
export interface Entry {
  readonly filter: string;
  readonly queue: string;
}

/** A snapshot: it stays as it is while the entries in it come and go. */
export interface Match<T> {
  /** Each of these gets the message. */
  readonly plain: readonly T[];
  /** One non-empty list per queue group, over all filters that match; one member of each gets the message. */
  readonly queues: readonly (readonly T[])[];
}

/**
 * A box with 10,000 sensors publishes on 10,000 subjects in turn, and a cache smaller than the round never hits. An entry
 * is about 150 bytes (the subject and its slot): 2.5 MB when full.
 */
const CACHED_SUBJECTS_MAX = 16_384;
/** References held by all cached results, 2 MiB: 500 subscribers of `>` on 10,000 subjects would be 40 MB. */
const CACHED_REFERENCES_MAX = 262_144;
/** An MQTT topic may have 64 KiB: 16,384 of those would be 1 GiB. Longer subjects walk the tree each time. */
const CACHED_SUBJECT_LENGTH_MAX = 256;

const NOTHING: readonly never[] = Object.freeze([]);
const NO_MATCH: Match<never> = Object.freeze({ plain: NOTHING, queues: NOTHING });

/** A place in the tree. Most nodes have one child or one entry, so what a node may not need is made when needed. */
class Node<T> {
  literals: Map<string, Node<T>> | null = null;
  /** The child for `*`. Not one of `literals`, where a `*` token of a published subject would find it as well. */
  any: Node<T> | null = null;
  /** The child for a last `>`. */
  rest: Node<T> | null = null;
  plain: Set<T> | null = null;
  groups: Map<string, Set<T>> | null = null;

  child(token: string): Node<T> | null {
    if (token === '*') return this.any;
    if (token === '>') return this.rest;
    return this.literals?.get(token) ?? null;
  }

  grow(token: string): Node<T> {
    const child = new Node<T>();
    if (token === '*') this.any = child;
    else if (token === '>') this.rest = child;
    else {
      this.literals ??= new Map();
      this.literals.set(token, child);
    }
    return child;
  }

  cut(token: string): void {
    if (token === '*') this.any = null;
    else if (token === '>') this.rest = null;
    else if (this.literals?.delete(token) && this.literals.size === 0) this.literals = null;
  }

  get branches(): number {
    return (this.literals?.size ?? 0) + (this.any === null ? 0 : 1) + (this.rest === null ? 0 : 1);
  }

  get hasEntries(): boolean {
    return this.plain !== null || this.groups !== null;
  }

  /** False where it was there before. */
  add(entry: T, queue: string): boolean {
    let members: Set<T>;
    if (queue === '') {
      this.plain ??= new Set();
      members = this.plain;
    } else {
      this.groups ??= new Map();
      members = this.groups.get(queue) ?? new Set();
      this.groups.set(queue, members);
    }
    if (members.has(entry)) return false;
    members.add(entry);
    return true;
  }

  /** False where it was not there. */
  drop(entry: T, queue: string): boolean {
    if (queue === '') {
      if (!this.plain?.delete(entry)) return false;
      if (this.plain.size === 0) this.plain = null;
      return true;
    }
    const members = this.groups?.get(queue);
    if (!members?.delete(entry)) return false;
    if (members.size === 0 && this.groups?.delete(queue) && this.groups.size === 0) this.groups = null;
    return true;
  }
}

/** The subscription tree of the router (local subscriptions) and of the leaf link (the hub's interest). */
export class Sublist<T extends Entry> {
  #root = new Node<T>();
  #size = 0;
  #cache = new Map<string, Match<T>>();
  #cachedReferences = 0;

  /** How many entries are in the tree. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds an entry; the same object twice is one entry. Costs the number of tokens of its filter, in time and in nodes:
   * whoever inserts bounds the length of a filter, and asks `isFilter` or `isTopicFilter` whether it is legal.
   */
  insert(entry: T): boolean {
    const tokens = entry.filter.split('.');
    let node = this.#root;
    for (const token of tokens) node = node.child(token) ?? node.grow(token);
    if (!node.add(entry, entry.queue)) return false;
    this.#size++;
    this.#forget(entry.filter, tokens);
    return true;
  }

  /** Takes out this very object and the nodes that only it needed. False where it was not there. */
  remove(entry: T): boolean {
    const tokens = entry.filter.split('.');
    let node = this.#root;
    // The last node on the way down that something else needs: below it, this entry's own branch begins.
    let stem = this.#root;
    let branch = tokens[0] ?? '';
    for (const token of tokens) {
      const child = node.child(token);
      if (child === null) return false;
      if (node.hasEntries || node.branches > 1) {
        stem = node;
        branch = token;
      }
      node = child;
    }
    if (!node.drop(entry, entry.queue)) return false;
    if (!node.hasEntries && node.branches === 0) stem.cut(branch);
    this.#size--;
    this.#forget(entry.filter, tokens);
    return true;
  }

  /**
   * Who gets a message on this subject. A `*` or `>` token of the subject is an ordinary token (clients publish such
   * subjects to `$JS.API.CONSUMER.CREATE.…`): wildcards of the filters match it, and nothing else does.
   */
  match(subject: string): Match<T> {
    return this.#cache.get(subject) ?? this.#find(subject);
  }

  /** True where anybody gets a message on this subject. */
  hasInterest(subject: string): boolean {
    const { plain, queues } = this.match(subject);
    return plain.length > 0 || queues.length > 0;
  }

  /** Every entry, in no useful order. Do not insert or remove between two steps. */
  *entries(): Generator<T> {
    const nodes = [this.#root];
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      if (node.plain !== null) yield* node.plain;
      if (node.groups !== null) for (const members of node.groups.values()) yield* members;
      if (node.any !== null) nodes.push(node.any);
      if (node.rest !== null) nodes.push(node.rest);
      if (node.literals !== null) for (const child of node.literals.values()) nodes.push(child);
    }
  }

  clear(): void {
    this.#root = new Node();
    this.#size = 0;
    this.#dropCache();
  }

  /** Level by level and not by recursion: a subject may have more tokens than the call stack has frames. */
  #find(subject: string): Match<T> {
    const plain: T[] = [];
    const groups = new Map<string, T[]>();
    let level = [this.#root];
    let start = 0;
    let ended = false;
    while (!ended && level.length > 0) {
      const dot = subject.indexOf('.', start);
      ended = dot < 0;
      const token = ended ? subject.slice(start) : subject.slice(start, dot);
      start = dot + 1;
      const next: Node<T>[] = [];
      for (const node of level) {
        if (node.rest !== null) collect(node.rest, plain, groups);
        if (node.any !== null) next.push(node.any);
        const child = node.literals?.get(token);
        if (child !== undefined) next.push(child);
      }
      level = next;
    }
    for (const node of level) collect(node, plain, groups);
    return this.#remember(subject, plain, groups);
  }

  #remember(subject: string, plain: T[], groups: Map<string, T[]>): Match<T> {
    const isEmpty = plain.length === 0 && groups.size === 0;
    const match: Match<T> = isEmpty ? NO_MATCH : { plain, queues: groups.size === 0 ? NOTHING : [...groups.values()] };
    const references = referencesOf(match);
    if (subject.length > CACHED_SUBJECT_LENGTH_MAX || references > CACHED_REFERENCES_MAX) return match;
    // Full: start again. A refill costs one walk per subject, less than any bookkeeping of what was used last.
    const isFull =
      this.#cache.size >= CACHED_SUBJECTS_MAX || this.#cachedReferences + references > CACHED_REFERENCES_MAX;
    if (isFull) this.#dropCache();
    this.#cache.set(subject, match);
    this.#cachedReferences += references;
    return match;
  }

  #forget(filter: string, tokens: readonly string[]): void {
    if (tokens.includes('*') || tokens.at(-1) === '>') {
      this.#dropCache();
      return;
    }
    const match = this.#cache.get(filter);
    if (match === undefined) return;
    this.#cachedReferences -= referencesOf(match);
    this.#cache.delete(filter);
  }

  /** A new map and not `clear()`, which would keep the room of the old one. */
  #dropCache(): void {
    if (this.#cache.size === 0) return;
    this.#cache = new Map();
    this.#cachedReferences = 0;
  }
}

function collect<T>(node: Node<T>, plain: T[], groups: Map<string, T[]>): void {
  if (node.plain !== null) for (const entry of node.plain) plain.push(entry);
  if (node.groups === null) return;
  for (const [queue, members] of node.groups) {
    const found = groups.get(queue);
    if (found === undefined) groups.set(queue, [...members]);
    else for (const entry of members) found.push(entry);
  }
}

function referencesOf(match: Match<unknown>): number {
  let references = match.plain.length;
  for (const members of match.queues) references += members.length;
  return references;
}
