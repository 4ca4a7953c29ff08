/** The records behind the cursor that the hub has from before this pass; each is passed over once. */
export class StoredRecords {
  readonly sequences: Set<number>;
  readonly #upTo: number;
  #skip: number;
  #end: number;

  /** All up to `upTo` are at the hub too; `skip`: and the next so many records, whichever they are. */
  constructor(sequences: Set<number>, upTo: number, skip: number) {
    this.sequences = sequences;
    this.#upTo = upTo;
    this.#skip = skip;
    this.#end = skip > 0 ? Infinity : Math.max(upTo, largest(sequences));
  }

  /** The last of them; 0 where there are none, Infinity while that is not known. */
  get end(): number {
    return this.#end;
  }

  /** The lane has no more records: what is left are numbers of which its disk knows nothing, and no record is before them. */
  exhaust(): void {
    if (this.#skip > 0) return;
    this.sequences.clear();
    this.#end = 0;
  }

  /** True where this record, the next one in order, is one of them. */
  take(sequence: number): boolean {
    const found = this.sequences.delete(sequence) || sequence <= this.#upTo;
    if (this.#skip === 0) return found;
    this.#skip--;
    if (this.#skip === 0) this.#end = Math.max(sequence, largest(this.sequences));
    return true;
  }
}

/** 0 where there is none. */
function largest(sequences: Iterable<number>): number {
  let found = 0;
  for (const sequence of sequences) if (sequence > found) found = sequence;
  return found;
}
