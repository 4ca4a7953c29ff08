import type { FrameCheck } from '../../src/serial/checks.ts';

export const FRAME_BYTES = 32;
const CHECK_BYTES = 2;

/** Sync word, port, sequence, readings that change, CRC. */
export function makeFrame(check: FrameCheck, port: number, sequence: number): Buffer {
  const body = Buffer.alloc(FRAME_BYTES - CHECK_BYTES);
  body.writeUInt16BE(0xa55a, 0);
  body[2] = port;
  body[3] = sequence & 1;
  body.writeUInt32BE(sequence, 4);
  for (let at = 8; at + 2 <= 20; at += 2) body.writeInt16BE(((sequence * 7 + at * 131) % 4000) - 2000, at);
  body.writeFloatBE(20 + (sequence % 100) / 8, 20);
  body.writeUInt32BE(sequence * 3, 24);
  return Buffer.concat([body, check.encode(body)]);
}

/** The same in the words of the configuration. */
export const frameOptions = {
  type: 'fixed',
  length: FRAME_BYTES,
  start: 'hex:a55a',
  check: { type: 'crc-16/modbus' },
};

export const decodeOptions = {
  type: 'binary',
  fields: [
    { name: 'port', type: 'u8', at: 2 },
    { name: 'state', type: 'u8', labels: { 0: 'idle', 1: 'busy' } },
    { name: 'sequence', type: 'u32' },
    ...['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name, type: 'i16', scale: 0.01, decimals: 2 })),
    { name: 'temperature', type: 'f32' },
    { name: 'count', type: 'u32' },
  ],
};
