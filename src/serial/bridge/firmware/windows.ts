/** What is used of a task of node-cron: whether a time is one of its minutes. */
interface Window {
  match(minute: Date): boolean;
}

/** Minutes in which something may happen, as cron expressions; none: always. */
export class Windows {
  readonly #texts: readonly string[];
  #windows: readonly Window[] = [];

  constructor(texts: readonly string[]) {
    this.#texts = texts;
  }

  async start(): Promise<void> {
    if (this.#texts.length === 0) return;
    // Loaded only where there are windows. Never started: only whether a minute matches is asked.
    const { createTask } = await import('node-cron');
    this.#windows = this.#texts.map((text) => createTask(text, () => undefined) as unknown as Window);
  }

  isOpen(wall: Date): boolean {
    if (this.#windows.length === 0) return true;
    const minute = new Date(wall);
    minute.setSeconds(0, 0);
    return this.#windows.some((window) => window.match(minute));
  }
}
