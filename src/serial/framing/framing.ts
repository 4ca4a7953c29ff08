import { FrameCheck } from '../checks.ts';
import type { FramingOptions } from '../options.ts';
import { FixedFramer, IdleFramer, LengthFramer } from './binary-framers.ts';
import type { Framer, FrameSink } from './framer.ts';
import { StartEndFramer } from './start-end-framer.ts';
import { CobsFramer, SlipFramer } from './stuffing-framers.ts';
import { DelimiterFramer, LineFramer, NmeaFramer } from './text-framers.ts';

const framers = {
  line: LineFramer,
  delimiter: DelimiterFramer,
  fixed: FixedFramer,
  length: LengthFramer,
  slip: SlipFramer,
  cobs: CobsFramer,
  idle: IdleFramer,
  'start-end': StartEndFramer,
  nmea: NmeaFramer,
} as const;

export function makeFramer(options: FramingOptions, sink: FrameSink): Framer {
  return new framers[options.type](options, sink);
}

/** The wire bytes of one frame with this content: what the framer of the same options takes apart again. */
export function encodeFrame(options: FramingOptions, content: Buffer): Buffer {
  const { type, delimiter, start, end, check } = options;
  if (type === 'start-end' && check?.place === 'behind') {
    const tail = new FrameCheck(check).encode(check.coversEnd ? Buffer.concat([content, end]) : content);
    return Buffer.concat([start, escaped(options, content), end, tail]);
  }
  const body =
    check === null || type === 'nmea' ? content : Buffer.concat([content, new FrameCheck(check).encode(content)]);
  switch (type) {
    case 'line':
      return Buffer.concat([body, Buffer.from('\r\n')]);
    case 'delimiter':
      return Buffer.concat([body, delimiter]);
    case 'nmea':
      return encodeNmea(content);
    case 'slip':
      return encodeSlip(body);
    case 'cobs':
      return encodeCobs(body);
    case 'start-end':
      return Buffer.concat([start, escaped(options, body), end]);
    case 'fixed':
    case 'length':
    case 'idle':
      // The content has its length and its sync word in itself.
      return body;
  }
}

function encodeNmea(content: Buffer): Buffer {
  let xor = 0;
  for (const byte of content) xor ^= byte;
  const tail = `*${xor.toString(16).toUpperCase().padStart(2, '0')}\r\n`;
  return Buffer.concat([Buffer.from('$'), content, Buffer.from(tail)]);
}

/** RFC 1055, with an END in front too: it ends whatever noise there was. */
function encodeSlip(body: Buffer): Buffer {
  const bytes: number[] = [0xc0];
  for (const byte of body) {
    if (byte === 0xc0) bytes.push(0xdb, 0xdc);
    else if (byte === 0xdb) bytes.push(0xdb, 0xdd);
    else bytes.push(byte);
  }
  return Buffer.from([...bytes, 0xc0]);
}

function encodeCobs(body: Buffer): Buffer {
  const bytes: number[] = [0];
  let code = 0;
  for (const [index, byte] of body.entries()) {
    if (byte !== 0) bytes.push(byte);
    if (byte === 0 || bytes.length - code === 0xff) {
      bytes[code] = bytes.length - code;
      // A full block at the very end needs no further code.
      if (byte !== 0 && index === body.length - 1) return Buffer.from([...bytes, 0]);
      code = bytes.length;
      bytes.push(0);
    }
  }
  bytes[code] = bytes.length - code;
  return Buffer.from([...bytes, 0]);
}

function escaped({ start, end, escape: mark, escapeXor }: FramingOptions, body: Buffer): Buffer {
  if (mark === null) return body;
  const bytes: number[] = [];
  for (const byte of body) {
    if (byte === mark || start.includes(byte) || end.includes(byte)) bytes.push(mark, byte ^ escapeXor);
    else bytes.push(byte);
  }
  return Buffer.from(bytes);
}
