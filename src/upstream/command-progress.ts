/** Sequences of a stream that are settled for ever; what makes a command happen once, whatever the hub sends again. */
export class CommandProgress {
  /** The stream's creation time: another stream of the same name counts anew. */
  #created = '';
  /** Everything up to here is settled. */
  #floor = 0;
  /** Settled beyond it; bounded by the commands in hand. */
  readonly #done = new Set<number>();

  /** What `text()` gave; anything else begins anew. */
  constructor(text: string | null) {
    try {
      const { created, floor, done } = JSON.parse(text ?? '{}');
      if (typeof created !== 'string' || !Number.isSafeInteger(floor) || !Array.isArray(done)) return;
      this.#created = created;
      this.#floor = floor;
      for (const sequence of done) this.#done.add(Number(sequence));
    } catch {
      // Not ours: the hub's own acknowledgements are what is left to go by.
    }
  }

  get floor(): number {
    return this.#floor;
  }

  text(): string {
    return JSON.stringify({ created: this.#created, floor: this.#floor, done: [...this.#done] });
  }

  /**
   * The stream as it is now. 'rolled-back': it ends before what is settled, so its next messages bear numbers that were
   * used before; they count anew from its end.
   */
  begin(created: string, lastSequence: number): 'same' | 'new' | 'rolled-back' {
    const isSame = created === this.#created;
    const settled = Math.max(this.#floor, ...this.#done);
    if (isSame && settled <= lastSequence) return 'same';
    this.#created = created;
    this.#floor = isSame ? lastSequence : 0;
    this.#done.clear();
    return isSame ? 'rolled-back' : 'new';
  }

  isSettled(sequence: number): boolean {
    return sequence <= this.#floor || this.#done.has(sequence);
  }

  settle(sequence: number): void {
    this.#done.add(sequence);
  }

  /** Everything up to `floor` is known to be settled. */
  raise(floor: number): void {
    if (floor <= this.#floor) return;
    this.#floor = floor;
    for (const sequence of this.#done) if (sequence <= floor) this.#done.delete(sequence);
  }
}
