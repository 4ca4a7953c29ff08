import type { RegisterOptions, RegisterTable } from '../options.ts';
import { countOf, isBitTable } from './registers.ts';

/** One read request, and the registers whose values are in its answer. */
export interface Block {
  readonly table: RegisterTable;
  readonly address: number;
  readonly count: number;
  readonly registers: readonly RegisterOptions[];
}

/** Bits of one request. [Modbus application protocol 1.1b3, 6.1] */
const BITS_MAX = 2000;
/** Sixteen coils cost as much as a register. */
const BITS_PER_REGISTER = 16;

/**
 * The fewest requests that read all these registers: neighbours are read together, also across a gap that costs less than
 * a request of its own. No value is split over two requests, for its halves would be of two moments.
 */
export function mergeBlocks(registers: readonly RegisterOptions[], gap: number, countMax: number): Block[] {
  const blocks: { table: RegisterTable; address: number; count: number; registers: RegisterOptions[] }[] = [];
  const sorted = registers.toSorted((a, b) => a.table.localeCompare(b.table) || a.address - b.address);
  for (const register of sorted) {
    const { table, address } = register;
    const count = countOf(register);
    const isBit = isBitTable(register);
    const [gapMax, max] = isBit ? [gap * BITS_PER_REGISTER, BITS_MAX] : [gap, countMax];
    const last = blocks.at(-1);
    const end = last === undefined ? 0 : last.address + last.count;
    const fits = last?.table === table && address <= end + gapMax && address + count - last.address <= max;
    if (last !== undefined && fits) {
      last.count = Math.max(last.count, address + count - last.address);
      last.registers.push(register);
    } else blocks.push({ table, address, count, registers: [register] });
  }
  return blocks;
}
