import { EscapingFramer } from './escaping-framer.ts';

/**
 * `start-end`: from the start bytes to the end bytes, either without escaping (STX/ETX), or with an escape byte, behind
 * which a byte is taken as it is, combined with `escapeXor` (HDLC 0x20, DLE 0). The content is what stands between.
 */
export class StartEndFramer extends EscapingFramer {
  #isInside = false;
  #isEscaped = false;
  /** The end is there, and the check behind it is awaited. */
  #isEnded = false;

  protected scan(): void {
    const { start, end } = this.options;
    while (this.pending > this.raw) {
      if (this.#isEnded) {
        if (!this.#checkBehind()) return;
        continue;
      }
      if (!this.#isInside) {
        if (!this.findStart(start)) return;
        this.take(start.length);
        this.raw = start.length;
        this.#isInside = true;
        continue;
      }
      if (!this.#isEscaped && this.#startsWith(end)) {
        // Where one byte both ends a frame and begins the next, nothing between two of them is no frame.
        if (this.length === 0 && start.equals(end)) {
          this.take(end.length);
          this.raw = start.length;
          continue;
        }
        this.take(end.length);
        this.raw += end.length;
        if (this.check !== null && this.options.check?.place === 'behind') {
          this.#isInside = false;
          this.#isEnded = true;
          continue;
        }
        // HDLC: one flag may end a frame and begin the next.
        this.#isInside = start.equals(end);
        this.finish();
        continue;
      }
      // The first bytes of an end that is not whole yet.
      if (end.length > 1 && !this.#isEscaped && this.end - this.start < end.length && this.#mayStart(end)) return;
      this.#inside();
    }
  }

  override idle(): void {
    this.#isInside = false;
    this.#isEnded = false;
    this.#isEscaped = false;
    super.idle();
  }

  /** A check that stands behind the end, as ISO 1745 has it (BCC); false until it is whole. */
  #checkBehind(): boolean {
    const { check, options, raw } = this;
    const length = check?.length ?? 0;
    if (this.end - this.start < length) return false;
    const content = Buffer.from(this.content.subarray(0, this.length));
    const covered = options.check?.coversEnd ? Buffer.concat([content, options.end]) : content;
    const isSound = check?.holds(Buffer.concat([covered, this.bytes.subarray(this.start, this.start + length)]));
    this.#isEnded = false;
    this.reset();
    if (!isSound) {
      // What stands in the place of the check may be the next frame.
      this.sink.discarded('bad_check', raw);
      return true;
    }
    this.take(length);
    if (content.length > 0) this.sink.frame(content);
    return true;
  }

  #inside(): void {
    const { escape: mark, escapeXor, bytesMax } = this.options;
    const byte = this.bytes[this.start] ?? 0;
    if (!this.#isEscaped && this.#restarts()) return;
    this.take(1);
    this.raw++;
    if (this.#isEscaped) {
      this.#isEscaped = false;
      this.put(byte ^ escapeXor);
    } else if (byte === mark) this.#isEscaped = true;
    else this.put(byte);
    if (this.length > bytesMax) {
      this.drop('overlong');
      this.#isInside = false;
      this.#isEscaped = false;
    }
  }

  /** A start within a frame: the frame's end was lost. Told only where an escape, or the byte itself, makes it sure. */
  #restarts(): boolean {
    const { start, end, escape: mark } = this.options;
    const isSure = mark !== null || start.length === 1;
    if (!isSure || start.equals(end) || !this.#startsWith(start)) return false;
    this.drop('noise');
    this.take(start.length);
    this.raw = start.length;
    return true;
  }

  #startsWith(word: Buffer): boolean {
    if (this.end - this.start < word.length) return false;
    for (let i = 0; i < word.length; i++) if (this.bytes[this.start + i] !== word[i]) return false;
    return true;
  }

  #mayStart(word: Buffer): boolean {
    for (let i = 0; this.start + i < this.end; i++) if (this.bytes[this.start + i] !== word[i]) return false;
    return true;
  }
}
