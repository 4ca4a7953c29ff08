/** A cron expression of which only is asked whether a time is one of its: times are by the local clock of the box. */
export interface Plan {
  match(wall: Date): boolean;
}

/**
 * Plans of node-cron, loaded only where there are some. Their tasks are never started: a started one makes up for every
 * time that a jump of the clock has left out, and a late timer misses some.
 */
export async function plansOf(texts: readonly string[]): Promise<readonly Plan[]> {
  if (texts.length === 0) return [];
  const { createTask } = await import('node-cron');
  return texts.map((text) => createTask(text, () => undefined) as unknown as Plan);
}

/** Minutes in which something may happen, as cron expressions of five fields; none: always. */
export class Windows {
  readonly #texts: readonly string[];
  #windows: readonly Plan[] = [];

  constructor(texts: readonly string[]) {
    this.#texts = texts;
  }

  async start(): Promise<void> {
    this.#windows = await plansOf(this.#texts);
  }

  isOpen(wall: Date): boolean {
    if (this.#windows.length === 0) return true;
    const minute = new Date(wall);
    minute.setSeconds(0, 0);
    return this.#windows.some((window) => window.match(minute));
  }
}
