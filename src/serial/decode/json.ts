import { DecodeError, type Decoder } from './decoded.ts';

/** No reading of a device is nested like this; what reads it at the hub must not fall over either. */
const DEPTH_MAX = 64;

export function jsonDecoder(text: (bytes: Buffer) => string): Decoder {
  return (frame) => {
    const source = text(frame);
    checkDepth(source);
    let whole: unknown;
    try {
      whole = JSON.parse(source, (_key, value) => {
        // 1e999 is read as Infinity, which JSON can't write again.
        if (typeof value === 'number' && !Number.isFinite(value))
          throw new DecodeError('out_of_range', 'a number is larger than any double');
        return value;
      });
    } catch (error) {
      if (error instanceof DecodeError) throw error;
      throw new DecodeError('not_json', error instanceof Error ? error.message : 'no JSON');
    }
    if (typeof whole === 'object' && whole !== null && !Array.isArray(whole)) {
      return { fields: whole as Record<string, unknown> };
    }
    return { fields: { value: whole }, whole };
  };
}

/** Before parsing: a parser that recurses would use up the stack. Brackets in strings do not count. */
function checkDepth(source: string): void {
  let depth = 0;
  let isString = false;
  for (let i = 0; i < source.length; i++) {
    const code = source.charCodeAt(i);
    if (isString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) isString = false;
    } else if (code === 0x22) isString = true;
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > DEPTH_MAX) throw new DecodeError('too_deep', `nested deeper than ${DEPTH_MAX}`);
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
}
