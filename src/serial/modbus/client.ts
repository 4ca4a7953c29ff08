import { GatewayError } from '../../core/errors.ts';
import type { RegisterTable } from '../options.ts';
import type { WirePort } from './wire-port.ts';

type Callback = (error: Error | null, result: { buffer?: Buffer; data?: unknown }) => void;

/** What we use of modbus-serial. */
interface Library {
  open(callback: (error: Error | null) => void): void;
  setTimeout(ms: number): void;
  writeFC1(unit: number, address: number, count: number, next: Callback): void;
  writeFC2(unit: number, address: number, count: number, next: Callback): void;
  writeFC3(unit: number, address: number, count: number, next: Callback): void;
  writeFC4(unit: number, address: number, count: number, next: Callback): void;
  writeFC5(unit: number, address: number, state: boolean, next: Callback): void;
  writeFC6(unit: number, address: number, value: number, next: Callback): void;
  writeFC15(unit: number, address: number, states: boolean[], next: Callback): void;
  writeFC16(unit: number, address: number, values: number[], next: Callback): void;
  writeFC22(unit: number, address: number, and: number, or: number, next: Callback): void;
  writeFC23(
    unit: number,
    read: number,
    count: number,
    write: number,
    n: number,
    values: number[],
    next: Callback,
  ): void;
}

/** The requests of a master, one at a time. Rejects with `request_timeout`, or `modbus_exception` where the unit says no. */
export class ModbusClient {
  readonly #library: Library;

  private constructor(library: Library) {
    this.#library = library;
  }

  static async make(port: WirePort, timeoutMs: number): Promise<ModbusClient> {
    // Loaded only where there is a bus.
    const imported: unknown = await import('modbus-serial');
    const { default: ModbusRTU } = imported as { default: new (port: WirePort) => Library };
    const library = new ModbusRTU(port);
    library.open(() => undefined);
    library.setTimeout(timeoutMs);
    return new ModbusClient(library);
  }

  /** Registers as they came, high byte first; coils and discrete inputs as bits, lowest first. */
  async read(unit: number, table: RegisterTable, address: number, count: number): Promise<Buffer> {
    const { buffer } = await this.#ask((next) => {
      if (table === 'coil') this.#library.writeFC1(unit, address, count, next);
      else if (table === 'discrete') this.#library.writeFC2(unit, address, count, next);
      else if (table === 'holding') this.#library.writeFC3(unit, address, count, next);
      else this.#library.writeFC4(unit, address, count, next);
    });
    return buffer ?? Buffer.alloc(0);
  }

  async writeCoils(unit: number, address: number, states: boolean[]): Promise<void> {
    await this.#ask((next) => {
      if (states.length === 1) this.#library.writeFC5(unit, address, states[0] ?? false, next);
      else this.#library.writeFC15(unit, address, states, next);
    });
  }

  /** One register by function 6, several (or where `isMultiple`) by 16. */
  async writeRegisters(unit: number, address: number, values: number[], isMultiple = false): Promise<void> {
    await this.#ask((next) => {
      if (values.length === 1 && !isMultiple) this.#library.writeFC6(unit, address, values[0] ?? 0, next);
      else this.#library.writeFC16(unit, address, values, next);
    });
  }

  /** Function 22: (register AND `and`) OR (`or` AND NOT `and`), in the device. */
  async mask(unit: number, address: number, and: number, or: number): Promise<void> {
    await this.#ask((next) => this.#library.writeFC22(unit, address, and, or, next));
  }

  /** Function 23: writes, then reads, in one request. */
  async exchange(unit: number, read: number, count: number, write: number, values: number[]): Promise<number[]> {
    const { data } = await this.#ask((next) => {
      this.#library.writeFC23(unit, read, count, write, values.length, values, next);
    });
    return Array.isArray(data) ? data.map(Number) : [];
  }

  #ask(send: (next: Callback) => void): Promise<{ buffer?: Buffer; data?: unknown }> {
    return new Promise((resolve, reject) => {
      send((error, result) => {
        if (error) reject(failureOf(error));
        else resolve(result);
      });
    });
  }
}

function failureOf(error: Error & { modbusCode?: number; errno?: string }): GatewayError {
  if (error.modbusCode !== undefined) {
    const hint = 'Check the address, the count and the function in the register list of the device';
    return new GatewayError('modbus_exception', error.message, { hint, retriable: false, cause: error });
  }
  if (error.errno === 'ETIMEDOUT') {
    const hint = 'Check power, address, wiring and baud rate of the unit';
    return new GatewayError('request_timeout', 'it does not answer', { hint, cause: error });
  }
  return new GatewayError('protocol_violation', error.message ?? String(error), { cause: error });
}
