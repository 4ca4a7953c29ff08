import * as v from 'valibot';
import { isFilter } from '../core/subject.ts';
import { field, TEXT_CHARS_MAX, text } from './fields.ts';

/** The kinds of values that only ports have: bytes, bands, patterns and templates. */

/** `length` hexadecimal digits, as USB vendors and products are written. */
export function hexDigits(length: number) {
  const expected = `${length} hexadecimal digits in quotes`;
  return v.pipe(v.string(expected), v.regex(new RegExp(`^[0-9a-fA-F]{${length}}$`), expected));
}

/** The name of a file in a folder that is known. */
export function fileName() {
  const expected = 'the name of a link, without its folder';
  return v.pipe(text(), v.regex(/^(?!\.{1,2}$)[^/\0]+$/, expected));
}

/** Bytes as text (YAML's "\r\n" and "\x02" in double quotes), or `hex:` and digits in pairs. */
export function bytes(min: number, max: number) {
  const expected = `${min} to ${max} bytes: text, or "hex:" and pairs of digits`;
  return field<Buffer>((input) => {
    if (typeof input !== 'string') return { expected };
    const digits = input.startsWith('hex:') ? input.slice(4).replaceAll(/\s/g, '') : null;
    if (digits !== null && !/^(?:[0-9a-fA-F]{2})*$/.test(digits)) return { expected };
    const value = digits === null ? Buffer.from(input) : Buffer.from(digits, 'hex');
    return value.length >= min && value.length <= max ? { value } : { expected };
  });
}

export function number() {
  const expected = 'a number';
  return v.pipe(v.number(expected), v.finite(expected));
}

/** A number, or a percentage such as `2%`. */
export function deadBand() {
  const expected = 'a number from 0, or a percentage such as "2%"';
  return field<{ band: number; unit: 'absolute' | 'percent' }>((input) => {
    const percent = /^(\d{1,9}(?:\.\d{1,9})?) ?%$/.exec(String(input));
    if (percent !== null) return { value: { band: Number(percent[1]), unit: 'percent' } };
    const isBand = typeof input === 'number' && Number.isFinite(input) && input >= 0;
    return isBand ? { value: { band: input, unit: 'absolute' } } : { expected };
  });
}

/** A map of texts by text (or number): what raw values mean. */
export function textMap(max: number) {
  const expected = `a map of at most ${max} values and what they mean`;
  return field<ReadonlyMap<string, string>>((input) => {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) return { expected };
    const pairs = Object.entries(input);
    const isSound = pairs.length <= max && pairs.every(([, value]) => typeof value === 'string');
    return isSound ? { value: new Map(pairs as [string, string][]) } : { expected };
  });
}

export function timeZone() {
  const expected = 'a time zone such as UTC or Europe/Berlin';
  return field<string>((input) => {
    try {
      new Intl.DateTimeFormat('en', { timeZone: String(input) });
      return typeof input === 'string' ? { value: input } : { expected };
    } catch {
      return { expected };
    }
  });
}

/** A regular expression in RE2's syntax; compiled by the part that uses it. */
export function pattern() {
  const expected = 'a regular expression in RE2 syntax';
  return field<string>((input) => {
    if (typeof input !== 'string' || input === '' || input.length > TEXT_CHARS_MAX) return { expected };
    if (/\(\?<?[=!]|\\[1-9]/.test(input))
      return { expected: `${expected}, which has no look-around and no back-references` };
    try {
      new RegExp(input.replaceAll('(?P<', '(?<').replace(/^\(\?[ims]+\)/, ''));
      return { value: input };
    } catch (error) {
      return { expected, hint: error instanceof Error ? error.message : 'check its brackets' };
    }
  });
}

/** A subject in which `{field}` stands for a token, or a part of one. */
export function subjectTemplate() {
  const expected = 'a subject without wildcards, in which {field} stands for a token';
  return field<string>((input) => {
    if (typeof input !== 'string' || input.length > TEXT_CHARS_MAX) return { expected };
    const filled = input.replaceAll(/\{[^{}\s]+\}/g, 'x');
    return !/[{}*>]/.test(filled) && isFilter(filled) ? { value: input } : { expected };
  });
}
