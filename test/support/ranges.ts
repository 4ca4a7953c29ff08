/** Which numbers of one client: inclusive ranges in rising order. */
export type Ranges = [first: number, last: number][];

/** A growing set of whole numbers from 0: one bit each. */
export class NumberSet {
  #bits = new Uint8Array(1024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(n: number): boolean {
    return ((this.#bits[n >>> 3] ?? 0) & (1 << (n & 7))) !== 0;
  }

  /** False where it was there already. */
  add(n: number): boolean {
    const at = n >>> 3;
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(at + 1, this.#bits.length * 2));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    const byte = this.#bits[at] ?? 0;
    const bit = 1 << (n & 7);
    if ((byte & bit) !== 0) return false;
    this.#bits[at] = byte | bit;
    this.#size++;
    return true;
  }

  ranges(): Ranges {
    const found: Ranges = [];
    let first = -1;
    for (let n = 0; n <= this.#bits.length * 8; n++) {
      if (this.has(n)) {
        if (first < 0) first = n;
      } else if (first >= 0) {
        found.push([first, n - 1]);
        first = -1;
      }
    }
    return found;
  }
}

export function countRanges(ranges: Ranges): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
