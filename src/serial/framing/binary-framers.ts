import { Framer } from './framer.ts';

/** `fixed`: every frame has the same length; a sync word or a check finds the next one after noise, else a gap does. */
export class FixedFramer extends Framer {
  protected scan(): void {
    const { start, length } = this.options;
    while (this.findStart(start) && this.pending >= length) {
      this.deliverOrSlide(this.bytes.subarray(this.start, this.start + length), length);
    }
  }
}

/** `length`: a field in the frame says how long it is. The content is the whole frame, without the check. */
export class LengthFramer extends Framer {
  protected scan(): void {
    const { start, at, width, endian, counts, adjust, bytesMax } = this.options;
    const head = at + width;
    const least = Math.max(head, start.length);
    while (this.findStart(start) && this.pending >= head) {
      const place = this.start + at;
      const field = endian === 'big' ? this.bytes.readUIntBE(place, width) : this.bytes.readUIntLE(place, width);
      const length = field + adjust + (counts === 'all' ? 0 : head);
      if (length < least || length > bytesMax) this.discard('bad_length', 1);
      else if (this.pending < length) return;
      else this.deliverOrSlide(this.bytes.subarray(this.start, this.start + length), length);
    }
  }
}

/** `idle`: a frame is what comes between two pauses. */
export class IdleFramer extends Framer {
  #isOverlong = false;

  protected scan(): void {
    // Until the next pause nobody knows where a frame begins.
    if (!this.#isOverlong && this.pending <= this.options.bytesMax) return;
    this.#isOverlong = true;
    this.discard('overlong', this.pending);
  }

  override idle(): void {
    this.#isOverlong = false;
    if (this.pending > 0) this.deliver(this.view(), this.pending);
  }
}

/**
 * Framings that change some bytes on their way: the content is gathered in a buffer of its own. `raw` counts the wire
 * bytes of the frame so far.
 */
abstract class EscapingFramer extends Framer {
  protected content: Buffer = Buffer.allocUnsafe(64);
  protected length = 0;
  protected raw = 0;

  override get pending(): number {
    return this.raw + super.pending;
  }

  override idle(): void {
    const { raw } = this;
    this.reset();
    if (raw > 0) this.sink.discarded('cut', raw);
    super.idle();
  }

  protected put(byte: number): void {
    if (this.length === this.content.length) {
      const larger = Buffer.allocUnsafe(this.length * 2);
      this.content.copy(larger);
      this.content = larger;
    }
    this.content[this.length++] = byte;
  }

  protected reset(): void {
    this.length = 0;
    this.raw = 0;
  }

  /** The frame is whole: its bytes were taken as they came. */
  protected finish(): void {
    const { raw, length, check } = this;
    const content = this.content.subarray(0, length);
    this.reset();
    if (length === 0) return;
    if (check === null) this.sink.frame(content);
    else if (length < check.length) this.sink.discarded('short', raw);
    else if (!check.holds(content)) this.sink.discarded('bad_check', raw);
    else this.sink.frame(content.subarray(0, length - check.length));
  }

  protected drop(cause: 'overlong' | 'bad_escape' | 'bad_code' | 'noise'): void {
    const { raw } = this;
    this.reset();
    this.sink.discarded(cause, raw);
  }
}

const SLIP_END = 0xc0;
const SLIP_ESC = 0xdb;
const SLIP_ESC_END = 0xdc;
const SLIP_ESC_ESC = 0xdd;

/** `slip`: RFC 1055. After an error everything up to the next END is noise. */
export class SlipFramer extends EscapingFramer {
  #state: 'plain' | 'escaped' | 'lost' = 'plain';

  protected scan(): void {
    for (let i = this.start; i < this.end; i++) this.#byte(this.bytes[i] ?? 0);
    this.take(this.end - this.start);
  }

  override idle(): void {
    this.#state = 'plain';
    super.idle();
  }

  #byte(byte: number): void {
    this.raw++;
    if (byte === SLIP_END) {
      if (this.#state === 'lost') this.reset();
      else if (this.#state === 'escaped') this.drop('bad_escape');
      else this.finish();
      this.#state = 'plain';
    } else if (this.#state === 'lost') this.drop('noise');
    else if (this.#state === 'escaped') {
      this.#state = 'plain';
      if (byte === SLIP_ESC_END) this.put(SLIP_END);
      else if (byte === SLIP_ESC_ESC) this.put(SLIP_ESC);
      else this.#lose('bad_escape');
    } else if (byte === SLIP_ESC) this.#state = 'escaped';
    else this.put(byte);
    if (this.length > this.options.bytesMax) this.#lose('overlong');
  }

  #lose(cause: 'overlong' | 'bad_escape'): void {
    this.drop(cause);
    this.#state = 'lost';
  }
}

/** `cobs`: consistent overhead byte stuffing (Cheshire and Baker 1999), frames end in a zero byte. */
export class CobsFramer extends EscapingFramer {
  /** Bytes until the next code, and whether a zero belongs there. */
  #left = 0;
  #owesZero = false;
  #isLost = false;

  protected scan(): void {
    for (let i = this.start; i < this.end; i++) this.#byte(this.bytes[i] ?? 0);
    this.take(this.end - this.start);
  }

  protected override reset(): void {
    super.reset();
    this.#left = 0;
    this.#owesZero = false;
  }

  override idle(): void {
    this.#isLost = false;
    super.idle();
  }

  #byte(byte: number): void {
    this.raw++;
    if (byte === 0) {
      if (this.#isLost) this.reset();
      else if (this.#left > 0) this.drop('bad_code');
      else this.finish();
      this.#isLost = false;
    } else if (this.#isLost) this.drop('noise');
    else if (this.#left > 0) {
      this.#left--;
      this.put(byte);
    } else {
      if (this.#owesZero) this.put(0);
      this.#left = byte - 1;
      this.#owesZero = byte !== 0xff;
    }
    if (this.length > this.options.bytesMax) {
      this.drop('overlong');
      this.#isLost = true;
    }
  }
}

/**
 * `start-end`: from the start bytes to the end bytes, either without escaping (STX/ETX), or with an escape byte, behind
 * which a byte is taken as it is, combined with `escapeXor` (HDLC 0x20, DLE 0). The content is what stands between.
 */
export class StartEndFramer extends EscapingFramer {
  #isInside = false;
  #isEscaped = false;

  protected scan(): void {
    const { start, end } = this.options;
    while (this.pending > this.raw) {
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
    this.#isEscaped = false;
    super.idle();
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
