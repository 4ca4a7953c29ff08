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
