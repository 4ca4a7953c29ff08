/** Fields of payloads: little-endian integers, `str` and `bytes` with a length of one byte, `rest`. */

/** The payload does not follow the protocol; answered with NAK `malformed` where its frame is numbered. */
export class Malformed extends Error {}

const decoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

export class PayloadReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** Milliseconds since 1970 fit in a number for a long time. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  str(): string {
    return textOf(this.bytes());
  }

  bytes(): Uint8Array {
    return this.fixed(this.u8());
  }

  fixed(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length)
      throw new Malformed(`it ends at ${this.#bytes.length}, within a field at ${at}`);
    this.#at += count;
    return at;
  }
}

export function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Malformed('a text is no UTF-8');
  }
}

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

export class PayloadWriter {
  #bytes = new Uint8Array(64);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  u8(value: number): this {
    const at = this.#room(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#room(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u64(value: number): this {
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt(value), true);
    return this;
  }

  str(text: string): this {
    return this.bytes(bytesOf(text));
  }

  bytes(bytes: Uint8Array): this {
    return this.u8(bytes.length).rest(bytes);
  }

  rest(bytes: Uint8Array): this {
    // First: it may be another buffer then.
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
