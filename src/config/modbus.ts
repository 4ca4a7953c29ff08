import * as v from 'valibot';
import * as field from './fields.ts';
import * as portField from './port-fields.ts';
import { LABELS_MAX } from './serial-frames.ts';

/** `modbus` of a serial port: the units of a bus and their registers. */

const UNITS_MAX = 247;
const REGISTERS_MAX = 1024;
const GROUPS_MAX = 16;

const register = field.map({
  name: v.pipe(field.text(), v.metadata({ example: 'voltage' })),
  table: v.optional(field.choice(['holding', 'input', 'coil', 'discrete']), 'holding'),
  address: v.pipe(field.count(0, 65_535), v.metadata({ example: 0 })),
  type: v.optional(
    field.choice([
      'u16',
      'i16',
      'u8',
      'i8',
      'u32',
      'i32',
      'u64',
      'i64',
      'f32',
      'f64',
      'bcd',
      'text',
      'bytes',
      'boolean',
      'unix',
    ]),
    'u16',
  ),
  order: v.optional(field.choice(['ABCD', 'CDAB', 'BADC', 'DCBA']), 'ABCD'),
  length: v.optional(field.count(0, 250), 0),
  bit: v.optional(field.count(0, 63), 0),
  bits: v.optional(field.count(0, 64), 0),
  scale: v.optional(portField.number(), 1),
  offset: v.optional(portField.number(), 0),
  decimals: v.optional(field.count(0, 15)),
  unit: v.optional(field.text()),
  labels: v.optional(portField.textMap(LABELS_MAX)),
  group: v.optional(field.name()),
  writable: v.optional(field.yesOrNo(), false),
});

const unit = field.map({
  unit: v.pipe(field.count(0, 255), v.metadata({ example: 1 })),
  name: v.optional(field.name()),
  device: v.optional(field.path()),
  every: v.optional(field.duration('10ms', '30d'), '10s'),
  groups: v.optional(
    field.list(
      field.map({
        name: v.pipe(field.name(), v.metadata({ example: 'slow' })),
        every: v.optional(field.duration('10ms', '30d'), '1m'),
      }),
      0,
      GROUPS_MAX,
    ),
    [],
  ),
  registers: v.optional(field.list(register, 0, REGISTERS_MAX), []),
});

export const modbus = field.map({
  transport: v.optional(field.choice(['rtu', 'tcp']), 'rtu'),
  timeout: v.optional(field.duration('10ms', '1m'), '500ms'),
  turnaround: v.optional(field.duration('0', '1m'), 0),
  /** A request of its own costs some 13 characters and two silences: as much as eight registers read in vain. */
  gap: v.optional(field.count(0, 124), 8),
  registers_max: v.optional(field.count(1, 125), 125),
  units: v.pipe(field.list(unit, 1, UNITS_MAX), v.metadata({ example: [] })),
});

export function toModbus(file: v.InferOutput<typeof modbus>) {
  return {
    transport: file.transport,
    timeoutMs: file.timeout,
    turnaroundMs: file.turnaround,
    gap: file.gap,
    countMax: file.registers_max,
    units: file.units.map((one) => ({
      unit: one.unit,
      name: one.name ?? `unit${one.unit}`,
      everyMs: new Map([['', one.every], ...one.groups.map((group): [string, number] => [group.name, group.every])]),
      registers: one.registers.map((each) => ({
        name: each.name,
        table: each.table,
        address: each.address,
        type: each.type,
        order: each.order,
        length: each.length,
        at: 0,
        endian: 'big' as const,
        bit: each.bit,
        bits: each.bits,
        scale: each.scale,
        offset: each.offset,
        decimals: each.decimals ?? null,
        unit: each.unit ?? '',
        labels: each.labels ?? null,
        format: '',
        group: each.group ?? '',
        writable: each.writable,
      })),
    })),
  };
}
