import { GatewayError } from '../../core/errors.ts';
import { binaryDecoder, widthOf } from '../decode/binary.ts';
import type { RegisterOptions, RegisterOrder } from '../options.ts';

/** Registers as values: types over one to four registers or a run of them, in every order of words and bytes. */

export function isBitTable({ table }: RegisterOptions): boolean {
  return table === 'coil' || table === 'discrete';
}

/** How many registers (or coils) a value takes. */
export function countOf(register: RegisterOptions): number {
  return isBitTable(register) ? 1 : Math.ceil(widthOf(register) / 2);
}

/** What of a register's bytes, big-endian and in the order of the wire, makes its value. Throws DecodeError. */
export type ReadRegister = (bytes: Buffer) => unknown;

export function registerReader(register: RegisterOptions): ReadRegister {
  const width = widthOf(register);
  const bytesOnWire = countOf(register) * 2;
  // An 8-bit value is the low byte of its register.
  const at = width === 1 ? 1 : 0;
  const decode = binaryDecoder([{ ...register, at, endian: 'big' }], (bytes) => bytes.toString('latin1').trim());
  return (bytes) => {
    const straight = reorder(bytes.subarray(0, bytesOnWire), register.order, isText(register));
    return decode(straight).fields[register.name];
  };
}

/** Text has no most significant word: only its bytes may be swapped. */
function isText({ type }: RegisterOptions): boolean {
  return type === 'text' || type === 'auto' || type === 'bytes';
}

/** To big-endian, and back: each order is its own reverse. */
function reorder(bytes: Buffer, order: RegisterOrder, keepsWords: boolean): Buffer {
  if (order === 'ABCD') return bytes;
  const swapped = Buffer.from(bytes);
  if (order !== 'CDAB') swapped.swap16();
  if (order === 'BADC' || keepsWords) return swapped;
  const words = Buffer.alloc(swapped.length);
  for (let at = 0; at < swapped.length; at += 2) swapped.copy(words, swapped.length - 2 - at, at, at + 2);
  return words;
}

/** The registers to write for a value, most significant byte of each first; or why it can't be. */
export function encodeRegister(register: RegisterOptions, value: unknown): Buffer | GatewayError {
  const { type, name, labels } = register;
  if (isText(register)) return encodeText(register, value);
  const label = typeof value === 'string' ? [...(labels ?? [])].find(([, text]) => text === value)?.[0] : undefined;
  const told = typeof value === 'boolean' ? Number(value) : Number(label ?? value);
  if (!Number.isFinite(told) || value === '' || value === null) return refused(`${name}: the value is no number`);
  const raw = label === undefined ? (told - register.offset) / register.scale : told;
  const bytes = Buffer.alloc(countOf(register) * 2);
  try {
    if (type === 'f32') bytes.writeFloatBE(raw, 0);
    else if (type === 'f64') bytes.writeDoubleBE(raw, 0);
    else writeInteger(register, bytes, raw, told);
  } catch (error) {
    if (error instanceof RangeError) return refused(`${name}: ${String(value)} does not fit into ${type}`);
    throw error;
  }
  return reorder(bytes, register.order, false);
}

function writeInteger(register: RegisterOptions, bytes: Buffer, raw: number, told: number): void {
  const { type, scale, offset } = register;
  const whole = Math.round(raw);
  const width = widthOf(register);
  if (type === 'bcd') {
    const digits = String(whole).padStart(bytes.length * 2, '0');
    if (whole < 0 || digits.length > bytes.length * 2) throw new RangeError('bcd');
    bytes.write(digits, 'hex');
  } else if (width === 8) {
    const exact = BigInt(scale === 1 && offset === 0 ? Math.round(told) : whole);
    if (type === 'i64') bytes.writeBigInt64BE(exact);
    else bytes.writeBigUInt64BE(exact);
  } else if (type.startsWith('i')) bytes.writeIntBE(whole, bytes.length - width, width);
  else bytes.writeUIntBE(whole, bytes.length - width, width);
}

function encodeText(register: RegisterOptions, value: unknown): Buffer | GatewayError {
  const bytes = Buffer.alloc(countOf(register) * 2);
  const text = register.type === 'bytes' ? Buffer.from(String(value), 'hex') : Buffer.from(String(value), 'latin1');
  if (text.length > bytes.length) return refused(`${register.name}: longer than ${bytes.length} bytes`);
  text.copy(bytes);
  return reorder(bytes, register.order, true);
}

function refused(why: string): GatewayError {
  return new GatewayError('config_invalid', `Not written: ${why}`, { retriable: false });
}
