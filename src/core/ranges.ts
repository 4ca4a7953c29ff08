/** A set of whole numbers as rising ranges: a lane's million records in order are one range. */
export class Ranges {
  /** First and last number of each range, in turn; ranges neither touch nor overlap. */
  readonly #bounds: number[] = [];

  /** False where all of them were there already. */
  add(first: number, last: number = first): boolean {
    const bounds = this.#bounds;
    // Mostly the next number after the last: nothing to look for.
    const end = bounds.length - 1;
    if (end > 0 && first === (bounds[end] as number) + 1) {
      bounds[end] = last;
      return true;
    }
    const from = this.#at(first - 1);
    if (from < bounds.length && (bounds[from] as number) <= first && (bounds[from + 1] as number) >= last) return false;
    let to = from;
    let low = first;
    let high = last;
    for (; to < bounds.length && (bounds[to] as number) <= last + 1; to += 2) {
      low = Math.min(low, bounds[to] as number);
      high = Math.max(high, bounds[to + 1] as number);
    }
    bounds.splice(from, to - from, low, high);
    return true;
  }

  has(n: number): boolean {
    const at = this.#at(n);
    return at < this.#bounds.length && (this.#bounds[at] as number) <= n;
  }

  /** Index of the first range that ends at or behind `n`. */
  #at(n: number): number {
    let low = 0;
    let high = this.#bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#bounds[middle * 2 + 1] as number) < n) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }

  get count(): number {
    let sum = 0;
    for (const [first, last] of this) sum += last - first + 1;
    return sum;
  }

  /** What of `first` to `last` is not in it. */
  missing(first: number, last: number): [first: number, last: number][] {
    const gaps: [number, number][] = [];
    let next = first;
    for (const [low, high] of this) {
      if (high < next) continue;
      if (low > last) break;
      if (low > next) gaps.push([next, low - 1]);
      next = high + 1;
    }
    if (next <= last) gaps.push([next, last]);
    return gaps;
  }

  *[Symbol.iterator](): Generator<[first: number, last: number]> {
    for (let i = 0; i < this.#bounds.length; i += 2) yield [this.#bounds[i] as number, this.#bounds[i + 1] as number];
  }
}
