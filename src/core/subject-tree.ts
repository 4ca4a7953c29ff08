/**
 * Values by subject, found by filter: a node per token. The tree of subscriptions turned round (sublist.ts finds filters
 * by subject), for what is kept and asked for later.
 */

class Node<T> {
  value: T | null = null;
  /** Most nodes are leaves. */
  children: Map<string, Node<T>> | null = null;
}

interface Frame<T> {
  readonly nodes: Iterator<Node<T>>;
  /** Tokens of the filter that its nodes have matched. */
  readonly depth: number;
  /** Below a `>`: every node matches. */
  readonly isRest: boolean;
}

export class SubjectTree<T extends object> {
  readonly #root = new Node<T>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(subject: string): T | null {
    let node: Node<T> | undefined = this.#root;
    for (const token of subject.split('.')) {
      node = node.children?.get(token);
      if (node === undefined) return null;
    }
    return node.value;
  }

  /** Returns what was there before. Costs a node per token: whoever sets bounds the length of a subject. */
  set(subject: string, value: T): T | null {
    let node = this.#root;
    for (const token of subject.split('.')) {
      node.children ??= new Map();
      let child = node.children.get(token);
      if (child === undefined) {
        child = new Node();
        node.children.set(token, child);
      }
      node = child;
    }
    const before = node.value;
    if (before === null) this.#size++;
    node.value = value;
    return before;
  }

  /** Takes the value out, and the nodes that only it needed. False where there was none. */
  delete(subject: string): boolean {
    const tokens = subject.split('.');
    let node = this.#root;
    // The last node on the way down that something else needs: below it this value's own branch begins.
    let stem = this.#root;
    let branch = tokens[0] ?? '';
    for (const token of tokens) {
      const child = node.children?.get(token);
      if (child === undefined) return false;
      if (node.value !== null || (node.children?.size ?? 0) > 1) {
        stem = node;
        branch = token;
      }
      node = child;
    }
    if (node.value === null) return false;
    node.value = null;
    this.#size--;
    if (node.children === null && stem.children?.delete(branch) && stem.children.size === 0) stem.children = null;
    return true;
  }

  /**
   * The values whose subjects match, and a null for each step that found none, so that the caller can stop after any
   * amount of work and go on in another turn. Values may come and go meanwhile: one that is there all the time is found
   * once, one that comes or goes may be found or not. Wildcard tokens of a subject mean themselves.
   */
  *matching(filter: string): Generator<T | null, undefined> {
    const tokens = filter.split('.');
    const frames: Frame<T>[] = [{ nodes: [this.#root].values(), depth: 0, isRest: false }];
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const { value: node, done } = frame.nodes.next();
      if (done) {
        frames.pop();
        continue;
      }
      const { depth, isRest } = frame;
      const below = isRest ? node.children?.values() : step(node, tokens[depth]);
      const becomesRest = isRest || (tokens[depth] === '>' && depth === tokens.length - 1);
      if (below !== undefined) frames.push({ nodes: below, depth: depth + 1, isRest: becomesRest });
      yield isRest || depth === tokens.length ? node.value : null;
    }
  }
}

/** The children that a token of a filter leads to. */
function step<T>(node: Node<T>, token: string | undefined): Iterator<Node<T>> | undefined {
  if (token === undefined || node.children === null) return undefined;
  if (token === '*' || token === '>') return node.children.values();
  const child = node.children.get(token);
  return child && [child].values();
}
