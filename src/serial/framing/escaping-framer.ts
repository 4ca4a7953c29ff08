import { Framer } from './framer.ts';

/**
 * Framings that change some bytes on their way: the content is gathered in a buffer of its own. `raw` counts the wire
 * bytes of the frame so far.
 */
export abstract class EscapingFramer extends Framer {
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
