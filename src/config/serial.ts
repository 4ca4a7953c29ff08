import * as v from 'valibot';
import * as field from './fields.ts';
import { modbus, toModbus } from './modbus.ts';
import * as portField from './port-fields.ts';
import { bridge } from './serial-bridge.ts';
import { decode, frame, toDecoder, toFraming } from './serial-frames.ts';
import { command, FILTERS_MAX, filter, POLLS_MAX, poll, toCommand, toFilter, toPoll } from './serial-traffic.ts';

/** `serial:`, one entry a port. What each key means stands in serial/options.ts; here are its limits and defaults. */

/** As many ports as hubs and RS-485 cards bring to one box. */
export const PORTS_MAX = 64;

const port = field.map({
  vendor: v.optional(portField.hexDigits(4)),
  product: v.optional(portField.hexDigits(4)),
  serial: v.optional(field.text()),
  usb: v.optional(field.text()),
  by_id: v.optional(portField.fileName()),
  by_path: v.optional(portField.fileName()),
  path: v.optional(field.path()),
  tcp: v.optional(field.listen()),
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
  /** A bridge's messages are below it; its port's name unless given. Every other port needs it. */
  subject: v.optional(v.pipe(portField.subjectTemplate(), v.metadata({ example: 'line3.scale' }))),
  payload: v.optional(field.text()),
  filters: v.optional(field.list(filter, 0, FILTERS_MAX), []),
  command: v.optional(command, {}),
  polls: v.optional(field.list(poll, 0, POLLS_MAX), []),
  acknowledge: v.optional(
    field.map({
      accepted: v.optional(portField.bytes(1, 64)),
      refused: v.optional(portField.bytes(1, 64)),
    }),
    {},
  ),
  recorder: v.optional(field.size('0', '1MiB'), '4KiB'),
  /** The port is a bus: frame, decode, polls and acknowledge have no meaning then. */
  modbus: v.optional(modbus),
  /** A board that speaks for itself: of the keys above only those of the line, subject, silence and recorder have a meaning. */
  bridge: v.optional(bridge),
});

type SerialValues = v.InferOutput<typeof serialPort>;

const NONE = Buffer.alloc(0);

/** Decoders that make one text or value; the others make fields. */
const wholeDecoders = new Set(['raw', 'hex', 'text']);

/** One port as the serial edge takes it. */
export function toSerialPort(file: SerialValues, absolute: (path: string) => string) {
  const { port: identity } = file;
  const subject = file.subject ?? '{port}';
  // A template's subject is not one that a command could be sent to.
  const commandSubject = subject.includes('{') ? '' : `${subject}.cmd`;
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
    framing: toFraming(file.frame),
    decoder: toDecoder(file.decode),
    output: file.output ?? (wholeDecoders.has(file.decode.type) ? ('frame' as const) : ('json' as const)),
    units: file.units,
    subject,
    payload: file.payload ?? '',
    filters: file.filters.map(toFilter),
    command: toCommand(file.command, commandSubject),
    polls: file.polls.map(toPoll),
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
  const output = file.output === 'fields' ? ('fields' as const) : ('json' as const);
  return {
    ...{ name, identity, line, filters, subject, payload, units, recorderBytes, output },
    commandSubject: commands.subject,
    modbus: toModbus(file.modbus as NonNullable<SerialValues['modbus']>),
  };
}
