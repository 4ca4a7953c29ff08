import { GatewayError } from '../../core/errors.ts';
import type { RegisterOptions, RegisterTable } from '../options.ts';
import type { ModbusClient } from './client.ts';
import { countOf, encodeRegister, isBitTable, registerReader } from './registers.ts';
import type { Unit } from './unit.ts';

/**
 * Commands to a bus, as JSON. By name, with read-back:
 *
 *     { "unit": "meter1", "set": { "setpoint": 21.5 } }      (or "unit": 7)
 *     { "unit": "meter1", "get": ["setpoint"] }
 *
 * or by function, for what no register list has:
 *
 *     { "unit": 7, "function": 3, "address": 0, "count": 2 }                                   1 to 4
 *     { "unit": 7, "function": 16, "address": 0, "values": [1, 2] }                            5, 6, 15, 16
 *     { "unit": 7, "function": 22, "address": 0, "and": 65535, "or": 1 }
 *     { "unit": 7, "function": 23, "address": 0, "count": 2, "write": 8, "values": [1] }
 *
 * The answer is JSON: `{ "unit": …, "values": … }`.
 */

const tables: Readonly<Record<number, RegisterTable>> = { 1: 'coil', 2: 'discrete', 3: 'holding', 4: 'input' };
/** Registers and coils that one request writes. [Modbus application protocol 1.1b3, 6.11 and 6.12] */
const WRITE_MAX = 123;
const READ_MAX = 125;

type Order = Readonly<Record<string, unknown>>;

/** A payload as an order; a GatewayError where it is none. */
export function parseOrder(payload: Buffer): Order | GatewayError {
  try {
    const order: unknown = JSON.parse(payload.toString());
    if (typeof order === 'object' && order !== null && !Array.isArray(order)) return order as Order;
  } catch {
    // Told below.
  }
  return refused('the payload is no JSON object');
}

/** Carries an order out. Rejects with a GatewayError; then what was written is what was written before it. */
export async function carryOut(order: Order, units: readonly Unit[], client: ModbusClient): Promise<object> {
  const unit = units.find(({ options }) => options.name === order.unit || options.unit === order.unit);
  if ('function' in order) {
    const address = unit?.options.unit ?? number(order, 'unit', 0, 255);
    return { unit: address, values: await byFunction(order, address, client) };
  }
  if (unit === undefined) throw refused(`there is no unit ${JSON.stringify(order.unit)} on this bus`);
  const values: Record<string, unknown> = {};
  if (typeof order.set === 'object' && order.set !== null) {
    for (const [name, value] of Object.entries(order.set)) {
      const register = registerOf(unit, name);
      if (!register.writable) throw refused(`${name} is not writable: add "writable: true" to the register`);
      await write(unit.options.unit, register, value, client);
      values[name] = await readOne(unit.options.unit, register, client);
    }
  } else if (Array.isArray(order.get)) {
    for (const name of order.get.slice(0, READ_MAX)) {
      values[String(name)] = await readOne(unit.options.unit, registerOf(unit, String(name)), client);
    }
  } else throw refused('there is neither set, get nor function');
  return { unit: unit.options.name, values };
}

function registerOf({ options }: Unit, name: string): RegisterOptions {
  const register = options.registers.find((one) => one.name === name);
  if (register === undefined) throw refused(`the unit ${options.name} has no register ${JSON.stringify(name)}`);
  return register;
}

async function write(unit: number, register: RegisterOptions, value: unknown, client: ModbusClient): Promise<void> {
  const { table, address, name } = register;
  if (table === 'input' || table === 'discrete') throw refused(`${name} is in a table that can only be read`);
  if (table === 'coil') {
    if (typeof value !== 'boolean' && value !== 0 && value !== 1) throw refused(`${name} is true or false`);
    return client.writeCoils(unit, address, [Boolean(value)]);
  }
  const bytes = encodeRegister(register, value);
  if (bytes instanceof GatewayError) throw bytes;
  const words = Array.from({ length: bytes.length / 2 }, (_, index) => bytes.readUInt16BE(index * 2));
  await client.writeRegisters(unit, address, words);
}

/** What the device has now: some take a value and keep another. */
async function readOne(unit: number, register: RegisterOptions, client: ModbusClient): Promise<unknown> {
  const answer = await client.read(unit, register.table, register.address, countOf(register));
  return isBitTable(register) ? ((answer[0] ?? 0) & 1) === 1 : registerReader(register)(answer);
}

async function byFunction(order: Order, unit: number, client: ModbusClient): Promise<unknown> {
  const code = number(order, 'function', 1, 23);
  const address = number(order, 'address', 0, 0xffff);
  const table = tables[code];
  if (table !== undefined) {
    const count = number(order, 'count', 1, code <= 2 ? 2000 : READ_MAX);
    const answer = await client.read(unit, table, address, count);
    if (code <= 2) return Array.from({ length: count }, (_, i) => (((answer[i >> 3] ?? 0) >> (i & 7)) & 1) === 1);
    return words(answer);
  }
  switch (code) {
    case 5:
    case 15: {
      const states = list(order, 1968).map((value) => value === true || value === 1);
      await client.writeCoils(unit, address, code === 5 ? states.slice(0, 1) : states);
      return states;
    }
    case 6:
    case 16: {
      const values = registers(order);
      await client.writeRegisters(unit, address, code === 6 ? values.slice(0, 1) : values, code === 16);
      return words(await client.read(unit, 'holding', address, code === 6 ? 1 : values.length));
    }
    case 22:
      await client.mask(unit, address, number(order, 'and', 0, 0xffff), number(order, 'or', 0, 0xffff));
      return words(await client.read(unit, 'holding', address, 1));
    case 23: {
      const count = number(order, 'count', 1, READ_MAX);
      return client.exchange(unit, address, count, number(order, 'write', 0, 0xffff), registers(order));
    }
    default:
      throw refused(`function ${code} is none of 1 to 6, 15, 16, 22 and 23`);
  }
}

function words(answer: Buffer): number[] {
  return Array.from({ length: answer.length >> 1 }, (_, index) => answer.readUInt16BE(index * 2));
}

function registers(order: Order): number[] {
  const values = list(order, WRITE_MAX);
  const isSound = values.every((value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff);
  if (!isSound) throw refused('values are whole numbers from 0 to 65535');
  return values as number[];
}

function list(order: Order, max: number): unknown[] {
  const { values } = order;
  if (Array.isArray(values) && values.length > 0 && values.length <= max) return values;
  throw refused(`values is a list of 1 to ${max}`);
}

function number(order: Order, key: string, min: number, max: number): number {
  const value = order[key];
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw refused(`${key} is a whole number from ${min} to ${max}`);
}

function refused(why: string): GatewayError {
  return new GatewayError('config_invalid', `The order was not carried out: ${why}`, { retriable: false });
}
