import type { DecoderOptions, FieldOptions } from '../options.ts';
import { DecodeError, type Decoder } from './decoded.ts';
import { autoValue, textValue } from './values.ts';

/** Columns or pairs of one frame that are looked at. */
const PARTS_MAX = 256;

type Text = (bytes: Buffer) => string;

export function textDecoder(text: Text): Decoder {
  return (frame) => {
    const whole = text(frame);
    return { fields: { text: whole }, whole };
  };
}

/** `csv`: columns by the order of the fields; quotes as in RFC 4180. Without fields they are `c1`, `c2`, … */
export function csvDecoder(options: DecoderOptions, text: Text): Decoder {
  const { fields, separator, decimal } = options;
  return (frame) => {
    const columns = splitCsv(text(frame), separator);
    if (columns.length < fields.length) {
      throw new DecodeError('no_match', `${columns.length} columns, and ${fields.length} fields`);
    }
    const decoded: Record<string, unknown> = {};
    if (fields.length === 0) {
      for (const [index, column] of columns.entries()) decoded[`c${index + 1}`] = autoValue(column, decimal);
    }
    fields.forEach((field, index) => {
      // A field called '-' is a column that nobody wants.
      if (field.name !== '-') decoded[field.name] = textValue(field, columns[index] ?? '', options);
    });
    return { fields: decoded };
  };
}

function splitCsv(line: string, separator: string): string[] {
  const columns: string[] = [];
  if (!line.includes('"')) {
    for (const column of line.split(separator, PARTS_MAX)) columns.push(column.trim());
    return columns;
  }
  let column = '';
  let isQuoted = false;
  for (let i = 0; i < line.length; i++) {
    const char = line[i];
    if (isQuoted) {
      if (char !== '"') column += char;
      else if (line[i + 1] === '"') {
        column += '"';
        i++;
      } else isQuoted = false;
    } else if (char === '"' && column.trim() === '') {
      isQuoted = true;
      column = '';
    } else if (line.startsWith(separator, i)) {
      columns.push(column.trim());
      column = '';
      i += separator.length - 1;
      if (columns.length === PARTS_MAX) return columns;
    } else column += char;
  }
  if (isQuoted) throw new DecodeError('no_match', 'a quoted column has no end');
  return [...columns, column.trim()];
}

/** `key-value`: `T=21.5;H=40`. Fields that are configured must be there; others are taken as they look. */
export function keyValueDecoder(options: DecoderOptions, text: Text): Decoder {
  const { separator, assign, decimal } = options;
  const fields = new Map(options.fields.map((field) => [field.name, field]));
  return (frame) => {
    const decoded: Record<string, unknown> = {};
    let pairs = 0;
    for (const part of text(frame).split(separator, PARTS_MAX)) {
      const at = part.indexOf(assign);
      if (at < 0) continue;
      const key = part.slice(0, at).trim();
      const value = part.slice(at + assign.length).trim();
      if (key === '' || key === '__proto__') continue;
      const field = fields.get(key);
      decoded[key] = field === undefined ? autoValue(value, decimal) : textValue(field, value, options);
      pairs++;
    }
    if (pairs === 0) throw new DecodeError('no_match', `no pair with ${JSON.stringify(assign)}`);
    requireAll(options.fields, decoded);
    return { fields: decoded };
  };
}

/** What `Pattern.match` must give: the named groups of the first match, null for none. */
export type Match = (text: string) => Readonly<Record<string, string | null>> | null;

/** `pattern`: the named groups of a regular expression in RE2's syntax, which takes time in proportion to the text. */
export function patternDecoder(options: DecoderOptions, match: Match, text: Text): Decoder {
  const fields = new Map(options.fields.map((field) => [field.name, field]));
  return (frame) => {
    const groups = match(text(frame));
    if (groups === null) throw new DecodeError('no_match', 'the pattern does not match');
    const decoded: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(groups)) {
      const field = fields.get(name);
      if (value === null) continue;
      decoded[name] = field === undefined ? autoValue(value, options.decimal) : textValue(field, value, options);
    }
    requireAll(options.fields, decoded);
    return { fields: decoded };
  };
}

function requireAll(fields: readonly FieldOptions[], decoded: Record<string, unknown>): void {
  for (const { name } of fields) {
    if (!(name in decoded)) throw new DecodeError('no_match', `there is no ${name}`);
  }
}
