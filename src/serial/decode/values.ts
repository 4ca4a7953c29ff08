import type { FieldOptions } from '../options.ts';
import { DecodeError } from './decoded.ts';
import { parseTime } from './local-time.ts';

/** What looks like a number: leading zeros are those of an identifier, so `007` stays text. */
const NUMBER = /^[+-]?(?:0|[1-9]\d{0,30})?(?:\.\d{1,30})?(?:[eE][+-]?\d{1,4})?$/;
const NUMBER_WITH_ZEROS = /^[+-]?(?:\d{1,30})?(?:\.\d{1,30})?(?:[eE][+-]?\d{1,4})?$/;
const INTEGER = /^[+-]?\d+$/;
const TRUE = new Set(['1', 'true', 'on', 'yes', 'y']);
const FALSE = new Set(['0', 'false', 'off', 'no', 'n']);

/** How the values of one text format are read. */
export interface TextRules {
  readonly decimal: '.' | ',';
  readonly timeZone: string;
}

/** Scale, offset and digits of a number; labels of a raw value. */
export function finish(field: FieldOptions, raw: number | bigint): unknown {
  const { scale, offset, decimals, labels, name } = field;
  const label = labels?.get(String(raw));
  if (label !== undefined) return label;
  // Exact where nothing is calculated: a counter of 64 bits beyond 2^53 becomes its digits.
  if (typeof raw === 'bigint' && scale === 1 && offset === 0) {
    return Number.isSafeInteger(Number(raw)) ? Number(raw) : String(raw);
  }
  const value = Number(raw) * scale + offset;
  if (!Number.isFinite(value)) throw new DecodeError('out_of_range', `${name} is no finite number`);
  // 0.1 is no exact double: 217 × 0.1 would be 21.700000000000003.
  if (decimals !== null) return Number(value.toFixed(decimals));
  return scale === 1 && offset === 0 ? value : Number(value.toPrecision(12));
}

/** A text that has the type of its field. */
export function textValue(field: FieldOptions, text: string, rules: TextRules): unknown {
  const { type, name, labels } = field;
  if (type === 'text') return labels?.get(text) ?? text;
  if (type === 'auto') return autoValue(text, rules.decimal);
  if (type === 'boolean') {
    const word = text.trim().toLowerCase();
    if (TRUE.has(word)) return true;
    if (FALSE.has(word)) return false;
    throw new DecodeError('bad_value', `${name} is neither true nor false`);
  }
  if (type === 'time') {
    const atMs = parseTime(text.trim(), field.format, rules.timeZone);
    if (atMs === null)
      throw new DecodeError('bad_value', `${name} is no time of the form ${field.format || 'ISO 8601'}`);
    return new Date(atMs).toISOString();
  }
  const label = labels?.get(text.trim());
  if (label !== undefined) return label;
  const plain = plainNumber(text, rules.decimal);
  if (!isNumber(plain, NUMBER_WITH_ZEROS)) throw new DecodeError('bad_value', `${name} is no number`);
  return finish(
    field,
    INTEGER.test(plain) && field.scale === 1 && field.offset === 0 ? BigInt(plain.replace('+', '')) : finite(plain),
  );
}

/** A number where it looks like one, else the text. */
export function autoValue(text: string, decimal: '.' | ','): unknown {
  const plain = plainNumber(text, decimal);
  if (!isNumber(plain, NUMBER)) return text;
  const value = finite(plain);
  // More digits than a double holds: as they were written.
  return INTEGER.test(plain) && !Number.isSafeInteger(value) ? text : value;
}

function plainNumber(text: string, decimal: '.' | ','): string {
  const trimmed = text.trim();
  return decimal === ',' ? trimmed.replace(',', '.') : trimmed;
}

function isNumber(text: string, form: RegExp): boolean {
  return /\d/.test(text) && form.test(text) && !/^[+-]?[eE]/.test(text);
}

function finite(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new DecodeError('out_of_range', `${text} is larger than any double`);
  return value;
}
