import assert from 'node:assert';
import type { CheckOptions } from './options.ts';

/**
 * Checks of frames. The CRCs by the names and parameters of the RevEng catalogue of parametrised CRC algorithms
 * (width, polynomial, initial value, reflection, final XOR); each is proved by its check value over "123456789".
 */

interface Crc {
  readonly width: 8 | 16 | 32;
  readonly poly: number;
  readonly init: number;
  /** Input and output are reflected together in all of these. */
  readonly reflected: boolean;
  readonly xorOut: number;
}

const crc = (width: Crc['width'], poly: number, init: number, reflected: boolean, xorOut: number): Crc => ({
  width,
  poly,
  init,
  reflected,
  xorOut,
});

const crcs: Readonly<Record<string, Crc>> = {
  'crc-8/smbus': crc(8, 0x07, 0x00, false, 0x00),
  'crc-8/i-432-1': crc(8, 0x07, 0x00, false, 0x55),
  'crc-8/rohc': crc(8, 0x07, 0xff, true, 0x00),
  'crc-8/maxim-dow': crc(8, 0x31, 0x00, true, 0x00),
  'crc-8/nrsc-5': crc(8, 0x31, 0xff, false, 0x00),
  'crc-8/autosar': crc(8, 0x2f, 0xff, false, 0xff),
  'crc-8/sae-j1850': crc(8, 0x1d, 0xff, false, 0xff),
  'crc-8/dvb-s2': crc(8, 0xd5, 0x00, false, 0x00),
  'crc-8/cdma2000': crc(8, 0x9b, 0xff, false, 0x00),
  'crc-8/wcdma': crc(8, 0x9b, 0x00, true, 0x00),
  'crc-16/arc': crc(16, 0x8005, 0x0000, true, 0x0000),
  'crc-16/modbus': crc(16, 0x8005, 0xffff, true, 0x0000),
  'crc-16/usb': crc(16, 0x8005, 0xffff, true, 0xffff),
  'crc-16/maxim-dow': crc(16, 0x8005, 0x0000, true, 0xffff),
  'crc-16/umts': crc(16, 0x8005, 0x0000, false, 0x0000),
  'crc-16/xmodem': crc(16, 0x1021, 0x0000, false, 0x0000),
  'crc-16/ibm-3740': crc(16, 0x1021, 0xffff, false, 0x0000),
  'crc-16/genibus': crc(16, 0x1021, 0xffff, false, 0xffff),
  'crc-16/spi-fujitsu': crc(16, 0x1021, 0x1d0f, false, 0x0000),
  'crc-16/kermit': crc(16, 0x1021, 0x0000, true, 0x0000),
  'crc-16/ibm-sdlc': crc(16, 0x1021, 0xffff, true, 0xffff),
  'crc-16/mcrf4xx': crc(16, 0x1021, 0xffff, true, 0x0000),
  'crc-16/dnp': crc(16, 0x3d65, 0x0000, true, 0xffff),
  'crc-16/en-13757': crc(16, 0x3d65, 0x0000, false, 0xffff),
  'crc-16/dect-x': crc(16, 0x0589, 0x0000, false, 0x0000),
  'crc-32/iso-hdlc': crc(32, 0x04c11db7, 0xffffffff, true, 0xffffffff),
  'crc-32/bzip2': crc(32, 0x04c11db7, 0xffffffff, false, 0xffffffff),
  'crc-32/mpeg-2': crc(32, 0x04c11db7, 0xffffffff, false, 0x00000000),
  'crc-32/cksum': crc(32, 0x04c11db7, 0x00000000, false, 0xffffffff),
  'crc-32/jamcrc': crc(32, 0x04c11db7, 0xffffffff, true, 0x00000000),
  'crc-32/iscsi': crc(32, 0x1edc6f41, 0xffffffff, true, 0xffffffff),
};

/** Names from manuals that mean one of the catalogue. */
const aliases: Readonly<Record<string, string>> = {
  'crc-8': 'crc-8/smbus',
  'crc-16': 'crc-16/arc',
  'crc-16/ccitt-false': 'crc-16/ibm-3740',
  'crc-16/x-25': 'crc-16/ibm-sdlc',
  'crc-32': 'crc-32/iso-hdlc',
  'crc-32c': 'crc-32/iscsi',
};

type Compute = (bytes: Uint8Array, from: number, to: number) => number;

/** Simple sums: `sum` of all bytes, `lrc` its two's complement (Modbus ASCII), `xor` of all bytes (BCC, NMEA). */
const sums: Readonly<Record<string, { bytes: number; compute: Compute }>> = {
  sum: { bytes: 1, compute: (bytes, from, to) => sum(bytes, from, to) & 0xff },
  'sum-16': { bytes: 2, compute: (bytes, from, to) => sum(bytes, from, to) & 0xffff },
  lrc: { bytes: 1, compute: (bytes, from, to) => -sum(bytes, from, to) & 0xff },
  xor: {
    bytes: 1,
    compute: (bytes, from, to) => {
      let value = 0;
      for (let i = from; i < to; i++) value ^= bytes[i] ?? 0;
      return value;
    },
  },
};

function sum(bytes: Uint8Array, from: number, to: number): number {
  let total = 0;
  // Frames are at most 1 MiB: 2^20 × 255 stays exact.
  for (let i = from; i < to; i++) total += bytes[i] ?? 0;
  return total;
}

function crcTable({ width, poly, reflected }: Crc): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, index) => {
    let value = reflected ? index : index << (width - 8);
    const reversed = reflected ? reverse(poly, width) : 0;
    for (let bit = 0; bit < 8; bit++) {
      if (reflected) value = value & 1 ? (value >>> 1) ^ reversed : value >>> 1;
      else value = value & (1 << (width - 1)) ? (value << 1) ^ poly : value << 1;
    }
    return mask(value, width);
  });
}

function reverse(value: number, width: number): number {
  let reversed = 0;
  for (let bit = 0; bit < width; bit++) if (value & (1 << bit)) reversed |= 1 << (width - 1 - bit);
  return mask(reversed, width);
}

function mask(value: number, width: number): number {
  return width === 32 ? value >>> 0 : value & ((1 << width) - 1);
}

function crcCompute(parameters: Crc): Compute {
  const { width, init, reflected, xorOut } = parameters;
  const table = crcTable(parameters);
  return (bytes, from, to) => {
    let value = reflected ? reverse(init, width) : init;
    for (let i = from; i < to; i++) {
      const byte = bytes[i] ?? 0;
      if (reflected) value = (table[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
      else value = (table[((value >>> (width - 8)) ^ byte) & 0xff] ?? 0) ^ (value << 8);
    }
    return mask(value ^ xorOut, width);
  };
}

/** The check at the end of a frame. */
export class FrameCheck {
  /** Bytes that it takes in the frame. */
  readonly length: number;
  readonly #bytes: number;
  readonly #compute: Compute;
  readonly #options: CheckOptions;

  constructor(options: CheckOptions) {
    const name = aliases[options.type] ?? options.type;
    const parameters = crcs[name];
    const simple = sums[name];
    assert(parameters !== undefined || simple !== undefined, `an unknown check: ${name}`);
    this.#compute = parameters ? crcCompute(parameters) : (simple as { compute: Compute }).compute;
    this.#bytes = parameters ? parameters.width / 8 : (simple?.bytes ?? 1);
    this.#options = options;
    this.length = options.as === 'binary' ? this.#bytes : this.#bytes * 2;
  }

  /** Over the bytes of `frame` before `to`, starting where the options say; -1 where they should be digits and are none. */
  compute(frame: Buffer, to: number): number {
    const from = Math.min(this.#options.from, to);
    if (this.#options.as !== 'digits') return this.#compute(frame, from, to);
    const meant = Buffer.from(frame.toString('latin1', from, to), 'hex');
    return meant.length * 2 === to - from ? this.#compute(meant, 0, meant.length) : -1;
  }

  /** Whether the last bytes of the frame are the check of those before them. */
  holds(frame: Buffer): boolean {
    const to = frame.length - this.length;
    if (to < 0) return false;
    const computed = this.compute(frame, to);
    return computed >= 0 && this.#read(frame, to) === computed;
  }

  /** The bytes that belong behind `body`. */
  encode(body: Buffer): Buffer {
    const value = Math.max(0, this.compute(body, body.length));
    const bytes = Buffer.alloc(this.#bytes);
    if (this.#options.endian === 'big') bytes.writeUIntBE(value, 0, this.#bytes);
    else bytes.writeUIntLE(value, 0, this.#bytes);
    return this.#options.as === 'binary' ? bytes : Buffer.from(bytes.toString('hex').toUpperCase(), 'latin1');
  }

  #read(frame: Buffer, at: number): number {
    const { as, endian } = this.#options;
    if (as !== 'binary') {
      const digits = frame.toString('latin1', at, at + this.length);
      if (!/^[0-9A-Fa-f]+$/.test(digits)) return -1;
      const bytes = Buffer.from(digits, 'hex');
      return endian === 'big' ? bytes.readUIntBE(0, this.#bytes) : bytes.readUIntLE(0, this.#bytes);
    }
    return endian === 'big' ? frame.readUIntBE(at, this.#bytes) : frame.readUIntLE(at, this.#bytes);
  }
}

/** Of Modbus RTU, at the end of each frame (Modbus over Serial Line 1.02, 2.5.1.2). */
export const modbusCrc = new FrameCheck({
  type: 'crc-16/modbus',
  endian: 'little',
  as: 'binary',
  from: 0,
  place: 'inside',
  coversEnd: true,
});
