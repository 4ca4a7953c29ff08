/**
 * The part of CBOR [RFC 8949] that boards speak: integers, floating point numbers, byte and text strings, arrays, maps,
 * tags (skipped), false, true, null and undefined; of known length. What a board says of itself is small: depth and size
 * are bounded by the frame and by `DEPTH_MAX`.
 */

export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | readonly CborValue[]
  | ReadonlyMap<CborValue, CborValue>;

/** Says what is wrong with the bytes, and where. */
export class CborError extends Error {}

/** Section 7 of PROTOCOL.md. */
const DEPTH_MAX = 4;

const text = new TextDecoder('utf-8', { fatal: true });

/** Reads a CBOR sequence [RFC 8742], value by value. Every method throws CborError. */
export class CborReader {
  /** Where the next value begins. */
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  get isAtEnd(): boolean {
    return this.at === this.#bytes.length;
  }

  /** An unsigned integer that fits in a number. */
  unsigned(): number {
    const value = this.value();
    if (typeof value !== 'number' || value < 0 || !Number.isInteger(value)) {
      throw new CborError(`no unsigned integer before ${this.at}`);
    }
    return value;
  }

  value(depth = 0): CborValue {
    if (depth > DEPTH_MAX) throw new CborError(`nested deeper than ${DEPTH_MAX} at ${this.at}`);
    const first = this.#bytes[this.#take(1)] as number;
    const info = first & 0x1f;
    switch (first >> 5) {
      case 0:
        return this.#argument(info);
      case 1: {
        const argument = this.#argument(info);
        return typeof argument === 'bigint' ? -1n - argument : -1 - argument;
      }
      case 2:
        return this.#string(info).slice();
      case 3:
        return this.#text(info);
      case 4:
        return Array.from({ length: this.#count(info) }, () => this.value(depth + 1));
      case 5: {
        const map = new Map<CborValue, CborValue>();
        for (let left = this.#count(info); left > 0; left--) {
          const key = this.value(depth + 1);
          map.set(key, this.value(depth + 1));
        }
        return map;
      }
      case 6:
        this.#argument(info);
        return this.value(depth + 1);
      default:
        return this.#simple(info);
    }
  }

  #take(count: number): number {
    const at = this.at;
    if (at + count > this.#bytes.length) throw new CborError(`the bytes end at ${this.#bytes.length}, within a value`);
    this.at += count;
    return at;
  }

  #argument(info: number): number | bigint {
    if (info < 24) return info;
    if (info === 24) return this.#view.getUint8(this.#take(1));
    if (info === 25) return this.#view.getUint16(this.#take(2));
    if (info === 26) return this.#view.getUint32(this.#take(4));
    if (info !== 27) throw new CborError(`a length that is not known at ${this.at - 1}`);
    const value = this.#view.getBigUint64(this.#take(8));
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  /** Of elements, each at least a byte long: so that a length which lies costs no memory. */
  #count(info: number): number {
    const count = Number(this.#argument(info));
    if (count > this.#bytes.length - this.at) throw new CborError(`${count} elements do not fit at ${this.at}`);
    return count;
  }

  #string(info: number): Uint8Array {
    const count = this.#count(info);
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  #text(info: number): string {
    const bytes = this.#string(info);
    try {
      return text.decode(bytes);
    } catch {
      throw new CborError(`a text that is no UTF-8 before ${this.at}`);
    }
  }

  #simple(info: number): CborValue {
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
      case 23:
        return null;
      case 25:
        return half(this.#view.getUint16(this.#take(2)));
      case 26:
        return this.#view.getFloat32(this.#take(4));
      case 27:
        return this.#view.getFloat64(this.#take(8));
      default:
        throw new CborError(`an unknown simple value ${info} at ${this.at - 1}`);
    }
  }
}

/** IEEE 754 binary16. */
function half(bits: number): number {
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The shortest form of a value that a command may carry. */
export function encodeCbor(value: number | boolean | string | Uint8Array | null): Uint8Array {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === 'boolean') return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (typeof value === 'number') return encodeNumber(value);
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  const head = encodeHead(typeof value === 'string' ? 3 : 2, bytes.length);
  const all = new Uint8Array(head.length + bytes.length);
  all.set(head);
  all.set(bytes, head.length);
  return all;
}

function encodeNumber(value: number): Uint8Array {
  if (Number.isSafeInteger(value)) return value < 0 ? encodeHead(1, -1 - value) : encodeHead(0, value);
  const isSingle = Math.fround(value) === value;
  const view = new DataView(new ArrayBuffer(isSingle ? 5 : 9));
  view.setUint8(0, isSingle ? 0xfa : 0xfb);
  if (isSingle) view.setFloat32(1, value);
  else view.setFloat64(1, value);
  return new Uint8Array(view.buffer);
}

function encodeHead(major: number, argument: number): Uint8Array {
  const first = major << 5;
  if (argument < 24) return Uint8Array.of(first | argument);
  if (argument < 0x100) return Uint8Array.of(first | 24, argument);
  if (argument < 0x10000) return Uint8Array.of(first | 25, argument >> 8, argument & 0xff);
  const view = new DataView(new ArrayBuffer(argument < 2 ** 32 ? 5 : 9));
  view.setUint8(0, first | (argument < 2 ** 32 ? 26 : 27));
  if (argument < 2 ** 32) view.setUint32(1, argument);
  else view.setBigUint64(1, BigInt(argument));
  return new Uint8Array(view.buffer);
}
