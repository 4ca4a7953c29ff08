import { EscapingFramer } from './escaping-framer.ts';

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
