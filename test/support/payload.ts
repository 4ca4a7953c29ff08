/**
 * The payload of a load message, in ASCII, padded with dots to its size:
 *
 *     c0007 0000001234 0123456789012345 .....
 *     client   n       sent at, µs
 *
 * Fixed widths, so that a sender patches digits in place instead of building strings.
 */
export interface LoadPayload {
  client: string;
  /** Counts from 0 for each client. */
  n: number;
  /** `clockUs()` of the sender, of the first try where it was re-sent. */
  sentAtUs: number;
}

const NUMBER_DIGITS = 10;
const TIME_DIGITS = 16;
const DOT = 0x2e;

/** Microseconds of the kernel's monotonic clock: the same in every process of this machine. */
export function clockUs(): number {
  return CLOCK_START_US + Math.round(performance.now() * 1000);
}

const CLOCK_START_US = Number(process.hrtime.bigint() / 1000n) - Math.round(performance.now() * 1000);

export function payloadBytesMin(client: string): number {
  return client.length + NUMBER_DIGITS + TIME_DIGITS + 3;
}

/** A payload with number and time still zero. */
export function createPayload(client: string, bytes: number): Buffer {
  const payload = Buffer.alloc(bytes, DOT);
  payload.write(`${client} ${'0'.repeat(NUMBER_DIGITS)} ${'0'.repeat(TIME_DIGITS)} `, 'latin1');
  return payload;
}

/** Writes number and time into a payload that starts at `offset` of `buffer`. */
export function stampPayload(buffer: Buffer, offset: number, clientLength: number, n: number, sentAtUs: number): void {
  const numberEnd = offset + clientLength + 1 + NUMBER_DIGITS;
  writeDigits(buffer, numberEnd, n);
  writeDigits(buffer, numberEnd + 1 + TIME_DIGITS, sentAtUs);
}

/** Overwrites the zeros that end at `end`: the bytes must come fresh from `createPayload`. */
function writeDigits(buffer: Buffer, end: number, value: number): void {
  let rest = value;
  for (let at = end - 1; rest > 0; at--) {
    const next = Math.floor(rest / 10);
    buffer[at] = 0x30 + (rest - next * 10);
    rest = next;
  }
}

/** Undefined where it is no payload of ours. */
export function readPayload(payload: Uint8Array): LoadPayload | undefined {
  const space = payload.indexOf(0x20);
  if (space < 1 || payload.length < space + NUMBER_DIGITS + TIME_DIGITS + 3) return undefined;
  const n = readDigits(payload, space + 1, NUMBER_DIGITS);
  const sentAtUs = readDigits(payload, space + 2 + NUMBER_DIGITS, TIME_DIGITS);
  if (n < 0 || sentAtUs < 0) return undefined;
  return { client: Buffer.from(payload.buffer, payload.byteOffset, space).toString('latin1'), n, sentAtUs };
}

function readDigits(bytes: Uint8Array, start: number, count: number): number {
  let value = 0;
  for (let at = start; at < start + count; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
