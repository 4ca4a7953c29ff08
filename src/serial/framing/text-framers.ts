import { Framer } from './framer.ts';

const LF = 0x0a;
const CR = 0x0d;
const DOLLAR = 0x24;
const BANG = 0x21;
const STAR = 0x2a;

/** `line`: ends at LF, CR or both; empty lines are no frames. */
export class LineFramer extends Framer {
  /** The rest of a line that was too long: its end is awaited. */
  #isLost = false;

  protected scan(): void {
    let { seen } = this;
    while (seen < this.end) {
      const byte = this.bytes[seen++];
      if (byte !== LF && byte !== CR) continue;
      const length = seen - this.start;
      if (this.#isLost) {
        this.#isLost = false;
        this.discard('overlong', length);
      } else if (length === 1) this.take(1);
      else this.deliver(this.bytes.subarray(this.start, seen - 1), length);
      // Taking the last byte moves to the front.
      seen = this.start;
    }
    this.seen = this.end;
    if (!this.#isLost && this.pending <= this.options.bytesMax) return;
    this.#isLost = this.pending > 0 || this.#isLost;
    this.discard('overlong', this.pending);
  }

  override idle(): void {
    this.#isLost = false;
    super.idle();
  }
}

/** `delimiter`: any bytes between frames; nothing between two delimiters is no frame. */
export class DelimiterFramer extends Framer {
  #isLost = false;

  protected scan(): void {
    const { delimiter, bytesMax } = this.options;
    for (;;) {
      const at = this.bytes.subarray(0, this.end).indexOf(delimiter, this.seen);
      if (at < 0) break;
      const length = at - this.start + delimiter.length;
      if (this.#isLost) {
        this.#isLost = false;
        this.discard('overlong', length);
      } else if (at === this.start) this.take(length);
      else this.deliver(this.bytes.subarray(this.start, at), length);
    }
    // The last bytes may be the beginning of a delimiter.
    this.seen = Math.max(this.start, this.end - delimiter.length + 1);
    const scanned = this.seen - this.start;
    if (scanned === 0 || (!this.#isLost && scanned <= bytesMax)) return;
    this.#isLost = true;
    this.discard('overlong', scanned);
  }

  override idle(): void {
    this.#isLost = false;
    super.idle();
  }
}

/**
 * `nmea`: `$` or `!`, the sentence, `*` and the XOR of what stands between them as two hexadecimal digits, CR LF
 * (NMEA 0183, 5.3). The content is the sentence without `$` and check. A sentence without a check is taken, as old
 * devices send them, unless it is asked for by `check`.
 */
export class NmeaFramer extends Framer {
  protected scan(): void {
    for (;;) {
      let from = this.start;
      while (from < this.end && this.bytes[from] !== DOLLAR && this.bytes[from] !== BANG) from++;
      this.between(from - this.start);
      if (this.pending === 0) return;
      this.seen = Math.max(this.seen, this.start + 1);
      let to = this.seen;
      while (to < this.end && !isSentenceEnd(this.bytes[to])) to++;
      if (to === this.end) {
        this.seen = to;
        if (this.pending > this.options.bytesMax) this.discard('overlong', this.pending);
        return;
      }
      const length = to - this.start;
      const next = this.bytes[to];
      // A sentence that begins within another one: the first was cut short.
      if (next === DOLLAR || next === BANG) this.discard('noise', length);
      else this.#sentence(length, to);
    }
  }

  #sentence(length: number, to: number): void {
    const content = this.bytes.subarray(this.start + 1, to);
    const star = content.length - 3;
    const isChecked = star >= 0 && content[star] === STAR;
    if (!isChecked) {
      if (this.check !== null || content.length === 0) this.discard('short', length);
      else if (content.length > this.options.bytesMax) this.discard('overlong', length);
      else {
        this.take(length);
        this.sink.frame(content);
      }
      return;
    }
    let xor = 0;
    for (let i = 0; i < star; i++) xor ^= content[i] ?? 0;
    const told = Number.parseInt(content.toString('latin1', star + 1), 16);
    if (told !== xor || !/^[0-9A-Fa-f]{2}$/.test(content.toString('latin1', star + 1)))
      this.discard('bad_check', length);
    else {
      this.take(length);
      this.sink.frame(content.subarray(0, star));
    }
  }
}

function isSentenceEnd(byte: number | undefined): boolean {
  return byte === CR || byte === LF || byte === DOLLAR || byte === BANG;
}
