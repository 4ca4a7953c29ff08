/** Work that is due at the end of the tick, once, however often it is asked for. */
export class OncePerTick {
  readonly #work: () => void;
  #isDue = false;

  constructor(work: () => void) {
    this.#work = work;
  }

  schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#work();
    });
  }
}
