/** How far a long work is, on a terminal only: a pipe or a log gets nothing of it. */

const WIDTH = 30;
const EVERY_MS = 100;

export class Progress {
  readonly #what: string;
  readonly #total: number;
  #done = 0;
  #drawnMs = 0;

  constructor(what: string, total: number) {
    this.#what = what;
    this.#total = total;
  }

  /** `done` of the total. */
  at(done: number): void {
    this.#done = done;
    const nowMs = performance.now();
    if (!process.stderr.isTTY || nowMs - this.#drawnMs < EVERY_MS) return;
    this.#drawnMs = nowMs;
    const part = this.#total > 0 ? Math.min(1, done / this.#total) : 1;
    const bar = '█'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '░');
    process.stderr.write(`\r${this.#what} ${bar} ${Math.floor(part * 100)} %  ${done.toLocaleString('en')}\x1b[K`);
  }

  step(): void {
    // Looks at the clock once in a while only: this runs for every record.
    if ((++this.#done & 255) === 0) this.at(this.#done);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
