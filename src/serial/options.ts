import type { checkTypes, decoderTypes, fieldTypes, framingTypes } from '../core/serial-terms.ts';

/**
 * What one entry of `serial:` in the configuration says, with units resolved: times in milliseconds, sizes in bytes,
 * null for what was not written. The configuration hands in an object that fits.
 */

/** Which device a port is: every key that is given must hold. */
export interface PortIdentity {
  /** USB vendor and product as four hexadecimal digits, serial number as the device tells it. */
  readonly vendor: string | null;
  readonly product: string | null;
  readonly serial: string | null;
  /** Where it is plugged in, as the kernel names it: `1-1.4`. Tells two adapters without serial numbers apart. */
  readonly usb: string | null;
  /** Names in /dev/serial/by-id and /dev/serial/by-path. */
  readonly byId: string | null;
  readonly byPath: string | null;
  /** A device node or a link to one. */
  readonly path: string | null;
  /** A serial server that passes raw bytes (ser2net). */
  readonly tcp: { readonly host: string; readonly port: number } | null;
}

export interface LineSettings {
  readonly baud: number;
  readonly dataBits: 5 | 6 | 7 | 8;
  readonly parity: 'none' | 'even' | 'odd';
  readonly stopBits: 1 | 2;
  readonly flowControl: 'none' | 'rts-cts' | 'xon-xoff';
  /** Level of the line after opening; null leaves it to the driver, which raises both. */
  readonly rts: boolean | null;
  readonly dtr: boolean | null;
  /** RTS switches the transceiver of a half-duplex bus to sending: high or low while we write. */
  readonly rs485: 'off' | 'rts-high' | 'rts-low';
}

export type Endian = 'big' | 'little';

export interface CheckOptions {
  readonly type: (typeof checkTypes)[number];
  /** Order of its bytes in the frame. */
  readonly endian: Endian;
  /**
   * As bytes; as hexadecimal digits; or `digits`: the content too is hexadecimal digits, and the check covers the bytes
   * that they mean (Modbus ASCII).
   */
  readonly as: 'binary' | 'hex' | 'digits';
  /** The first byte of the frame that it covers. */
  readonly from: number;
  /** `start-end`: before the end bytes, or behind them; then it covers the content, and the end bytes too or not. */
  readonly place: 'inside' | 'behind';
  readonly coversEnd: boolean;
}

export type FramingType = (typeof framingTypes)[number];

export interface FramingOptions {
  readonly type: FramingType;
  /** `delimiter`: the bytes between frames. */
  readonly delimiter: Buffer;
  /** `fixed`: bytes of every frame, start bytes and check included. */
  readonly length: number;
  /** `start-end`: first bytes; `fixed` and `length`: a sync word that every frame begins with. Empty for none. */
  readonly start: Buffer;
  /** `start-end`: last bytes. */
  readonly end: Buffer;
  /** `start-end`: the byte before an escaped one; null for none. */
  readonly escape: number | null;
  /** `start-end`: what an escaped byte is combined with, 0x20 in HDLC; 0 leaves it as it is (DLE doubling). */
  readonly escapeXor: number;
  /** `length`: width of the length field in bytes (1 to 4), its place, byte order. */
  readonly width: 1 | 2 | 3 | 4;
  readonly at: number;
  readonly endian: Endian;
  /** `length`: what the field counts: all bytes of the frame, or those behind the field. */
  readonly counts: 'rest' | 'all';
  /** `length`: added to the field's value, for protocols that leave some bytes out of the count. */
  readonly adjust: number;
  /** A pause as long as this ends a frame (`idle`), or throws away half a frame (all others); 0 for never. */
  readonly gapMs: number;
  /** Longest frame. */
  readonly bytesMax: number;
  readonly check: CheckOptions | null;
}

const NONE = Buffer.alloc(0);

/** A framing with nothing but its type, and the limits of the configuration. */
export function plainFraming(type: FramingType): FramingOptions {
  return {
    ...{ type, delimiter: NONE, length: 0, start: NONE, end: NONE, escape: null, escapeXor: 0 },
    ...{ width: 1, at: 0, endian: 'big', counts: 'rest', adjust: 0, gapMs: 0, bytesMax: 4096, check: null },
  };
}

export type DecoderType = (typeof decoderTypes)[number];

export type FieldType = (typeof fieldTypes)[number];

export interface FieldOptions {
  readonly name: string;
  readonly type: FieldType;
  /** `binary`: offset in the frame; null: behind the field before. */
  readonly at: number | null;
  /** `binary`: bytes of text, bytes and bcd. */
  readonly length: number;
  readonly endian: Endian;
  /** `binary`: lowest bit and number of bits taken out of an integer; `bits` 0 for the whole. */
  readonly bit: number;
  readonly bits: number;
  /** value = raw × scale + offset. */
  readonly scale: number;
  readonly offset: number;
  /** Digits behind the point; null: as it comes. */
  readonly decimals: number | null;
  readonly unit: string;
  /** What a raw value means: `{ "0": "off", "1": "on" }`; null for none. */
  readonly labels: ReadonlyMap<string, string> | null;
  /** `time`: how it is written, such as `DD.MM.YYYY HH:mm:ss`; '' for ISO 8601. */
  readonly format: string;
}

export interface DecoderOptions {
  readonly type: DecoderType;
  /** A name that iconv-lite knows. */
  readonly encoding: string;
  readonly timeZone: string;
  /** Between columns (`csv`) or pairs (`key-value`). */
  readonly separator: string;
  /** Between key and value. */
  readonly assign: string;
  /** The decimal sign of numbers in text. */
  readonly decimal: '.' | ',';
  /** `pattern`: RE2 syntax with named groups. */
  readonly pattern: string;
  readonly fields: readonly FieldOptions[];
}

export interface FilterOptions {
  /** Name of a field; '*' for each that has no filter of its own. */
  readonly field: string;
  readonly onChange: boolean;
  /** Report only when it moved by more than this; `percent` of the value reported last. 0 for none. */
  readonly deadBand: number;
  readonly deadBandUnit: 'absolute' | 'percent';
  readonly intervalMinMs: number;
  /** Report at least as often, as long as values come in; 0 for none. */
  readonly intervalMaxMs: number;
  /** Report average, minimum and maximum over this long instead of single values; 0 for none. */
  readonly windowMs: number;
}

export interface CommandOptions {
  /** Messages on it are written to the device; '' for none. */
  readonly subject: string;
  /** The payload as it is, as text in the decoder's encoding, as hexadecimal digits, or JSON put into `template`. */
  readonly encode: 'raw' | 'text' | 'hex' | 'json';
  readonly template: string;
  /** Put into a frame as the device's own are. */
  readonly framed: boolean;
  /** Which frame is the answer to a command with a reply subject (RE2); '' for the next one. */
  readonly match: string;
  readonly timeoutMs: number;
}

export interface PollOptions {
  /** The request as bytes. */
  readonly send: Buffer;
  readonly framed: boolean;
  readonly everyMs: number;
  /** Instead of `everyMs`; '' for none. */
  readonly cron: string;
}

/** What becomes of decoded fields. */
export interface ReportOptions {
  /** Of the port. */
  readonly name: string;
  readonly filters: readonly FilterOptions[];
  /** Subject template: `{field}` is a decoded field as one token, `{port}` the port's name. */
  readonly subject: string;
  /** Payload template; '' for none. */
  readonly payload: string;
  /** One JSON object per frame, one message per field, or the frame's text or bytes. */
  readonly output: 'json' | 'fields' | 'frame';
  /** Whether JSON carries the units of its fields under `units`. */
  readonly units: boolean;
}

export interface PipelineOptions extends ReportOptions {
  readonly framing: FramingOptions;
  readonly decoder: DecoderOptions;
}

export interface PortOptions extends PipelineOptions {
  readonly identity: PortIdentity;
  readonly line: LineSettings;
  /** Without a byte for this long the port is closed and opened again; 0 for never. */
  readonly silenceMs: number;
  /** Written once a frame's messages are committed, or refused; empty for none. */
  readonly acknowledge: { readonly accepted: Buffer; readonly refused: Buffer };
  readonly command: CommandOptions;
  readonly polls: readonly PollOptions[];
  /** Ring of the flight recorder; 0 for none. */
  readonly recorderBytes: number;
}

export const registerTables = ['holding', 'input', 'coil', 'discrete'] as const;
export type RegisterTable = (typeof registerTables)[number];

/** Order of a value's bytes on the wire, A the most significant: words swapped (CDAB), bytes swapped (BADC), both. */
export type RegisterOrder = 'ABCD' | 'CDAB' | 'BADC' | 'DCBA';

export interface RegisterOptions extends FieldOptions {
  readonly table: RegisterTable;
  /** As in the protocol: counted from 0, without the 4 or 3 of a table in front. */
  readonly address: number;
  readonly order: RegisterOrder;
  /** Registers of one group are read together and make one message. */
  readonly group: string;
  readonly writable: boolean;
}

export interface UnitOptions {
  readonly unit: number;
  readonly name: string;
  readonly registers: readonly RegisterOptions[];
  /** Poll interval of each group, by name; '' is the group of registers that name none. */
  readonly everyMs: ReadonlyMap<string, number>;
}

export interface ModbusOptions {
  readonly transport: 'rtu' | 'tcp';
  /** How long a unit may take to answer. */
  readonly timeoutMs: number;
  /** Pause between an answer and the next request; 0: 3.5 characters, as the standard demands. */
  readonly turnaroundMs: number;
  /** Registers in between that are read in vain where that saves a request. */
  readonly gap: number;
  /** Registers of one request at most; some devices take fewer than the 125 of the standard. */
  readonly countMax: number;
  readonly units: readonly UnitOptions[];
}

export interface ModbusPortOptions extends ReportOptions {
  readonly identity: PortIdentity;
  readonly line: LineSettings;
  readonly commandSubject: string;
  readonly modbus: ModbusOptions;
  readonly recorderBytes: number;
}
