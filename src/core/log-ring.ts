/** A day of a healthy box, the last minutes of one that complains. */
const LINES_MAX = 1_000;
/** In memory; a line with a stack is some KiB. */
const CHARACTERS_MAX = 512 * 1024;
/** What one line may hold of that. */
const LINE_CHARACTERS_MAX = 8 * 1024;

/** One line of pino as it was written, with its number since the start. */
export interface RingLine {
  readonly id: number;
  readonly json: string;
}

/** The newest lines of the log, for somebody who looks at them later. They are parsed only then. */
export class LogRing {
  #lines: RingLine[] = [];
  #characters = 0;
  #lastId = 0;
  #dropped = 0;
  #heard: ((line: RingLine) => void) | null = null;

  add(json: string): void {
    const line = { id: ++this.#lastId, json: json.slice(0, LINE_CHARACTERS_MAX) };
    this.#lines.push(line);
    this.#characters += line.json.length;
    // Half at a time: taking one out of a long array for every line would cost more than the line.
    if (this.#lines.length >= LINES_MAX * 2 || this.#characters > CHARACTERS_MAX) this.#drop();
    this.#heard?.(line);
  }

  /** Oldest first. */
  get lines(): readonly RingLine[] {
    return this.#lines.slice(-LINES_MAX);
  }

  get dropped(): number {
    return this.#dropped + Math.max(0, this.#lines.length - LINES_MAX);
  }

  /** Calls back with each line as it is written; null ends it. */
  hear(heard: ((line: RingLine) => void) | null): void {
    this.#heard = heard;
  }

  #drop(): void {
    const half = Math.min(LINES_MAX, Math.ceil(this.#lines.length / 2));
    this.#dropped += this.#lines.length - half;
    this.#lines = this.#lines.slice(-half);
    this.#characters = this.#lines.reduce((sum, { json }) => sum + json.length, 0);
  }
}
