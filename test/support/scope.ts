/**
 * Who owns what a test started: a `TestContext`, `{ after }` of node:test for a whole suite (keep that object, one per
 * suite), or a `Lifetime` outside of the test runner.
 */
export interface Scope {
  after(work: () => Promise<void>): void;
}

const stacks = new WeakMap<Scope, (() => Promise<void> | void)[]>();

/**
 * Runs `work` when the scope ends, last one first: the runner's own hooks go first to last, which would remove a folder
 * under a server that still writes there.
 */
export function atEnd(scope: Scope, work: () => Promise<void> | void): void {
  const known = stacks.get(scope);
  if (known !== undefined) {
    known.push(work);
    return;
  }
  const stack = [work];
  stacks.set(scope, stack);
  scope.after(async () => {
    const failures: unknown[] = [];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      try {
        await next();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'cleaning up after the test failed');
  });
}

/** A scope for programs: `await using life = new Lifetime()`, or `end()`. */
export class Lifetime implements Scope, AsyncDisposable {
  readonly #works: (() => Promise<void>)[] = [];

  after(work: () => Promise<void>): void {
    this.#works.push(work);
  }

  async end(): Promise<void> {
    for (const work of this.#works.splice(0)) await work();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}
