/*
 * CBOR (RFC 8949) to values that JSON can show, for looking at payloads. Byte strings become `h'…'`, tags and simple
 * values are written as in the RFC's diagnostic notation. Bounded: a payload of 1 KiB must not become a tree of a
 * million nodes, nor run the stack out.
 */

const DEPTH_MAX = 32;
const ITEMS_MAX = 10_000;

/** The value of one whole CBOR item; null where the bytes are none, or more than one. */
export function decodeCbor(bytes: Uint8Array): { value: unknown } | null {
  try {
    const reader = new Reader(bytes);
    const value = reader.item(0);
    return reader.atEnd ? { value } : null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const BREAK = Symbol('break');

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #items = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Throws RangeError for what is no CBOR; DataView does so by itself where bytes are missing. */
  item(depth: number): unknown {
    const value = this.#any(depth);
    if (value === BREAK) throw new RangeError('a break outside of an indefinite item');
    return value;
  }

  #any(depth: number): unknown {
    if (depth > DEPTH_MAX || ++this.#items > ITEMS_MAX) throw new RangeError('too deep or too large');
    const first = this.#view.getUint8(this.#at++);
    const major = first >> 5;
    const info = first & 31;
    if (major === 7) return this.#simple(info);
    const length = this.#argument(info);
    if (length === null) {
      if (major < 2 || major === 6) throw new RangeError('no indefinite item of this kind');
      return this.#indefinite(major, depth);
    }
    switch (major) {
      case 0:
        return exact(length);
      case 1:
        return exact(-1n - length);
      case 2:
        return hexOf(this.#take(length));
      case 3:
        return textOf(this.#take(length));
      case 4: {
        const list: unknown[] = [];
        for (let i = 0n; i < length; i++) list.push(this.item(depth + 1));
        return list;
      }
      case 5: {
        const entries: [string, unknown][] = [];
        for (let i = 0n; i < length; i++) entries.push([keyOf(this.item(depth + 1)), this.item(depth + 1)]);
        return Object.fromEntries(entries);
      }
      default:
        return tagged(length, this.item(depth + 1));
    }
  }

  /** The number after the first byte; null for an indefinite length. */
  #argument(info: number): bigint | null {
    if (info < 24) return BigInt(info);
    const at = this.#at;
    if (info === 24) {
      this.#at += 1;
      return BigInt(this.#view.getUint8(at));
    }
    if (info === 25) {
      this.#at += 2;
      return BigInt(this.#view.getUint16(at));
    }
    if (info === 26) {
      this.#at += 4;
      return BigInt(this.#view.getUint32(at));
    }
    if (info === 27) {
      this.#at += 8;
      return this.#view.getBigUint64(at);
    }
    if (info === 31) return null;
    throw new RangeError('reserved');
  }

  #simple(info: number): unknown {
    const at = this.#at;
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
        return null;
      case 23:
        return 'undefined';
      case 24:
        this.#at += 1;
        return `simple(${this.#view.getUint8(at)})`;
      case 25:
        this.#at += 2;
        return finite(half(this.#view.getUint16(at)));
      case 26:
        this.#at += 4;
        return finite(this.#view.getFloat32(at));
      case 27:
        this.#at += 8;
        return finite(this.#view.getFloat64(at));
      case 31:
        return BREAK;
      default:
        if (info > 27) throw new RangeError('reserved');
        return `simple(${info})`;
    }
  }

  #indefinite(major: number, depth: number): unknown {
    const parts: unknown[] = [];
    for (let part = this.#any(depth + 1); part !== BREAK; part = this.#any(depth + 1)) parts.push(part);
    if (major === 4) return parts;
    if (major === 5) {
      if (parts.length % 2 === 1) throw new RangeError('a key without a value');
      const entries = parts.flatMap((key, i) => (i % 2 === 0 ? [[keyOf(key), parts[i + 1]] as const] : []));
      return Object.fromEntries(entries);
    }
    if (parts.some((part) => typeof part !== 'string')) throw new RangeError('a chunk of another kind');
    if (major === 3) return parts.join('');
    return `h'${parts.map((part) => String(part).slice(2, -1)).join('')}'`;
  }

  #take(length: bigint): Uint8Array {
    if (length > BigInt(this.#bytes.length - this.#at)) throw new RangeError('cut short');
    const from = this.#at;
    this.#at += Number(length);
    return this.#bytes.subarray(from, this.#at);
  }
}

/** A number where one holds it exactly, else its digits. */
function exact(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** JSON has no name for these. */
function finite(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function half(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function hexOf(bytes: Uint8Array): string {
  return `h'${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}'`;
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RangeError('no UTF-8');
  }
}

function keyOf(key: unknown): string {
  return typeof key === 'string' ? key : (JSON.stringify(key) ?? 'undefined');
}

/** Tag 0 and 1 are times, which read better without it. */
function tagged(tag: bigint, value: unknown): unknown {
  if (tag === 0n) return value;
  if (tag === 1n && typeof value === 'number' && Math.abs(value) < 8.64e12) return new Date(value * 1000).toISOString();
  return { [`tag ${tag}`]: value };
}
