import { printable } from '../ops/words.ts';

/** How much of a payload is shown: a screen of it. */
const BYTES_SHOWN_MAX = 4096;

export const formats = ['auto', 'text', 'json', 'hex', 'base64'] as const;
export type Format = (typeof formats)[number];

/** One payload on one line (JSON: as many as it takes), without control characters that a terminal would obey. */
export function payloadText(payload: Uint8Array, format: Format): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const shown = bytes.subarray(0, BYTES_SHOWN_MAX);
  const rest = bytes.length > shown.length ? ` … (${bytes.length} bytes)` : '';
  if (format === 'hex') return `${shown.toString('hex')}${rest}`;
  if (format === 'base64') return `${shown.toString('base64')}${rest}`;
  const text = shown.toString('utf8');
  if (format === 'json') {
    try {
      return printable(JSON.stringify(JSON.parse(bytes.toString('utf8'))), BYTES_SHOWN_MAX);
    } catch {
      return `not JSON: ${printable(text, BYTES_SHOWN_MAX)}${rest}`;
    }
  }
  const isText = format === 'text' || rest !== '' || Buffer.from(text).equals(shown);
  return isText ? `${printable(text, BYTES_SHOWN_MAX)}${rest}` : `hex ${shown.toString('hex')}${rest}`;
}
