import * as v from 'valibot';
import { checkTypes, decoderTypes, fieldTypes, framingTypes } from '../core/serial-terms.ts';
import * as field from './fields.ts';
import * as portField from './port-fields.ts';

/** `frame` and `decode` of a serial port: how bytes are cut into frames, and what a frame says. */

const FIELDS_MAX = 256;
export const LABELS_MAX = 256;
const NONE = Buffer.alloc(0);

const check = field.map({
  type: v.pipe(field.choice(checkTypes), v.metadata({ example: 'crc-16/modbus' })),
  endian: v.optional(field.choice(['big', 'little']), 'little'),
  as: v.optional(field.choice(['binary', 'hex', 'digits']), 'binary'),
  from: v.optional(field.count(0, 1024), 0),
  place: v.optional(field.choice(['inside', 'behind']), 'inside'),
  covers_end: v.optional(field.yesOrNo(), true),
});

export const frame = field.map({
  type: v.optional(field.choice(framingTypes), 'line'),
  delimiter: v.optional(portField.bytes(1, 16)),
  length: v.optional(field.count(1, 65_536)),
  start: v.optional(portField.bytes(1, 16)),
  end: v.optional(portField.bytes(1, 16)),
  escape: v.optional(field.count(0, 255)),
  escape_xor: v.optional(field.count(0, 255), 0),
  width: v.optional(field.count(1, 4), 1),
  at: v.optional(field.count(0, 1024), 0),
  endian: v.optional(field.choice(['big', 'little']), 'big'),
  counts: v.optional(field.choice(['rest', 'all']), 'rest'),
  adjust: v.optional(field.count(-1024, 1024), 0),
  gap: v.optional(field.duration('0', '1h'), 0),
  /** A reading is short; a frame as long as this holds up whatever comes behind it for minutes at 9,600 baud. */
  max: v.optional(field.size('1B', '1MiB'), '4KiB'),
  check: v.optional(check),
});

const decodeField = field.map({
  name: v.pipe(field.text(), v.metadata({ example: 'temperature' })),
  type: v.optional(field.choice(fieldTypes), 'auto'),
  at: v.optional(field.count(0, 1_048_575)),
  length: v.optional(field.count(0, 1_048_576), 0),
  endian: v.optional(field.choice(['big', 'little']), 'big'),
  bit: v.optional(field.count(0, 63), 0),
  bits: v.optional(field.count(0, 64), 0),
  scale: v.optional(portField.number(), 1),
  offset: v.optional(portField.number(), 0),
  decimals: v.optional(field.count(0, 15)),
  unit: v.optional(field.text()),
  labels: v.optional(portField.textMap(LABELS_MAX)),
  format: v.optional(field.text()),
});

export const decode = field.map({
  type: v.optional(field.choice(decoderTypes), 'text'),
  encoding: v.optional(field.text(), 'utf-8'),
  time_zone: v.optional(portField.timeZone(), 'UTC'),
  separator: v.optional(field.text(), ','),
  assign: v.optional(field.text(), '='),
  decimal: v.optional(field.choice(['.', ',']), '.'),
  pattern: v.optional(portField.pattern()),
  fields: v.optional(field.list(decodeField, 0, FIELDS_MAX), []),
});

function toCheck({ covers_end: coversEnd, ...rest }: v.InferOutput<typeof check>) {
  return { ...rest, coversEnd };
}

export function toFraming(file: v.InferOutput<typeof frame>) {
  return {
    type: file.type,
    delimiter: file.delimiter ?? NONE,
    length: file.length ?? 0,
    start: file.start ?? NONE,
    end: file.end ?? NONE,
    escape: file.escape ?? null,
    escapeXor: file.escape_xor,
    width: file.width as 1 | 2 | 3 | 4,
    at: file.at,
    endian: file.endian,
    counts: file.counts,
    adjust: file.adjust,
    gapMs: file.gap,
    bytesMax: file.max,
    check: file.check === undefined ? null : toCheck(file.check),
  };
}

export function toDecoder(file: v.InferOutput<typeof decode>) {
  return {
    type: file.type,
    encoding: file.encoding,
    timeZone: file.time_zone,
    separator: file.separator,
    assign: file.assign,
    decimal: file.decimal,
    pattern: file.pattern ?? '',
    fields: file.fields.map((one) => ({
      name: one.name,
      type: one.type,
      at: one.at ?? null,
      length: one.length,
      endian: one.endian,
      bit: one.bit,
      bits: one.bits,
      scale: one.scale,
      offset: one.offset,
      decimals: one.decimals ?? null,
      unit: one.unit ?? '',
      labels: one.labels ?? null,
      format: one.format ?? '',
    })),
  };
}
