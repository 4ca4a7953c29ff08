import { useEffect, useState } from 'preact/hooks';

/** A value that the page draws from, and those who redraw when it changes. */
export class Observed<T> {
  #value: T;
  readonly #watchers = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const watcher of [...this.#watchers]) watcher();
  }

  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }
}

/** The value now, and a redraw with each change. */
export function useObserved<T>(observed: Observed<T>): T {
  const [, redraw] = useState({});
  useEffect(() => observed.watch(() => redraw({})), [observed]);
  return observed.value;
}

/** Redraws every `intervalMs` while the component stands: for ages and countdowns. */
export function useTick(intervalMs: number): void {
  const [, redraw] = useState({});
  useEffect(() => {
    const timer = setInterval(() => redraw({}), intervalMs);
    return () => clearInterval(timer);
  }, [intervalMs]);
}
