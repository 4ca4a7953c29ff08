import type { BatchResult, TakenChanges, TakenNote, TakenNumber } from './protocol.ts';

/**
 * A source that numbers what it sends, and sends it again until it has a receipt, may lose the receipt with the line, or
 * the box may fall between commit and receipt. So the numbers that are in the journal are noted in the commit of their
 * messages, lane by lane: what comes again is known also by the next run of the box.
 *
 *   source, number ─▶ messages ─▶ lane a, lane b     one commit: messages of a, (number, a), messages of b, (number, b)
 */

/** Changes that wait for a commit of their own no longer than this; fewer ride with the next commit. */
const RIDING_MAX = 1024;

class Changes {
  readonly dropped = new Set<string>();
  readonly forgotten: { source: string; through: number }[] = [];
  readonly noted: TakenNote[] = [];

  get size(): number {
    return this.dropped.size + this.forgotten.length + this.noted.length;
  }
}

export class Taken {
  /** Asks for a commit. */
  readonly #changedSome: () => void;
  /** Lanes that took a number, by source. Bounded by the sources, which forget what can't come again. */
  readonly #known = new Map<string, Map<number, Set<string>>>();
  #changes = new Changes();
  #committing: Changes | null = null;

  constructor(changedSome: () => void) {
    this.#changedSome = changedSome;
  }

  /** From the disk, when it is opened. */
  load(numbers: readonly TakenNumber[]): void {
    for (const { source, number, lane } of numbers) this.#know(source, number, lane);
  }

  /** The sources of which something is noted. */
  get sources(): string[] {
    return [...this.#known.keys()];
  }

  /** The numbers of a source that are noted, in no order. */
  numbersOf(source: string): number[] {
    return [...(this.#known.get(source)?.keys() ?? [])];
  }

  has(source: string, number: number, lane: string): boolean {
    return this.#known.get(source)?.get(number)?.has(lane) === true;
  }

  /** Its messages of this lane are in this batch of the next commit. */
  note(note: TakenNote): void {
    this.#changes.noted.push(note);
  }

  /** Numbers up to this one can't come again. Goes to disk with a later commit. */
  forget(source: string, through: number): void {
    const numbers = this.#known.get(source);
    if (numbers === undefined) return;
    let isKnown = false;
    for (const number of numbers.keys()) if (number <= through) isKnown = numbers.delete(number) || isKnown;
    if (!isKnown) return;
    if (numbers.size === 0) this.#known.delete(source);
    this.#changes.forgotten.push({ source, through });
    if (this.isDue) this.#changedSome();
  }

  /** Nothing of this source comes again. */
  drop(source: string): void {
    if (!this.#known.delete(source)) return;
    this.#changes.dropped.add(source);
  }

  #know(source: string, number: number, lane: string): void {
    const numbers = this.#known.get(source) ?? new Map<number, Set<string>>();
    this.#known.set(source, numbers);
    const lanes = numbers.get(number) ?? new Set<string>();
    numbers.set(number, lanes);
    lanes.add(lane);
  }

  get isDue(): boolean {
    return this.#changes.size > RIDING_MAX;
  }

  /** The changes for a commit; null for none. */
  takeChanges(): TakenChanges | null {
    if (this.#changes.size === 0) return null;
    const { dropped, forgotten, noted } = this.#changes;
    this.#committing = this.#changes;
    this.#changes = new Changes();
    return { dropped: [...dropped], forgotten, noted };
  }

  /** The commit has ended; after a failure what is to be forgotten goes with the next one. */
  committed(results: readonly BatchResult[], isFailed: boolean): void {
    const changes = this.#committing;
    if (changes === null) return;
    this.#committing = null;
    for (const { source, number, lane, batch } of changes.noted) {
      if (!results[batch]?.failure) this.#know(source, number, lane);
    }
    if (!isFailed) return;
    for (const source of changes.dropped) this.#changes.dropped.add(source);
    this.#changes.forgotten.push(...changes.forgotten);
  }
}
