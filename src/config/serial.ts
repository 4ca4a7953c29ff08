import * as v from 'valibot';
import { checkTypes, decoderTypes, fieldTypes, framingTypes } from '../core/serial-terms.ts';
import * as field from './fields.ts';

/** `serial:`, one entry a port. What each key means stands in serial/options.ts; here are its limits and defaults. */

/** As many ports as hubs and RS-485 cards bring to one box. */
export const PORTS_MAX = 64;
const FIELDS_MAX = 256;
const FILTERS_MAX = 256;
const POLLS_MAX = 32;
const LABELS_MAX = 256;

const port = field.map({
  vendor: v.optional(field.hexDigits(4)),
  product: v.optional(field.hexDigits(4)),
  serial: v.optional(field.text()),
  usb: v.optional(field.text()),
  by_id: v.optional(field.fileName()),
  by_path: v.optional(field.fileName()),
  path: v.optional(field.path()),
  tcp: v.optional(field.listen()),
});

const check = field.map({
  type: v.pipe(field.choice(checkTypes), v.metadata({ example: 'crc-16/modbus' })),
  endian: v.optional(field.choice(['big', 'little']), 'little'),
  as: v.optional(field.choice(['binary', 'hex']), 'binary'),
  from: v.optional(field.count(0, 1024), 0),
});

const frame = field.map({
  type: v.optional(field.choice(framingTypes), 'line'),
  delimiter: v.optional(field.bytes(1, 16)),
  length: v.optional(field.count(1, 65_536)),
  start: v.optional(field.bytes(1, 16)),
  end: v.optional(field.bytes(1, 16)),
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
  scale: v.optional(field.number(), 1),
  offset: v.optional(field.number(), 0),
  decimals: v.optional(field.count(0, 15)),
  unit: v.optional(field.text()),
  labels: v.optional(field.textMap(LABELS_MAX)),
  format: v.optional(field.text()),
});

const decode = field.map({
  type: v.optional(field.choice(decoderTypes), 'text'),
  encoding: v.optional(field.text(), 'utf-8'),
  time_zone: v.optional(field.timeZone(), 'UTC'),
  separator: v.optional(field.text(), ','),
  assign: v.optional(field.text(), '='),
  decimal: v.optional(field.choice(['.', ',']), '.'),
  pattern: v.optional(field.pattern()),
  fields: v.optional(field.list(decodeField, 0, FIELDS_MAX), []),
});

const filter = field.map({
  field: v.pipe(field.text(), v.metadata({ example: 'temperature' })),
  on_change: v.optional(field.yesOrNo(), false),
  dead_band: v.optional(field.deadBand()),
  min_interval: v.optional(field.duration('0', '30d'), 0),
  max_interval: v.optional(field.duration('0', '30d'), 0),
  window: v.optional(field.duration('0', '1d'), 0),
});

const command = field.map({
  subject: v.optional(field.subject()),
  encode: v.optional(field.choice(['raw', 'text', 'hex', 'json']), 'raw'),
  template: v.optional(field.text()),
  framed: v.optional(field.yesOrNo(), true),
  match: v.optional(field.pattern()),
  timeout: v.optional(field.duration('10ms', '5m'), '1s'),
});

const poll = field.map({
  send: v.pipe(field.bytes(1, 1024), v.metadata({ example: 'READ?' })),
  framed: v.optional(field.yesOrNo(), true),
  every: v.optional(field.duration('10ms', '30d')),
  cron: v.optional(field.cron()),
});

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
  scale: v.optional(field.number(), 1),
  offset: v.optional(field.number(), 0),
  decimals: v.optional(field.count(0, 15)),
  unit: v.optional(field.text()),
  labels: v.optional(field.textMap(LABELS_MAX)),
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

const modbus = field.map({
  transport: v.optional(field.choice(['rtu', 'tcp']), 'rtu'),
  timeout: v.optional(field.duration('10ms', '1m'), '500ms'),
  turnaround: v.optional(field.duration('0', '1m'), 0),
  /** A request of its own costs some 13 characters and two silences: as much as eight registers read in vain. */
  gap: v.optional(field.count(0, 124), 8),
  registers_max: v.optional(field.count(1, 125), 125),
  units: v.pipe(field.list(unit, 1, UNITS_MAX), v.metadata({ example: [] })),
});

export const serialPort = field.map({
  name: v.pipe(field.name(), v.metadata({ example: 'scale' })),
  port: v.pipe(port, v.metadata({ example: '/dev/ttyUSB0' })),
  baud: v.optional(field.count(50, 12_000_000), 9600),
  data_bits: v.optional(field.count(5, 8), 8),
  parity: v.optional(field.choice(['none', 'even', 'odd']), 'none'),
  stop_bits: v.optional(field.count(1, 2), 1),
  flow_control: v.optional(field.choice(['none', 'rts-cts', 'xon-xoff']), 'none'),
  rts: v.optional(field.yesOrNo()),
  dtr: v.optional(field.yesOrNo()),
  half_duplex: v.optional(field.choice(['off', 'rts-high', 'rts-low']), 'off'),
  silence: v.optional(field.duration('0', '30d'), 0),
  frame: v.optional(frame, {}),
  decode: v.optional(decode, {}),
  output: v.optional(field.choice(['json', 'fields', 'frame'])),
  units: v.optional(field.yesOrNo(), false),
  subject: v.pipe(field.subjectTemplate(), v.metadata({ example: 'line3.scale' })),
  payload: v.optional(field.text()),
  filters: v.optional(field.list(filter, 0, FILTERS_MAX), []),
  command: v.optional(command, {}),
  polls: v.optional(field.list(poll, 0, POLLS_MAX), []),
  acknowledge: v.optional(
    field.map({
      accepted: v.optional(field.bytes(1, 64)),
      refused: v.optional(field.bytes(1, 64)),
    }),
    {},
  ),
  recorder: v.optional(field.size('0', '1MiB'), '4KiB'),
  /** The port is a bus: frame, decode, polls and acknowledge have no meaning then. */
  modbus: v.optional(modbus),
});

type SerialValues = v.InferOutput<typeof serialPort>;

const NONE = Buffer.alloc(0);

/** Decoders that make one text or value; the others make fields. */
const wholeDecoders = new Set(['raw', 'hex', 'text']);

/** One port as the serial edge takes it. */
export function toSerialPort(file: SerialValues, absolute: (path: string) => string) {
  const { port: identity, frame: framing, decode: decoder, command: commands } = file;
  // A template's subject is not one that a command could be sent to.
  const commandSubject = file.subject.includes('{') ? '' : `${file.subject}.cmd`;
  return {
    name: file.name,
    identity: {
      vendor: identity.vendor ?? null,
      product: identity.product ?? null,
      serial: identity.serial ?? null,
      usb: identity.usb ?? null,
      byId: identity.by_id ?? null,
      byPath: identity.by_path ?? null,
      path: identity.path === undefined ? null : absolute(identity.path),
      tcp: identity.tcp ?? null,
    },
    line: {
      baud: file.baud,
      dataBits: file.data_bits as 5 | 6 | 7 | 8,
      parity: file.parity,
      stopBits: file.stop_bits as 1 | 2,
      flowControl: file.flow_control,
      rts: file.rts ?? null,
      dtr: file.dtr ?? null,
      rs485: file.half_duplex,
    },
    silenceMs: file.silence,
    framing: {
      type: framing.type,
      delimiter: framing.delimiter ?? NONE,
      length: framing.length ?? 0,
      start: framing.start ?? NONE,
      end: framing.end ?? NONE,
      escape: framing.escape ?? null,
      escapeXor: framing.escape_xor,
      width: framing.width as 1 | 2 | 3 | 4,
      at: framing.at,
      endian: framing.endian,
      counts: framing.counts,
      adjust: framing.adjust,
      gapMs: framing.gap,
      bytesMax: framing.max,
      check: framing.check ?? null,
    },
    decoder: {
      type: decoder.type,
      encoding: decoder.encoding,
      timeZone: decoder.time_zone,
      separator: decoder.separator,
      assign: decoder.assign,
      decimal: decoder.decimal,
      pattern: decoder.pattern ?? '',
      fields: decoder.fields.map((one) => ({
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
    },
    output: file.output ?? (wholeDecoders.has(decoder.type) ? ('frame' as const) : ('json' as const)),
    units: file.units,
    subject: file.subject,
    payload: file.payload ?? '',
    filters: file.filters.map((one) => ({
      field: one.field,
      onChange: one.on_change,
      deadBand: one.dead_band?.band ?? 0,
      deadBandUnit: one.dead_band?.unit ?? ('absolute' as const),
      intervalMinMs: one.min_interval,
      intervalMaxMs: one.max_interval,
      windowMs: one.window,
    })),
    command: {
      subject: commands.subject ?? commandSubject,
      encode: commands.encode,
      template: commands.template ?? '',
      framed: commands.framed,
      match: commands.match ?? '',
      timeoutMs: commands.timeout,
    },
    polls: file.polls.map((one) => ({
      send: one.send,
      framed: one.framed,
      everyMs: one.every ?? 0,
      cron: one.cron ?? '',
    })),
    acknowledge: {
      accepted: file.acknowledge.accepted ?? NONE,
      refused: file.acknowledge.refused ?? NONE,
    },
    recorderBytes: file.recorder,
  };
}

/** A bus as the serial edge takes it. */
export function toModbusPort(file: SerialValues, absolute: (path: string) => string) {
  const {
    name,
    identity,
    line,
    filters,
    subject,
    payload,
    units,
    command: commands,
    recorderBytes,
  } = toSerialPort(file, absolute);
  const bus = file.modbus as NonNullable<SerialValues['modbus']>;
  const output = file.output === 'fields' ? ('fields' as const) : ('json' as const);
  return {
    ...{ name, identity, line, filters, subject, payload, units, recorderBytes, output },
    commandSubject: commands.subject,
    modbus: {
      transport: bus.transport,
      timeoutMs: bus.timeout,
      turnaroundMs: bus.turnaround,
      gap: bus.gap,
      countMax: bus.registers_max,
      units: bus.units.map((one) => ({
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
    },
  };
}
