/**
 * Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): bytes without a zero, so that a zero ends a frame whatever
 * came before it. Each code byte says how many bytes stand before the next zero; 0xff: 254 bytes, and no zero behind them.
 */

const GROUP_MAX = 254;

/** Bytes that `length` bytes become at most, without the zero behind them. */
export function cobsLengthMax(length: number): number {
  return length + Math.floor(length / GROUP_MAX) + 1;
}

/** Writes the encoding of `from` into `to` at `at`, without the zero behind it; gives the end. `to` must have the room. */
export function cobsEncode(from: Uint8Array, to: Uint8Array, at = 0): number {
  let code = at;
  let end = at + 1;
  for (let i = 0; i < from.length; i++) {
    const byte = from[i] as number;
    if (byte !== 0) {
      to[end++] = byte;
      // The last group is closed below: after a full one nothing more need come.
      if (end - code <= GROUP_MAX || i === from.length - 1) continue;
    }
    to[code] = end - code;
    code = end++;
  }
  to[code] = end - code;
  return end;
}

/**
 * Decodes the bytes from `start` to `end`, which hold no zero, in place; gives the length, or -1 where a code leads beyond
 * the end or there are no bytes.
 */
export function cobsDecode(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return -1;
  let from = start;
  let to = start;
  while (from < end) {
    const code = bytes[from++] as number;
    const next = from + code - 1;
    if (code === 0 || next > end) return -1;
    while (from < next) bytes[to++] = bytes[from++] as number;
    if (code <= GROUP_MAX && from < end) bytes[to++] = 0;
  }
  return to - start;
}
