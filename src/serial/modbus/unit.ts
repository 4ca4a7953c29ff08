import { DecodeError } from '../decode/decoded.ts';
import type { ModbusOptions, RegisterOptions, UnitOptions } from '../options.ts';
import type { UnitStatus } from '../serial-edge.ts';
import { type Block, mergeBlocks } from './blocks.ts';
import { isBitTable, type ReadRegister, registerReader } from './registers.ts';

/** After so many requests in a row without an answer a unit is taken for dead. */
const FAILURES_MAX = 2;
/** A dead unit is asked again after this, and twice as long each time, up to the longest. */
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/** Registers that are read together, and when. */
export interface Group {
  readonly unit: Unit;
  readonly name: string;
  readonly everyMs: number;
  readonly blocks: readonly Block[];
  dueAtMs: number;
}

/** One device on the bus: what to read of it, and whether it answers. */
export class Unit {
  readonly options: UnitOptions;
  readonly groups: readonly Group[];
  readonly #readers: ReadonlyMap<RegisterOptions, ReadRegister>;
  #failuresInRow = 0;
  #retryAtMs = 0;
  #counters = { requests: 0, failures: 0 };
  #lastSeenMs = 0;
  #lastError = '';

  constructor(options: UnitOptions, { gap, countMax }: ModbusOptions) {
    this.options = options;
    this.#readers = new Map(options.registers.map((register) => [register, registerReader(register)]));
    const names = new Set(options.registers.map(({ group }) => group));
    this.groups = [...names].map((name) => ({
      unit: this,
      name,
      everyMs: options.everyMs.get(name) ?? options.everyMs.get('') ?? 0,
      blocks: mergeBlocks(
        options.registers.filter(({ group }) => group === name),
        gap,
        countMax,
      ),
      dueAtMs: 0,
    }));
  }

  get isSilent(): boolean {
    return this.#failuresInRow >= FAILURES_MAX;
  }

  /** When a dead unit may be asked again: until then it costs the bus nothing. */
  get retryAtMs(): number {
    return this.isSilent ? this.#retryAtMs : 0;
  }

  /** The values of a block in an answer. Registers that can't be read are left out, and told. */
  values(block: Block, answer: Buffer, into: Record<string, unknown>): string {
    let fault = '';
    for (const register of block.registers) {
      const offset = register.address - block.address;
      if (isBitTable(register)) {
        into[register.name] = (((answer[offset >> 3] ?? 0) >> (offset & 7)) & 1) === 1;
        continue;
      }
      try {
        into[register.name] = this.#readers.get(register)?.(answer.subarray(offset * 2));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        // A float that is not a number is how meters say that they have no value.
        into[register.name] = null;
        fault = error.fault;
      }
    }
    return fault;
  }

  answered(nowMs: number): void {
    this.#counters.requests++;
    this.#failuresInRow = 0;
    this.#lastSeenMs = nowMs;
  }

  /** `clockMs` of a clock that does not jump. `isSilent`: no answer at all, other than one that says no. */
  failed(why: string, isSilent: boolean, clockMs: number): void {
    this.#counters.requests++;
    this.#counters.failures++;
    this.#lastError = why;
    if (!isSilent) return;
    this.#failuresInRow++;
    const steps = Math.min(Math.max(this.#failuresInRow - FAILURES_MAX, 0), 10);
    this.#retryAtMs = clockMs + Math.min(RETRY_FIRST_MS * 2 ** steps, RETRY_MAX_MS);
  }

  status(clockMs: number): UnitStatus {
    const state = this.isSilent ? 'silent' : this.#lastSeenMs > 0 ? 'answers' : 'unknown';
    return {
      unit: this.options.unit,
      name: this.options.name,
      state,
      lastSeenMs: this.#lastSeenMs || null,
      ...this.#counters,
      retryInMs: this.isSilent ? Math.max(0, Math.round(this.#retryAtMs - clockMs)) : null,
      lastError: this.#lastError,
    };
  }
}
