import { bus, flood, replug } from './serial-phases.ts';
import type { RowOptions, Sheet } from './sheet.ts';

export interface SerialRun {
  readonly box: string;
  readonly isQuick: boolean;
  /** Where the journal is: on a disk. */
  readonly dir: string;
  wanted(phase: string): boolean;
  attempt(what: string, work: () => Promise<void>): Promise<void>;
}

const PORTS = 8;
const BAUD = 921_600;

/** The serial edge: a flood of frames, a Modbus bus, a plug that is pulled. There is no peer to compare with. */
export async function serialRows(sheet: Sheet, { box, isQuick, dir, wanted, attempt }: SerialRun): Promise<void> {
  const rows =
    (section: string) =>
    (label: string, value: number, options: RowOptions = {}) =>
      sheet.set(section, label, box, value, options);
  if (wanted('serial-flood')) {
    await attempt('serial-flood', async () => {
      const seconds = isQuick ? 1 : 10;
      const set = rows(`serial-flood: ${PORTS} ports at ${BAUD} baud, 32-byte frames to JSON, journaled, ${seconds} s`);
      const result = await flood(dir, PORTS, BAUD, seconds);
      set('frames', result.frames);
      set('part of one core', result.cores, { digits: 2, atMost: 0.6 });
      set('lost', result.lost, { atMost: 0 });
      set('duplicated', result.duplicated, { atMost: 0 });
      set('out of order', result.outOfOrder, { atMost: 0 });
      set('bytes thrown away', result.discardedBytes, { atMost: 0 });
      set('devices behind their pace at worst, ms', result.lateMs, { digits: 1 });
      set('memory, MiB', result.residentMiB, { digits: 1 });
      if (result.lost + result.duplicated + result.outOfOrder > 0) throw new Error('frames are missing');
    });
  }
  if (wanted('serial-modbus')) {
    await attempt('serial-modbus', async () => {
      const seconds = isQuick ? 2 : 20;
      const set = rows(`serial-modbus: 1,000 registers of 20 units on a line of 115,200 baud, ${seconds} s`);
      const result = await bus(seconds);
      set('each second: part of the plan', result.planShare, { digits: 3 });
      set('each second: part of one core', result.cores, { digits: 3 });
      set('as fast as it goes, registers/s', result.registersPerS);
      set('of what the line allows', result.lineShare, { digits: 3, atLeast: 0.9 });
    });
  }
  if (wanted('serial-replug')) {
    await attempt('serial-replug', async () => {
      const cycles = isQuick ? 2 : 20;
      const set = rows(`serial-replug: from the node's return to the first message, ${cycles} times`);
      const took = await replug(cycles);
      set('p50, ms', took[took.length >> 1] ?? Number.NaN);
      set('max, ms', took.at(-1) ?? Number.NaN, { atMost: 1_500 });
    });
  }
}
