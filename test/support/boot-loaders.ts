import type { SerialDevice } from './serial-device.ts';

/** Boot loaders of makers as the far end of a line: each takes an image and keeps it, byte for byte as the real one. */

/** What a boot loader makes of the bytes that came: how many it used, and its answer; null where more must come. */
type Answer = { used: number; reply: Buffer | readonly number[] } | null;

export abstract class BootLoader {
  /** What was written to its flash, from address 0. */
  readonly flash = Buffer.alloc(64 * 1024, 0xff);
  written = 0;
  #pending: Buffer = Buffer.alloc(0);

  /** From now on it, and not its program, speaks for the device. */
  attach(device: SerialDevice): void {
    device.onData = (bytes) => {
      this.#pending = Buffer.concat([this.#pending, bytes]);
      for (;;) {
        const answer = this.#pending.length === 0 ? null : this.take(this.#pending);
        if (answer === null) return;
        this.#pending = this.#pending.subarray(answer.used);
        if (answer.reply.length > 0) void device.send(Buffer.from(answer.reply));
      }
    };
  }

  protected abstract take(bytes: Buffer): Answer;

  protected write(address: number, bytes: Buffer): void {
    bytes.copy(this.flash, address);
    this.written = Math.max(this.written, address + bytes.length);
  }
}

const EOP = 0x20;
const IN_SYNC = 0x14;
const OK = 0x10;

/** STK500 version 1 as Optiboot on an ATmega328P speaks it [AVR061]. */
export class Optiboot extends BootLoader {
  #address = 0;

  protected take(bytes: Buffer): Answer {
    const [command = 0, second = 0, third = 0] = bytes;
    // Of a page its size follows, and its bytes where it is to be written.
    const size = second * 256 + third;
    const lengths: Record<number, number> = { 65: 2, 66: 21, 69: 1 + second, 85: 3, 86: 5, 100: 4 + size, 116: 4 };
    const length = lengths[command] ?? 1;
    if (bytes.length < length + 1) return null;
    if (bytes[length] !== EOP) return { used: 1, reply: [] };
    return { used: length + 1, reply: [IN_SYNC, ...this.#do(bytes, size), OK] };
  }

  #do(bytes: Buffer, size: number): Iterable<number> {
    switch (bytes[0]) {
      case 0x41:
        return [3];
      case 0x55:
        this.#address = bytes.readUInt16LE(1) * 2;
        return [];
      case 0x56:
        return [0];
      case 0x64:
        this.write(this.#address, bytes.subarray(4, 4 + size));
        return [];
      case 0x74:
        return this.flash.subarray(this.#address, this.#address + size);
      case 0x75:
        return [0x1e, 0x95, 0x0f];
      default:
        return [];
    }
  }
}

const ACK = 0x79;
const NACK = 0x1f;
const FLASH_BASE = 0x0800_0000;

/** The boot loader in the ROM of an STM32F103 [AN3155]. */
export class StmRom extends BootLoader {
  #step: ((bytes: Buffer) => Answer) | null = null;

  protected take(bytes: Buffer): Answer {
    if (this.#step !== null) return this.#step(bytes);
    if (bytes[0] === 0x7f) return { used: 1, reply: [ACK] };
    if (bytes.length < 2) return null;
    const [command = 0, inverse = 0] = bytes;
    const reply = command + inverse === 0xff ? this.#begin(command) : [NACK];
    return { used: 2, reply };
  }

  #begin(command: number): readonly number[] {
    switch (command) {
      case 0x00:
        return [ACK, 7, 0x22, 0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x44, ACK];
      case 0x01:
        return [ACK, 0x22, 0, 0, ACK];
      case 0x02:
        return [ACK, 1, 0x04, 0x10, ACK];
      case 0x11:
        this.#address((address) => {
          this.#step = (bytes) => {
            if (bytes.length < 2) return null;
            const [last = 0] = bytes;
            return this.#done(2, [ACK, ...this.#read(address, last + 1)]);
          };
        });
        return [ACK];
      case 0x21:
        this.#address(() => {
          this.#step = null;
        });
        return [ACK];
      case 0x31:
        this.#address((address) => {
          this.#step = (bytes) => {
            const [last = 0] = bytes;
            if (bytes.length < last + 3) return null;
            this.write(address - FLASH_BASE, bytes.subarray(1, last + 2));
            return this.#done(last + 3, [xorOf(bytes.subarray(0, last + 3)) === 0 ? ACK : NACK]);
          };
        });
        return [ACK];
      case 0x44:
        this.#step = (bytes) => {
          const pages = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
          const length = pages >= 0xfff0 ? 3 : 2 + (pages + 1) * 2 + 1;
          return bytes.length < length ? null : this.#done(length, [ACK]);
        };
        return [ACK];
      default:
        return [NACK];
    }
  }

  /** Four bytes and their exclusive or come next. */
  #address(next: (address: number) => void): void {
    this.#step = (bytes) => {
      if (bytes.length < 5) return null;
      next(bytes.readUInt32BE(0));
      return { used: 5, reply: [xorOf(bytes.subarray(0, 5)) === 0 ? ACK : NACK] };
    };
  }

  #read(address: number, count: number): Uint8Array {
    // Outside its flash stand what the maker wrote: here nothing.
    if (address < FLASH_BASE) return new Uint8Array(count);
    return this.flash.subarray(address - FLASH_BASE, address - FLASH_BASE + count);
  }

  #done(used: number, reply: readonly number[]): Answer {
    this.#step = null;
    return { used, reply };
  }
}

function xorOf(bytes: Buffer): number {
  return bytes.reduce((sum, byte) => sum ^ byte, 0);
}
