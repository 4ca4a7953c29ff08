import type {
  CommandOptions,
  DecoderOptions,
  FieldOptions,
  FilterOptions,
  FramingOptions,
  PipelineOptions,
  PortIdentity,
  PortOptions,
} from '../../src/serial/options.ts';

/** Options of the serial edge as the configuration makes them of an entry with nothing but what is given. */

const NONE = Buffer.alloc(0);

export function framing(given: Partial<FramingOptions> = {}): FramingOptions {
  return {
    type: 'line',
    delimiter: NONE,
    length: 0,
    start: NONE,
    end: NONE,
    escape: null,
    escapeXor: 0,
    width: 1,
    at: 0,
    endian: 'big',
    counts: 'rest',
    adjust: 0,
    gapMs: 0,
    bytesMax: 4096,
    check: null,
    ...given,
  };
}

export function decoder(given: Partial<DecoderOptions> = {}): DecoderOptions {
  const plain = { encoding: 'utf-8', timeZone: 'UTC', separator: ',', assign: '=', decimal: '.' as const };
  return { type: 'text', ...plain, pattern: '', fields: [], ...given };
}

export function field(name: string, given: Partial<FieldOptions> = {}): FieldOptions {
  return {
    name,
    type: 'auto',
    at: null,
    length: 0,
    endian: 'big',
    bit: 0,
    bits: 0,
    scale: 1,
    offset: 0,
    decimals: null,
    unit: '',
    labels: null,
    format: '',
    ...given,
  };
}

export function filter(fieldName: string, given: Partial<FilterOptions> = {}): FilterOptions {
  const none = { onChange: false, deadBand: 0, deadBandUnit: 'absolute' as const };
  return { field: fieldName, ...none, intervalMinMs: 0, intervalMaxMs: 0, windowMs: 0, ...given };
}

export function command(given: Partial<CommandOptions> = {}): CommandOptions {
  return { subject: '', encode: 'raw', template: '', framed: true, match: '', timeoutMs: 1000, ...given };
}

export function pipeline(given: Partial<PipelineOptions> = {}): PipelineOptions {
  const parts = { framing: framing(), decoder: decoder(), filters: [], subject: 'line3.scale', payload: '' };
  return { name: 'scale', ...parts, output: 'json', units: false, ...given };
}

export function identity(given: Partial<PortIdentity>): PortIdentity {
  const none = {
    vendor: null,
    product: null,
    serial: null,
    usb: null,
    byId: null,
    byPath: null,
    path: null,
    tcp: null,
  };
  return { ...none, ...given };
}

export function port(given: Partial<PortOptions> & Pick<PortOptions, 'identity'>): PortOptions {
  return {
    ...pipeline(given),
    line: {
      baud: 115_200,
      dataBits: 8,
      parity: 'none',
      stopBits: 1,
      flowControl: 'none',
      rts: null,
      dtr: null,
      rs485: 'off',
    },
    silenceMs: 0,
    acknowledge: { accepted: NONE, refused: NONE },
    command: command(),
    polls: [],
    recorderBytes: 4096,
    ...given,
  };
}
