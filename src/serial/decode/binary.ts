import type { FieldOptions } from '../options.ts';
import { DecodeError, type Decoder } from './decoded.ts';
import { finish } from './values.ts';

/** Bytes of each type; 0: the field says. */
const widths: Readonly<Record<string, number>> = {
  u8: 1,
  i8: 1,
  boolean: 1,
  u16: 2,
  i16: 2,
  u24: 3,
  i24: 3,
  u32: 4,
  i32: 4,
  f32: 4,
  unix: 4,
  u64: 8,
  i64: 8,
  f64: 8,
};

type Read = (frame: Buffer, at: number) => unknown;

export function widthOf(field: FieldOptions): number {
  return widths[field.type] ?? Math.max(1, field.length);
}

/** A layout compiled once: for each field a reader and its place. */
export function binaryDecoder(fields: readonly FieldOptions[], text: (bytes: Buffer) => string): Decoder {
  let next = 0;
  const layout = fields.map((field) => {
    const at = field.at ?? next;
    const width = widthOf(field);
    // Bit fields of one word stand beside each other: each but the first names its place.
    next = at + width;
    return { name: field.name, at, end: at + width, read: reader(field, width, text) };
  });
  const end = Math.max(0, ...layout.map((field) => field.end));
  return (frame) => {
    if (frame.length < end) throw new DecodeError('too_short', `${frame.length} bytes, and the layout has ${end}`);
    const decoded: Record<string, unknown> = {};
    for (const { name, at, read } of layout) decoded[name] = read(frame, at);
    return { fields: decoded };
  };
}

function reader(field: FieldOptions, width: number, text: (bytes: Buffer) => string): Read {
  const { type, name, bit, bits } = field;
  if (type === 'text' || type === 'auto') {
    return (frame, at) => {
      const bytes = frame.subarray(at, at + width);
      const nul = bytes.indexOf(0);
      return text(nul < 0 ? bytes : bytes.subarray(0, nul));
    };
  }
  if (type === 'bytes') return (frame, at) => frame.toString('hex', at, at + width);
  if (type === 'bcd') {
    return (frame, at) => {
      const digits =
        field.endian === 'big' ? frame.subarray(at, at + width) : frame.subarray(at, at + width).toReversed();
      const shown = Buffer.from(digits).toString('hex');
      if (!/^\d+$/.test(shown)) throw new DecodeError('bad_value', `${name} has digits that are none in BCD`);
      return finish(field, BigInt(shown));
    };
  }
  if (type === 'unix') {
    const seconds = integer(field, width);
    return (frame, at) => new Date(Number(seconds(frame, at)) * 1000).toISOString();
  }
  if (type === 'f32' || type === 'f64') {
    const float = floating(field);
    return (frame, at) => finish(field, float(frame, at));
  }
  const whole = integer(field, width);
  const cut = bits === 0 ? whole : bitField(whole, bit, bits, type.startsWith('i'));
  if (type === 'boolean') return (frame, at) => Number(cut(frame, at)) !== 0;
  return (frame, at) => finish(field, cut(frame, at));
}

type ReadNumber = (frame: Buffer, at: number) => number | bigint;

function integer({ type, endian }: FieldOptions, width: number): ReadNumber {
  const isBig = endian === 'big';
  const isSigned = type.startsWith('i');
  if (width === 8) {
    if (isSigned) return (frame, at) => (isBig ? frame.readBigInt64BE(at) : frame.readBigInt64LE(at));
    return (frame, at) => (isBig ? frame.readBigUInt64BE(at) : frame.readBigUInt64LE(at));
  }
  if (isSigned) return (frame, at) => (isBig ? frame.readIntBE(at, width) : frame.readIntLE(at, width));
  return (frame, at) => (isBig ? frame.readUIntBE(at, width) : frame.readUIntLE(at, width));
}

function floating({ type, endian }: FieldOptions): (frame: Buffer, at: number) => number {
  const isBig = endian === 'big';
  if (type === 'f32') return (frame, at) => (isBig ? frame.readFloatBE(at) : frame.readFloatLE(at));
  return (frame, at) => (isBig ? frame.readDoubleBE(at) : frame.readDoubleLE(at));
}

function bitField(whole: ReadNumber, bit: number, bits: number, isSigned: boolean): ReadNumber {
  return (frame, at) => {
    const word = BigInt(whole(frame, at)) >> BigInt(bit);
    return isSigned ? BigInt.asIntN(bits, word) : BigInt.asUintN(bits, word);
  };
}
